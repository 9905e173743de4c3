"""The options of the command line."""

from collections.abc import Mapping

# What the command line calls the options that an InputError may name.
NAMES: Mapping[str, str] = {
    "model": "--model",
    "task": "--task",
    "reference": "--reference",
    "prompt": "--prompt",
    "resolution": "--resolution",
    "pages": "--pages",
    "dpi": "--dpi",
    "max_new_tokens": "--max-new-tokens",
}

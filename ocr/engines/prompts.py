"""A prompt's wording with the user's words in it. Knows no model."""

from collections.abc import Sequence

from ocr.errors import InputError
from ocr.types import Prompt


def fill(prompt: Prompt, words: str, reserved: Sequence[str]) -> str:
    """The prompt with the user's words in it. Raises InputError for words that hold one of the model's own tokens."""
    smuggled = [token for token in reserved if token in words]
    if smuggled:
        raise InputError(
            f"The text {words[:80]!r} holds {', '.join(map(repr, smuggled))}, which has a meaning of its own to the "
            "model; write it without."
        )
    return prompt.template.replace("{text}", words)

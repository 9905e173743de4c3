"""Errors on their way through Cog: named as its inputs are, and made errors again of what its server says."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ocr.errors import InputError, ModelError, OCRError, SetupError

# The inputs of predict() that this package calls otherwise.
INPUTS: Mapping[str, str] = {"task": "task_type", "reference": "reference_text", "resolution": "resolution_size"}

KINDS: Mapping[str, type[OCRError]] = {kind.__name__: kind for kind in (InputError, SetupError, ModelError)}
# Cog 0.23's words, once or more and behind what setup has logged; then the class of what was raised, and its message.
_FORM = re.compile(
    r"^(?:(?:worker setup|setup|prediction) failed(?: \(slot [-\w]+\))?: )+(?P<kind>\w+): (?P<message>.*)\Z",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)


@contextmanager
def in_terms_of_inputs() -> Iterator[None]:
    """Within the block, an InputError calls an option by the name of Cog's input."""
    try:
        yield
    except InputError as error:
        raise InputError(error.named(INPUTS)) from error


def failure(told: str) -> OCRError:
    """The error that setup or a prediction ended with, out of what the server says of it; one not of ours whole."""
    match = _FORM.search(told)
    kind = KINDS.get(match["kind"]) if match else None
    return kind(match["message"]) if match and kind else OCRError(told)

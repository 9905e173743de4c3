"""Errors on their way through Cog: named as its inputs are, and made errors again of what its server says."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ocr.errors import InputError, ModelError, OCRError, SetupError

# The inputs of predict() that this package calls otherwise.
INPUTS: Mapping[str, str] = {"task": "task_type", "reference": "reference_text", "resolution": "resolution_size"}

KINDS: Mapping[str, type[OCRError]] = {kind.__name__: kind for kind in (InputError, SetupError, ModelError)}
# Cog 0.23's words, like `Prediction failed: Generator iteration error: `, behind what setup has logged;
# then the class of what was raised, and its message.
_FORM = re.compile(
    rf"^(?:[\w ]+ (?:failed|error)(?: \(slot [-\w]+\))?: )+(?P<kind>{'|'.join(KINDS)}): (?P<message>.*)\Z",
    re.MULTILINE | re.DOTALL,
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
    return KINDS[match["kind"]](match["message"]) if match else OCRError(told)

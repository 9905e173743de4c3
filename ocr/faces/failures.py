"""Errors on their way through Cog: in its inputs' names, short, and made errors again of what its server says."""

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from ocr.errors import LONGEST, InputError, ModelError, OCRError, SetupError, shortened

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
def told_in_short() -> Iterator[None]:
    """Within the block, an error's message is short, and an InputError calls an option by the name of Cog's input.

    Cog's worker dies of a message of 8 MiB, and with it the server, so no error goes out but through here.
    """
    try:
        yield
    except InputError as error:
        raise InputError(shortened(error.named(INPUTS))) from error
    except Exception as error:
        message = str(error)
        if len(message) <= LONGEST:
            raise
        if isinstance(error, OCRError):
            raise type(error)(shortened(message)) from error
        raise RuntimeError(shortened(f"{type(error).__name__}: {message}")) from error


class ShortLines(logging.Formatter):
    """Log lines, tracebacks with them, that are no longer than any message that leaves."""

    def format(self, record: logging.LogRecord) -> str:
        return shortened(super().format(record))


def log_to_stderr() -> None:
    """Have everything that is logged in this process on standard error, which Cog takes for the prediction's log."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(ShortLines("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def failure(told: str) -> OCRError:
    """The error that setup or a prediction ended with, out of what the server says of it; one not of ours whole."""
    match = _FORM.search(told)
    return KINDS[match["kind"]](match["message"]) if match else OCRError(told)

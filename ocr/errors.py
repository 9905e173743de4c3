"""Every error this package raises on purpose, grouped by who can mend it.

    OCRError
    ├── InputError      the caller: a file, an option or a combination that cannot be read
    ├── SetupError      the operator: settings, weights, memory, device
    └── ModelError      the model: it answered with something no honest result can be made of

The message is written for that person: what came, what is allowed, what to do next.
"""

from collections.abc import Iterable


class OCRError(Exception):
    """Base of all errors with a message meant for people."""


class InputError(OCRError):
    """What the caller sent cannot be read as it is."""


class SetupError(OCRError):
    """The installation cannot serve: settings, weights, memory or device."""


class ModelError(OCRError):
    """The model did something that no honest result can be made of."""


def choices(names: Iterable[str]) -> str:
    """The allowed values as they stand in a message: `Tiny, Small, Base`."""
    return ", ".join(names)

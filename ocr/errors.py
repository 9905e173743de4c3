"""Every error this package raises on purpose, grouped by who can mend it.

    OCRError
    ├── InputError      the caller: a file, an option or a combination that cannot be read
    ├── SetupError      the operator: settings, weights, memory, device
    └── ModelError      the model: it answered with something no honest result can be made of

The message is written for that person: what came, what is allowed, what to do next.
"""

from collections.abc import Iterable, Mapping

LONGEST = 2000  # characters of a message that leaves the program


class OCRError(Exception):
    """Base of all errors with a message meant for people."""

    def named(self, names: Mapping[str, str]) -> str:
        """The message as a face shows it; `names` has the face's own name for an option of this package."""
        return str(self)


class InputError(OCRError):
    """What the caller sent cannot be read as it is.

    Where the value of one option is wrong, `field` is the option's name in this package (`task`, `pages`), and the
    message goes on after the name: `is 'x'; it must be …`.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message, field)  # both, so that a copy has both
        self.message, self.field = message, field

    def __str__(self) -> str:
        return self.named({})

    def named(self, names: Mapping[str, str]) -> str:
        return f"{names.get(self.field, self.field)} {self.message}" if self.field else self.message


class SetupError(OCRError):
    """The installation cannot serve: settings, weights, memory or device."""


class ModelError(OCRError):
    """The model did something that no honest result can be made of."""


def choices(names: Iterable[str]) -> str:
    """The allowed values as they stand in a message: `Tiny, Small, Base`."""
    return ", ".join(names)


def shortened(message: str, longest: int = LONGEST) -> str:
    """A message of so many characters at most: of a longer one its beginning and its end."""
    half = (longest - 3) // 2
    return message if len(message) <= longest else f"{message[:half]} … {message[-half:]}"

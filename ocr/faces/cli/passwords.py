"""Where the password of protected PDFs comes from: never from the command line itself, which every user can list."""

import getpass
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ocr.errors import InputError

LONGEST = 1000  # characters; PDF takes 127 bytes


def password(*, ask: bool, file: Path | None) -> str:
    """The password that is typed at a terminal, or the first line of a file; "" where none is wanted.

    Raises InputError, which never holds it, where it cannot be had.
    """
    if file is not None:
        return _checked(_first_line(file), f"The file of --password-file, {str(file)!r},")
    if not ask:
        return ""
    if not sys.stdin.isatty():
        raise InputError("--password asks at a terminal, and there is none: use --password-file FILE.")
    return _checked(getpass.getpass("Password of the PDFs: "), "The password")


def refuse_typed(words: Sequence[str]) -> None:
    """Refuse a command line that gives the password after `--password`, without showing it.

    A word there that leads to no file would else be told of as a document that is not found. Raises InputError.
    """
    after = words[words.index("--password") + 1 :][:1] if "--password" in words else ()
    for word in after:
        if not word.startswith("-") and not os.path.lexists(word) and not set(word) & set("/*?[@"):
            raise InputError(
                "--password takes no value: it asks at the terminal, because every user of a machine can list what is "
                "typed here. Give the documents before it, or use --password-file FILE."
            )


def _first_line(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as lines:
            return lines.readline(LONGEST + 2).rstrip("\r\n")
    except OSError as error:
        raise InputError(f"--password-file {str(file)!r} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise InputError(f"--password-file {str(file)!r} is no text in UTF-8.") from None


def _checked(found: str, what: str) -> str:
    if not 1 <= len(found) <= LONGEST:
        raise InputError(f"{what} must have from 1 to {LONGEST:,} characters; it has {min(len(found), LONGEST + 1):,}.")
    return found

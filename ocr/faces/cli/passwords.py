"""Where the password of protected PDFs comes from: never from the command line itself, which every user can list."""

import getpass
import sys
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

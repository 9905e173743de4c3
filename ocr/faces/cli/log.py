"""The log of a run in a file, beside what is shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from ocr.errors import InputError, SetupError
from ocr.faces.cli.progress import unrecorded
from ocr.output.untrusted import as_shown


@contextmanager
def log_file(path: Path | None) -> Iterator[Callable[[str], object]]:
    """What adds lines to a file, each with the time; nothing where there is no path.

    What has several lines is that many with the same time, and what would steer a terminal stands as escapes. Raises
    InputError for a file that cannot be written, and what is yielded SetupError where that comes to be later.
    """
    if path is None:
        yield unrecorded
        return
    try:
        file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        raise _unwritable(path, error) from error

    def record(text: str) -> None:
        now = datetime.now().astimezone().isoformat(" ", "seconds")
        try:
            file.write("".join(f"{now} {line}\n" for line in as_shown(text).split("\n")))
        except OSError as error:  # of a disk that is full
            raise SetupError(str(_unwritable(path, error))) from error

    try:
        yield record
    finally:
        with suppress(OSError):  # what could not be written is told of already
            file.close()


def _unwritable(path: Path, error: OSError) -> InputError:
    return InputError(f"The log {str(path)!r} cannot be written: {error.strerror}. Name another file.")

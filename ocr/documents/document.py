"""A file into numbered pages, one at a time. Knows no model and no format; `drawing.py` has the pages drawn."""

import contextlib
import logging
import os
import re
import stat
import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from ocr.documents.drawing import Drawing
from ocr.documents.page import DrawnPage, NumberedPage
from ocr.documents.processes import Stop, never
from ocr.errors import InputError, SetupError
from ocr.settings import Settings

log = logging.getLogger(__name__)

MIN_DPI, MAX_DPI = 72, 600
PDF_DPI = 200  # what dots.ocr's makers measured as best, and above the 144 of DeepSeek-OCR's
_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?")


def open_document(
    source: Path | bytes | IO[bytes],
    selection: str,
    settings: Settings,
    dpi: int = PDF_DPI,
    stop: Stop = never,
    *,
    has_layers: bool = False,
    password: str = "",
) -> "Document":
    """The selected pages of a file, a PDF's drawn at `dpi`, and with their text layers where these are wanted.

    An open file is closed with the document. `password` is for PDFs that are protected with one; others ignore it.

    Each page of a PDF and each full picture of a TIFF is a page; of any other image the first frame is the only one.
    `stop` is called ten times a second while a page is waited for; what it raises ends the drawing and comes out here,
    or where the page was asked for. Raises InputError, before any page comes out, for a file, a selection or a dpi
    that cannot be read.
    """
    with contextlib.ExitStack() as opened:
        file = opened.enter_context(_open_file(source, settings.max_file_mb))
        if not MIN_DPI <= dpi <= MAX_DPI:
            raise InputError(f"is {dpi}; it must be from {MIN_DPI} to {MAX_DPI}.", "dpi")
        drawing = Drawing(file, dpi, settings, stop, has_layers=has_layers, password=password)
        pages = opened.enter_context(contextlib.closing(drawing))
        numbers = select_pages(selection, pages.count, settings.max_pages)
        _tell_of_absent(selection, pages.count)
        return Document(numbers, pages.draw, opened.pop_all())


class Document:
    """An opened document. Iterating draws its selected pages, each when it is asked for, and closes it at the end.

    A page that cannot be drawn comes as the InputError that says why, and the pages after it still come. None is kept,
    so a document takes the memory of one page however long it is.
    """

    def __init__(self, numbers: Sequence[int], draw: Callable[[int], DrawnPage], opened: contextlib.ExitStack) -> None:
        self.numbers = tuple(numbers)
        self._left = deque(numbers)
        self._draw = draw
        self._opened = opened

    def __iter__(self) -> Iterator[NumberedPage]:
        with self:
            while self._left:
                number = self._left.popleft()
                yield number, self._page(number)

    def _page(self, number: int) -> DrawnPage | InputError:
        try:
            return self._draw(number)
        except InputError as error:
            return InputError(str(error))  # the one that was raised holds on to what was drawn until then
        except SetupError:
            raise
        except Exception as error:  # whatever is wrong with this page, the others are read
            log.warning("Page %d cannot be drawn.", number, exc_info=error)
            reason = f": {error}" if str(error) else "."
            return InputError(f"Page {number} cannot be drawn: {type(error).__name__}{reason}")
        finally:
            if not self._left:
                self.close()  # others may have what draws while this page is read

    def close(self) -> None:
        """Close the file; no more pages come."""
        self._left.clear()
        self._opened.close()

    def __enter__(self) -> "Document":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def _open_file(source: Path | bytes | IO[bytes], max_file_mb: int) -> IO[bytes]:
    """The source as an open file. Raises InputError for one that is not there or is too large, before it is read."""
    if isinstance(source, bytes):
        _check_file_size(len(source), max_file_mb)
        file = tempfile.TemporaryFile()  # noqa: SIM115  a real file, which the process that draws can be handed
        file.write(source)
        return file
    if not isinstance(source, Path):
        _check_file_size(source.seek(0, os.SEEK_END), max_file_mb)
        return source
    try:
        status = source.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a pipe or a device might wait for ever
            raise InputError(f"{str(source)!r} is no file.")
        _check_file_size(status.st_size, max_file_mb)
        return source.open("rb")
    except OSError as error:
        raise InputError(f"{str(source)!r} cannot be read: {error.strerror}.") from error


def _check_file_size(size: int, max_file_mb: int) -> None:
    if size > max_file_mb * 2**20:
        raise InputError(
            f"The file has {size / 2**20:.1f} MiB; at most {max_file_mb} are read. "
            "Send a smaller one, or raise OCR_MAX_FILE_MB on the server."
        )


def select_pages(selection: str, count: int, most: int) -> list[int]:
    """The page numbers that a selection such as `1-3,7` names in a document of `count` pages, in order, each once.

    An empty selection is all of them, and pages beyond the last are left out, so that one selection serves documents of
    any length. Raises InputError that names the part which cannot be, or which takes the selection above `most` pages,
    and for a selection of which the document has no page.
    """
    if not selection.strip():
        _check_most(count, most, "The document has")
        return list(range(1, count + 1))
    chosen: set[int] = set()
    for part, first, last in page_ranges(selection):
        if not 1 <= first <= last:
            raise InputError(f"is {selection!r}; {part!r} is no range of pages, which are counted from 1.", "pages")
        chosen.update(range(first, min(last, count) + 1))
        _check_most(len(chosen), most, f"is {selection!r}; up to {part!r} it selects", "pages")
    if not chosen:
        raise InputError(f"is {selection!r}; none of these can be read: the document has {_extent(count)}.", "pages")
    return sorted(chosen)


def _tell_of_absent(selection: str, count: int) -> None:
    if any(last > count for _part, _first, last in page_ranges(selection)):
        log.warning(
            "Of the pages %s those beyond the last are left out: the document has %s.", selection, _extent(count)
        )


def _extent(count: int) -> str:
    return "1 page" if count == 1 else f"pages 1 to {count}"


def page_ranges(selection: str) -> Iterator[tuple[str, int, int]]:
    """The parts of a selection, each with its first and last page. Raises InputError for a part that is no range."""
    for part in selection.split(",") if selection.strip() else ():
        match = _RANGE.fullmatch(part)
        if match is None:
            raise InputError(f"is {selection!r}; {part.strip()!r} is no page or range. Write it like 1-3,7.", "pages")
        yield part.strip(), int(match[1]), int(match[2] or match[1])


def _check_most(number: int, most: int, what: str, field: str = "") -> None:
    if number > most:
        raise InputError(
            f"{what} {number:,} pages; at most {most:,} are read in one request. "
            f"Select fewer, like 1-{most}, or raise OCR_MAX_PAGES on the server.",
            field,
        )

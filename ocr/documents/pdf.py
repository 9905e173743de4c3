"""The pages of a PDF within limits, and what of each is not in its drawing. PDFium is in `pdf_drawing.py`."""

import contextlib
import math
import mmap
import re
from collections.abc import Iterator, Mapping
from typing import IO, Any

import pypdfium2 as pdfium

from ocr.documents.decoding import check_size
from ocr.documents.page import DrawnPage
from ocr.documents.pdf_drawing import POINTS_PER_INCH, PdfDrawing
from ocr.errors import InputError, choices

TABLE, END = b"startxref", b"%%EOF"  # at the end of what counts; where PDFium finds none it guesses what there is
_OBJECT = re.compile(rb"\d\s+\d+\s+obj\b|endobj|endstream")
EMBED = "Send a PDF with its fonts embedded, or install fonts with these letters on the server."

_REFUSALS: Mapping[int, str] = {
    pdfium.raw.FPDF_ERR_PASSWORD: (
        "The PDF is protected with a password; send a copy without one. The command line takes it with --password."
    ),
    pdfium.raw.FPDF_ERR_SECURITY: (
        "The PDF is protected in a way that cannot be opened; send a copy without protection."
    ),
    pdfium.raw.FPDF_ERR_FILE: "The PDF has no pages.",  # see `PdfDrawing`
}
_WRONG_PASSWORD = "The PDF is protected with a password, and the one that was given does not open it."  # noqa: S105


class Pdf:
    """One PDF: the number of its pages, and each of them drawn when it is asked for.

    Raises InputError for a file that cannot be opened: damaged, protected and empty ones are told apart.
    """

    def __init__(self, file: IO[bytes], *, dpi: int, max_pixels: int, password: str = "") -> None:
        self._dpi = dpi
        self._max_pixels = max_pixels
        try:
            self._drawing = PdfDrawing(file.fileno(), _length(file), password)
        except pdfium.PdfiumError as error:
            damaged = f"The PDF is damaged and cannot be opened: {error}"
            is_wrong = bool(password) and error.err_code == pdfium.raw.FPDF_ERR_PASSWORD
            raise InputError(_WRONG_PASSWORD if is_wrong else _REFUSALS.get(error.err_code, damaged)) from None
        self.count = len(self._drawing.document)

    def draw(self, number: int) -> DrawnPage:
        """A page, from 1. Raises InputError for one that is damaged or exceeds a limit."""
        index = number - 1
        points, dpi = self._fitting(number)
        check_size(_pixels(points, dpi), self._max_pixels, f"Page {number} at {dpi:g} dpi")
        problems = [_coarser(number, points, self._dpi, dpi, self._max_pixels)] if dpi < self._dpi else []
        with _drawing(number):
            image, told = self._drawing.draw(index, dpi)
        page = DrawnPage(image, (*problems, *_problems(number, told)))
        if page.is_blank:
            with _drawing(number):
                fonts = self._drawing.fonts(index)
            if fonts:
                raise InputError(
                    f"Page {number} of the PDF has text, but nothing of it shows: it is as light as the page, or its "
                    f"letters cannot be drawn. Its fonts are: {choices(fonts)}. {EMBED}"
                )
        return page

    def text(self, number: int) -> Mapping[str, Any]:
        """The text of a page, with its places on the page as it is drawn. Raises InputError for one that is damaged."""
        points, dpi = self._fitting(number)
        with _drawing(number):
            return self._drawing.text(number - 1, _pixels(points, dpi))

    def _fitting(self, number: int) -> tuple[tuple[float, float], float]:
        """A page's width and height in points, and the dpi at which it is drawn."""
        with _drawing(number):
            points = self._drawing.size(number - 1)
        if min(points) <= 0:
            raise InputError(
                f"Page {number} of the PDF shows nothing: its crop box lies outside its media box. "
                "Send a PDF whose boxes overlap."
            )
        return points, _fitting_dpi(points, self._dpi, self._max_pixels)

    def close(self) -> None:
        """Let go of the document; the file is its opener's to close."""
        self._drawing.close()


@contextlib.contextmanager
def _drawing(number: int) -> Iterator[None]:
    """A block that draws a page: an error in it means that the page is damaged, and is an InputError."""
    try:
        yield
    except MemoryError:
        raise
    except Exception as error:  # PDFium's, ctypes', or that of an index
        reason = str(error) or type(error).__name__
        raise InputError(f"Page {number} of the PDF is damaged and cannot be drawn: {reason}") from error


def _length(file: IO[bytes]) -> int:
    """How many bytes of a file are the PDF: what comes after its end is none of it.

    Raises InputError for a file that is cut off. PDFium would put together what it finds, and the missing pages, or
    parts of pages, would be lost in silence.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        table = data.rfind(TABLE)
        end = data.find(END, table) + len(END)
        if table < 0 or _OBJECT.search(data, table):  # the end of an earlier version, with a part of the next one
            raise InputError("The PDF is damaged: its end is missing, and pages may be too. Send it again, whole.")
        return end if end > table else len(data)


def _pixels(points: tuple[float, float], dpi: float) -> tuple[int, int]:
    """Width and height in pixels, from those in points."""
    width, height = (math.ceil(side * dpi / POINTS_PER_INCH) for side in points)
    return width, height


def _fitting_dpi(points: tuple[float, float], wanted: int, max_pixels: int) -> float:
    """The wanted dpi, or the finest one below it at which a page has no more than `max_pixels`."""
    if math.prod(_pixels(points, wanted)) <= max_pixels:
        return wanted
    dpi = POINTS_PER_INCH * math.sqrt(max_pixels / math.prod(points))
    dpi = math.floor(dpi) if dpi > 10 else dpi
    while math.prod(_pixels(points, dpi)) > max_pixels:
        dpi *= 0.999
    return dpi


def _coarser(number: int, points: tuple[float, float], wanted: int, dpi: float, max_pixels: int) -> str:
    width, height = points[0] / POINTS_PER_INCH, points[1] / POINTS_PER_INCH
    count = math.prod(_pixels(points, wanted))
    return (
        f"Page {number} is {width:.4g} x {height:.4g} inches and would have {count:,} pixels at {wanted} dpi; at most "
        f"{max_pixels:,} are read. It is drawn at {dpi:.3g} dpi: small print may be lost. "
        "OCR_MAX_PIXELS on the server can be raised."
    )


def _problems(number: int, answer: Mapping[str, Any]) -> Iterator[str]:
    """What of a page is not in its drawing."""
    if answer["is_placeholder"]:
        yield (
            f"Page {number} is the placeholder of an XFA form, whose own pages are not drawn. "
            "Print the form into a PDF and send that."
        )
    for font, letters in answer.get("lost", {}).items():
        yield (
            f"Page {number} has {len(letters)} different letters that are not drawn ({letters[:10]}): the font "
            f"{font or 'of a form field'} is not embedded, and no font on the server has them. {EMBED}"
        )
    for font in answer.get("unknown", ()):
        yield (
            f"Page {number} has text in the font {font}, which is not embedded, and does not say which letters it is: "
            "it may be drawn wrong. Send a PDF with its fonts embedded."
        )

"""A file into numbered pages, one at a time. Knows no model; images come from `ocr.images`, PDFs are drawn here."""

import contextlib
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pypdfium2 as pdfium
from PIL import Image

from ocr.errors import InputError
from ocr.images import check_size, open_image, read_bytes
from ocr.settings import Settings

PDF_DPI = 200  # what dots.ocr's makers measured as best, and above the 144 of DeepSeek-OCR's
POINTS_PER_INCH = 72  # a PDF's unit
PDF_MARK, PDF_MARK_WITHIN = b"%PDF-", 1024  # bytes from the start, as readers of damaged files allow
_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?")


def read_pages(path: Path, selection: str, settings: Settings) -> Iterator[tuple[int, Image.Image]]:
    """The selected pages of a document with their numbers from 1, each an upright RGB image.

    A PDF is drawn page by page at 200 dpi, so that it takes the memory of one page however long it is; an image is one
    page, and of a file with several frames the first is read. Raises InputError for a file or a selection that cannot
    be read, before any page comes out, and for a page that cannot be drawn.
    """
    data = read_bytes(path, settings.max_file_mb)
    if PDF_MARK in data[:PDF_MARK_WITHIN]:
        return _pdf_pages(data, selection, settings.max_pixels)
    numbers = select_pages(selection, 1)
    page = open_image(data, max_pixels=settings.max_pixels)
    return ((number, page) for number in numbers)


def _pdf_pages(data: bytes, selection: str, max_pixels: int) -> Iterator[tuple[int, Image.Image]]:
    document = _open_pdf(data)
    try:
        numbers = select_pages(selection, len(document))
    except InputError:
        document.close()
        raise
    return _drawn(document, numbers, max_pixels)


def _open_pdf(data: bytes) -> pdfium.PdfDocument:
    try:
        document = pdfium.PdfDocument(data)
    except pdfium.PdfiumError as error:
        if error.err_code == pdfium.raw.FPDF_ERR_PASSWORD:
            raise InputError("The PDF is protected with a password; send a copy without one.") from error
        raise InputError(f"The PDF is damaged and cannot be opened: {error}") from error
    if len(document) == 0:
        document.close()
        raise InputError("The PDF has no pages.")
    return document


def _drawn(document: pdfium.PdfDocument, numbers: list[int], max_pixels: int) -> Generator[tuple[int, Image.Image]]:
    with contextlib.closing(document):
        for number in numbers:
            yield number, _draw(document, number, max_pixels)


def _draw(document: pdfium.PdfDocument, number: int, max_pixels: int) -> Image.Image:
    scale = PDF_DPI / POINTS_PER_INCH
    try:
        with contextlib.closing(document[number - 1]) as page:
            width, height = page.get_size()
            check_size((round(width * scale), round(height * scale)), max_pixels, f"Page {number} at {PDF_DPI} dpi")
            image: Image.Image = page.render(scale=scale).to_pil().convert("RGB")
    except pdfium.PdfiumError as error:
        raise InputError(f"Page {number} of the PDF is damaged and cannot be drawn: {error}") from error
    return image


def select_pages(selection: str, count: int) -> list[int]:
    """The page numbers that a selection such as `1-3,7` names in a document of `count` pages, in order, each once.

    An empty selection is all of them. Raises InputError that names the part which cannot be.
    """
    if not selection.strip():
        return list(range(1, count + 1))
    chosen: set[int] = set()
    for part in selection.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            raise InputError(f"pages is {selection!r}; {part.strip()!r} is no page or range. Write it like 1-3,7.")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= count:
            has = "1 page" if count == 1 else f"pages 1 to {count}"
            raise InputError(f"pages is {selection!r}; {part.strip()!r} cannot be read: the document has {has}.")
        chosen.update(range(first, last + 1))
    return sorted(chosen)

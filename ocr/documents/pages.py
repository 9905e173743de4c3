"""An open file to its pages, in the way of its format. Knows no selection of pages."""

from collections.abc import Mapping
from typing import IO, Any, Protocol

from ocr.documents import tiff
from ocr.documents.formats import PDF_WITHIN, is_pdf
from ocr.documents.images import read_image
from ocr.documents.page import DrawnPage


class Pages(Protocol):
    """A file's pages, drawn one at a time."""

    count: int

    def draw(self, number: int) -> DrawnPage:
        """A page, from 1. Raises InputError for one that cannot be read."""
        ...

    def text(self, number: int) -> Mapping[str, Any]:
        """What `text_layer.text_layer` is to know of a page's text; nothing where the format has no text."""
        ...

    def close(self) -> None:
        """Let go of everything but the file, which is its opener's to close."""
        ...


def open_pages(file: IO[bytes], *, dpi: int, max_pixels: int, password: str = "") -> Pages:
    """The pages of an open file, a PDF's to be drawn at `dpi` and opened with `password` where it is protected.

    Raises InputError for a file that cannot be read.
    """
    file.seek(0)
    start = file.read(PDF_WITHIN)
    if is_pdf(start):
        from ocr.documents.pdf import Pdf

        return Pdf(file, dpi=dpi, max_pixels=max_pixels, password=password)
    if start[:4] not in tiff.MARKS:
        return Single(read_image(file, max_pixels=max_pixels))
    pages = tiff.Tiff(file, max_pixels=max_pixels)
    return Single(pages.draw(1)) if pages.count == 1 else pages


class Single:
    """An image of one page, decoded as it is opened: where that fails there is no document."""

    count = 1

    def __init__(self, page: DrawnPage) -> None:
        self._page = page

    def draw(self, _number: int) -> DrawnPage:
        return self._page

    def text(self, _number: int) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        pass

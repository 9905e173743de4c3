"""Pages of documents as pictures, crops and PDFs, one document at a time: they may be large, and memory is everybody's.

The pixels are those over which the boxes of elements run: pages are turned as they were to be read.
"""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import anyio
from PIL import Image

from ocr.documents.document import PDF_DPI, open_document
from ocr.documents.page import DrawnPage
from ocr.documents.processes import Stop
from ocr.errors import InputError
from ocr.faces.gateway.refusals import of_error
from ocr.output.drawing import pixel_box
from ocr.output.formats import OF_PAGE
from ocr.settings import Settings
from ocr.types import Box, PageResult

QUALITY = 90  # of JPEGs

T = TypeVar("T")


@dataclass(frozen=True)
class Sheet:
    """A page as it was read."""

    number: int
    turned: int = 0  # degrees clockwise, before it was read
    size: tuple[int, int] | None = None  # width and height over which its boxes run; None: its own
    boxes: Sequence[Box] = ()  # of crops that are wanted

    def scaled(self, box: Box, image: Image.Image) -> Box:
        """A box in the pixels of the page as it is drawn here, which a Cog server may have drawn coarser."""
        width, height = self.size if self.size and all(self.size) else image.size
        across, down = image.width / width, image.height / height
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down


class Drawing:
    """Draws what requests ask for. What is no longer wanted ends within a page."""

    def __init__(self) -> None:
        self._pictures = anyio.CapacityLimiter(1)
        self._documents = anyio.CapacityLimiter(1)  # takes long: pictures do not wait for it

    async def page(self, document: Path, sheet: Sheet, dpi: int = PDF_DPI) -> bytes:
        """A page as a JPEG. Raises Refusal for one that cannot be drawn."""

        def draw(stop: Stop) -> bytes:
            ((_, page),) = _drawn(document, [sheet], dpi, stop)
            return _jpeg(_image(page))

        return await _in_thread(draw, self._pictures)

    async def crops(self, document: bytes, sheets: Sequence[Sheet], dpi: int = PDF_DPI) -> list[bytes]:
        """The parts of pages in their boxes as JPEGs, page after page."""

        def draw(stop: Stop) -> list[bytes]:
            drawn = _drawn(document, sheets, dpi, stop)
            return [crop for sheet, page in drawn for crop in _crops(_image(page), sheet)]

        return await _in_thread(draw, self._pictures)

    async def searchable(self, document: Path, pages: Sequence[PageResult]) -> bytes:
        """A PDF of pages that were read, as they look, with their text to be found and copied."""

        def draw(stop: Stop) -> bytes:
            from ocr.output.searchable_pdf import joined  # a seventh of a second

            sheets = [Sheet(page.page, page.turned, (page.width, page.height)) for page in pages]  # 0, 0: never opened
            drawn = _drawn(document, sheets, PDF_DPI, stop)
            return joined(
                _searchable(None if isinstance(image, InputError) else image, page, sheet)
                for page, (sheet, image) in zip(pages, drawn, strict=True)
            )

        return await _in_thread(draw, self._documents)


async def _in_thread(draw: Callable[[Stop], T], limiter: anyio.CapacityLimiter) -> T:
    over = threading.Event()

    def stop() -> None:
        if over.is_set():
            raise TimeoutError("nobody waits for it any longer")

    try:
        return await anyio.to_thread.run_sync(draw, stop, limiter=limiter)
    except InputError as error:
        raise of_error(error) from error
    finally:
        over.set()


def _drawn(
    document: Path | bytes, sheets: Sequence[Sheet], dpi: int, stop: Stop
) -> Iterator[tuple[Sheet, Image.Image | InputError]]:
    """These pages, whose numbers ascend, each turned as it was read, or why it cannot be drawn."""
    with open_document(document, ",".join(str(sheet.number) for sheet in sheets), Settings(), dpi, stop) as opened:
        if absent := {sheet.number for sheet in sheets} - set(opened.numbers):
            raise InputError(f"lists page {min(absent)}, which the document does not have.", "pages")
        for sheet, (_, page) in zip(sheets, opened, strict=True):
            stop()
            if isinstance(page, DrawnPage):
                page = page.image
            yield sheet, page if isinstance(page, InputError) else page.rotate(-sheet.turned, expand=True)


def _image(page: Image.Image | InputError) -> Image.Image:
    if isinstance(page, InputError):
        raise page
    return page


def _crops(image: Image.Image, sheet: Sheet) -> Iterator[bytes]:
    return (_jpeg(image.crop(pixel_box(sheet.scaled(box, image), image.size))) for box in sheet.boxes)


def _searchable(image: Image.Image | None, page: PageResult, sheet: Sheet) -> bytes:
    if image is not None:
        elements = (
            replace(element, bbox=element.bbox and sheet.scaled(element.bbox, image)) for element in page.elements
        )
        page = replace(page, width=image.width, height=image.height, elements=tuple(elements))
    ((_, pdf),) = OF_PAGE["pdf-pages"].make(image, page)
    return pdf


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()

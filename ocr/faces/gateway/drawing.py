"""Pages and crops of documents as pictures, one document at a time: they may be large, and memory is everybody's."""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import anyio
from PIL import Image

from ocr.documents.document import PDF_DPI, open_document
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.faces.gateway.refusals import of_error
from ocr.output.drawing import pixel_box
from ocr.settings import Settings
from ocr.types import Box

QUALITY = 90  # of JPEGs

T = TypeVar("T")


class Drawing:
    """Draws what requests ask for. The pixels are those over which the boxes of elements run."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(1)

    async def page(self, document: Path, number: int, dpi: int = PDF_DPI) -> bytes:
        """A page as a JPEG. Raises Refusal for one that cannot be drawn."""

        def draw() -> bytes:
            return _jpeg(_drawn(document, [number], dpi)[number])

        return await self._in_thread(draw)

    async def crops(self, document: bytes, boxes: Mapping[int, Sequence[Box]], dpi: int = PDF_DPI) -> list[bytes]:
        """The parts of pages in these boxes as JPEGs, page after page."""

        def draw() -> list[bytes]:
            pages = _drawn(document, boxes, dpi)
            return [
                _jpeg(pages[number].crop(pixel_box(box, pages[number].size)))
                for number, places in boxes.items()
                for box in places
            ]

        return await self._in_thread(draw)

    async def _in_thread(self, draw: Callable[[], T]) -> T:
        try:
            return await anyio.to_thread.run_sync(draw, limiter=self._limiter)
        except InputError as error:
            raise of_error(error) from error


def _drawn(document: Path | bytes, numbers: Iterable[int], dpi: int) -> dict[int, Image.Image]:
    with open_document(document, ",".join(map(str, numbers)), Settings(), dpi) as opened:
        return {number: _image(page) for number, page in opened}


def _image(page: DrawnPage | Image.Image | InputError) -> Image.Image:
    if isinstance(page, InputError):
        raise page
    return page.image if isinstance(page, DrawnPage) else page


def _jpeg(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()

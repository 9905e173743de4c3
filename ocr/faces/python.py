"""Python's face: `from ocr import read`. A document in, its pages out as they are read."""

from collections.abc import Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import IO, Any

from ocr.documents.document import PDF_DPI, open_document
from ocr.models.catalog import AUTO
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings, read_settings
from ocr.types import Decoding, PageResult


def read(
    document: str | Path | bytes | IO[bytes],
    *,
    model: str = AUTO,
    pages: str = "",
    dpi: int = PDF_DPI,
    max_new_tokens: int = Decoding.max_new_tokens,
    password: str = "",
    settings: Settings | None = None,
    **request: Any,
) -> Iterator[PageResult]:
    """The pages of an image, a PDF or a TIFF, each as soon as it is read.

    `document` is a path, the bytes, or an open binary file, which is closed at the end. `pages` is a selection like
    `1-3,7`, and all when empty; `dpi`, 72 to 600, and `password` are for PDFs. `request` has the other fields of
    `ocr.reading.request.Request`: task, reference, resolution, prompt, cut_long_pages, orient, check, text_layer.
    `settings` are those of the environment unless given; a model stays loaded for the calls with the same ones.

    A page that could not be read has `finish_reason` `error` and says why in `error`; the others go on. Ending the
    iteration stops the work. When the first page is asked for, this raises `ocr.errors.InputError` for a document or
    an option that cannot be read, and `ocr.errors.SetupError` where weights or libraries are missing.
    """
    reader = _reader(settings or read_settings())
    wanted = Request(model=reader.resolve(model), **request)
    decoding = Decoding(max_new_tokens=max_new_tokens, deadline_s=reader.settings.deadline_s)
    source = Path(document) if isinstance(document, str) else document
    with (
        open_document(source, pages, reader.settings, dpi, has_layers=wanted.wants_layers, password=password) as opened,
        closing(reader.read(wanted, opened, decoding)) as events,
    ):
        for event in events:
            if isinstance(event, PageResult):
                yield event.without_image()


@cache
def _reader(settings: Settings) -> Reader:
    return Reader(settings)

"""A file into numbered pages, one at a time. Knows no model; pixels come from `ocr.images`."""

import re
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from ocr.errors import InputError
from ocr.images import open_image
from ocr.settings import Settings

_RANGE = re.compile(r"\s*(\d{1,9})\s*(?:-\s*(\d{1,9})\s*)?")


def read_pages(path: Path, selection: str, settings: Settings) -> Iterator[tuple[int, Image.Image]]:
    """The selected pages of a document with their numbers from 1, each an upright RGB image.

    An image is one page; of a file with several frames the first is read. Raises InputError for a file or a
    selection that cannot be read, before any page comes out.
    """
    page = open_image(path, max_pixels=settings.max_pixels, max_file_mb=settings.max_file_mb)
    for number in select_pages(selection, 1):
        yield number, page


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

"""Pixels on their way from one process to another, through memory that both have mapped. Knows no file."""

import mmap
import os
import tempfile
from collections.abc import Iterator
from typing import IO

from PIL import Image, _imaging

PIXEL = 4  # bytes, as Pillow has a pixel of RGB in memory; the fourth counts for nothing
ROOM = 2**22  # pixels: a page of A4 at 200 dpi has 3.9 million, and larger ones pass in several areas
WIDEST = ROOM // 8  # px of an area

Area = tuple[int, int, int, int]  # left, top, right, bottom, in px of the page


class Mailbox:
    """Room for the pixels of one area, mapped from an open file that the other process maps too.

    The memory stays the same for all pages: fresh shared memory costs ten times what copying into it does.
    """

    def __init__(self, descriptor: int) -> None:
        self._memory = mmap.mmap(descriptor, ROOM * PIXEL)

    def put(self, page: Image.Image, area: Area) -> None:
        """Lay an area of a page in mode RGB into the memory."""
        self._view(area).paste(page, (-area[0], -area[1]))

    def take(self, page: Image.Image, area: Area) -> None:
        """Set an area of a page in mode RGB to what lies in the memory."""
        page.paste(self._view(area), area[:2])

    def _view(self, area: Area) -> Image.Image:
        """An image whose pixels are the memory's own: what `Image.frombuffer` makes, for modes without a spare byte."""
        size = (area[2] - area[0], area[3] - area[1])
        view: Image.Image = Image.Image()._new(_imaging.map_buffer(self._memory, size, "raw", 0, ("RGB", 0, 1)))
        return view


def room() -> IO[bytes]:
    """A file without a name to map a mailbox from; where the system has such files, it is in memory alone."""
    has_such = hasattr(os, "memfd_create")
    file = os.fdopen(os.memfd_create("pixels"), "w+b") if has_such else tempfile.TemporaryFile()  # noqa: SIM115
    file.truncate(ROOM * PIXEL)
    return file


def areas(size: tuple[int, int]) -> Iterator[Area]:
    """The areas of a page of this width and height, one after the other, each with room in a mailbox."""
    width = min(size[0], WIDEST)
    height = min(size[1], ROOM // width)
    for top in range(0, size[1], height):
        for left in range(0, size[0], width):
            yield left, top, min(left + width, size[0]), min(top + height, size[1])

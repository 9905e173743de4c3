"""The region of a page that dots.ocr is asked to read, from the user's words to the model's pixels."""

import re

from ocr.errors import InputError
from ocr.types import Box

REGION = "{region}"  # in a template, where the box stands
_BOX = re.compile(r"\[?\s*" + r"\s*,\s*".join([r"(-?\d{1,9}(?:\.\d{1,9})?)"] * 4) + r"\s*\]?")


def read_box(words: str) -> Box:
    """The box `x1,y1,x2,y2` as numbers. Raises InputError for anything but four of them in order."""
    match = _BOX.fullmatch(words.strip())
    x1, y1, x2, y2 = map(float, match.groups()) if match else (0.0, 0.0, 0.0, 0.0)
    if not (0 <= x1 < x2 and 0 <= y1 < y2):
        raise InputError(
            f"The box to read is {words[:80]!r}; it must be four numbers x1,y1,x2,y2 in pixels of the page, "
            "with 0 <= x1 < x2 and 0 <= y1 < y2."
        )
    return x1, y1, x2, y2


def region(words: str, page: tuple[int, int], seen: tuple[int, int]) -> str:
    """The box `x1,y1,x2,y2` in pixels of the page as the prompt has it: `[x1, y1, x2, y2]` in pixels the model sees.

    `page` and `seen` are (width, height). Raises InputError for anything but four numbers in order inside the page.
    """
    width, height = page
    x1, y1, x2, y2 = read_box(words)
    if x2 > width or y2 > height:
        raise InputError(
            f"The box to read is {words[:80]!r}; it must be four numbers x1,y1,x2,y2 in pixels of the page, "
            f"with 0 <= x1 < x2 <= {width} and 0 <= y1 < y2 <= {height}."
        )
    scaled = (x1 * seen[0] / width, y1 * seen[1] / height, x2 * seen[0] / width, y2 * seen[1] / height)
    return str([int(side) for side in scaled])  # the makers round down too

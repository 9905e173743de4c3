"""The region of a page that a model is asked to read, from the user's words. Knows no model."""

import math
import re

from ocr.errors import InputError
from ocr.types import Box

REGION = "{region}"  # in a template, where the box stands

_BOX = re.compile(r"\[?\s*" + r"\s*,\s*".join([r"(-?\d{1,9}(?:\.\d{1,9})?)"] * 4) + r"\s*\]?")


def read_box(words: str, page: tuple[int, int] | None = None) -> Box:
    """The box `x1,y1,x2,y2` as numbers. Raises InputError for anything but four of them in order.

    With the (width, height) of a page it must lie on it.
    """
    match = _BOX.fullmatch(words.strip())
    x1, y1, x2, y2 = map(float, match.groups()) if match else (0.0, 0.0, 0.0, 0.0)
    width, height = page or (math.inf, math.inf)
    if not (0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height):
        right, bottom = (f" <= {width}", f" <= {height}") if page else ("", "")
        raise InputError(
            f"The box to read is {words[:80]!r}; it must be four numbers x1,y1,x2,y2 in pixels of the page, "
            f"with 0 <= x1 < x2{right} and 0 <= y1 < y2{bottom}."
        )
    return x1, y1, x2, y2

"""Lines of print as networks find them, set on pages that are not drawn: places and texts alone."""

import math
import re
from collections.abc import Sequence

from ocr.types import Line, Point

SIZE = (1000, 1400)  # px, of a page
TYPE = 20  # px per em
PITCH = 1.3  # em from line to line
_WIDE = re.compile("[\u2e80-\u9fff\uff00-\uffef]")


def width(text: str, size: float = TYPE) -> float:
    """px that a text takes up: half an em a letter, a sign of CJK a whole one."""
    return size / 2 * (len(text) + len(_WIDE.findall(text)))


def line(text: str, x: float, y: float, size: float = TYPE) -> Line:
    """A line whose print begins at (x, y); its frame reaches a little over it, as frames do."""
    slack = 0.15 * size
    x1, y1, x2, y2 = x - slack, y - slack, x + width(text, size) + slack, y + size + slack
    return Line(text, 0.99, ((x1, y1), (x2, y1), (x2, y2), (x1, y2)))


def stack(texts: Sequence[str], x: float, y: float, size: float = TYPE) -> list[Line]:
    """Lines one below the other."""
    return [line(text, x, y + n * PITCH * size, size) for n, text in enumerate(texts)]


def wrapped(text: str, letters: int) -> list[str]:
    """The text in lines of at most so many letters."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > letters:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def grid(
    rows: Sequence[Sequence[str]], starts: Sequence[float], y: float, *, right: Sequence[int] = (), leading: float = 1.5
) -> list[Line]:
    """The cells of a table, none for an empty one; the columns `right` end where they would begin."""
    found = []
    for n, row in enumerate(rows):
        for column, (text, x) in enumerate(zip(row, starts, strict=True)):
            if text:
                left = x - width(text) if column in right else x
                found.append(line(text, left, y + n * leading * TYPE))
    return found


def turned(lines: Sequence[Line], degrees: float) -> list[Line]:
    """The lines turned clockwise about the middle of the page, each frame with it."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    mid_x, mid_y = SIZE[0] / 2, SIZE[1] / 2

    def turn(point: Point) -> Point:
        x, y = point[0] - mid_x, point[1] - mid_y
        return mid_x + x * cos - y * sin, mid_y + x * sin + y * cos

    found = []
    for each in lines:
        first, second, third, fourth = map(turn, each.corners)
        found.append(Line(each.text, each.score, (first, second, third, fourth)))
    return found

"""The print of a page as it reads, from left to right and top to bottom, however it lies there. Knows no structure."""

import math
import re
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from ocr.models.pp_ocr.direction import direction, is_long, main_direction, weighted_middle
from ocr.types import Box, Line, Point

TILT = 10  # degrees to either side within which a line runs along with the others
FRAME = 0.4  # heights that a frame is wider than the print in it
SIZE_OF_HEIGHT = 0.85  # as the size of long spans is of theirs
SURE_OF_SIZE = 5  # letters from which on their widths say something about their size
SAME_ROW = 0.25  # heights that the middles of two spans in one row differ by at most
APART = 0.05  # heights between two spans that are not parts of one line of print; frames reach over the print itself
MARKER_GAP = 2.5  # heights between the mark of a list's item and its text
MARKER = re.compile(r"(?:[•●○◦▪■□‣·*–—-]|\(?(?:\d{1,2}|[a-z]|[ivx]{1,4})[.)])(?=\s|$)")
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\U00020000-\U0003ffff]")


@dataclass(frozen=True)
class Span:
    """A stretch of print on one base line. Lengths are px of the page turned upright, which is not drawn anywhere."""

    lines: tuple[Line, ...]  # usually one; several where a line of print was found in parts
    x1: float
    y1: float
    x2: float
    y2: float

    @cached_property
    def text(self) -> str:
        return " ".join(line.text for line in self.lines)

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def middle(self) -> float:
        return (self.y1 + self.y2) / 2

    @cached_property
    def size(self) -> float:
        """How large its type is, in px, by its letters' width above all: a frame's height depends on which they are."""
        if self.weight < SURE_OF_SIZE or self.width < self.height:
            return SIZE_OF_HEIGHT * min(self.height, self.width)
        width = sum(math.dist(*line.corners[:2]) - FRAME * self.height for line in self.lines)
        return math.cbrt(self.height * (2 * max(width, 1.0) / self.weight) ** 2)

    @cached_property
    def weight(self) -> int:
        """Its length in letters of the Latin alphabet: the signs of CJK are about twice as wide."""
        return len(self.text) + len(_CJK.findall(self.text))


def is_cjk(sign: str) -> bool:
    """Whether lines that meet at this sign are joined without a space."""
    return bool(_CJK.fullmatch(sign))


def bounds(spans: Sequence[Span]) -> Box:
    """The box around them, upright."""
    return (
        min(span.x1 for span in spans),
        min(span.y1 for span in spans),
        max(span.x2 for span in spans),
        max(span.y2 for span in spans),
    )


def usual(spans: Sequence[Span], length: Callable[[Span], float]) -> float:
    """The length, such as the size, that half of the letters have or exceed; 0 without any."""
    return weighted_middle([(length(span), span.weight) for span in spans]) if spans else 0.0


def upright(lines: Sequence[Line], size: tuple[int, int]) -> tuple[list[Span], list[Span], Box]:
    """The spans that run along with most of the print, those that lie or stand across it, and where the page ends."""
    angle = main_direction(lines)
    along: list[Span] = []
    across: list[Span] = []
    for line in lines:
        off = (direction(line) - angle + 180) % 360 - 180
        is_along = abs(off) <= TILT or not is_long(line)
        (along if is_along else across).append(_turned(line, angle))
    width, height = size
    page = _turned(Line("", 1.0, ((0, 0), (width, 0), (width, height), (0, height))), angle)
    return along, across, (page.x1, page.y1, page.x2, page.y2)


def _turned(line: Line, angle: float) -> Span:
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def turn(point: Point) -> Point:
        return point[0] * cos + point[1] * sin, point[1] * cos - point[0] * sin

    xs, ys = zip(*map(turn, line.corners), strict=True)
    return Span((line,), min(xs), min(ys), max(xs), max(ys))


class Row(list[Span]):
    """Spans side by side, from left to right, none over another."""

    @property
    def middle(self) -> float:
        return sum(span.middle for span in self) / len(self)

    @property
    def height(self) -> float:
        return max(span.height for span in self)

    def has_room(self, span: Span) -> bool:
        """Whether it stands on the same level, and no other at its place."""
        near = SAME_ROW * min(span.height, self[0].height)
        at = bisect_left(self, span.x1, key=_left)
        return (
            abs(span.middle - self[0].middle) <= near
            and (at == 0 or self[at - 1].x2 <= span.x1 + near)
            and (at == len(self) or span.x2 <= self[at].x1 + near)
        )

    def put(self, span: Span) -> None:
        insort(self, span, key=_left)


def _left(span: Span) -> float:
    return span.x1


def rows(spans: Sequence[Span]) -> list[Row]:
    """The spans in rows, from top to bottom."""
    found: list[Row] = []
    for span in sorted(spans, key=lambda span: (span.middle, span.x1)):
        row = next((row for row in found[:-4:-1] if row.has_room(span)), None)
        if row is None:
            found.append(Row([span]))
        else:
            row.put(span)
    return sorted(found, key=lambda row: row.middle)


def whole_lines(spans: Sequence[Span]) -> list[Span]:
    """The spans, parts of one line of print put together: those that touch, and the mark of an item and its text."""
    return [span for row in rows(spans) for span in _joined(row)]


def _joined(row: Row) -> Iterator[Span]:
    current = row[0]
    gaps = sum(after.x1 - before.x2 > APART * before.height for before, after in pairwise(row))
    for span in row[1:]:
        height = min(current.height, span.height)
        is_mark = MARKER.fullmatch(current.text) and gaps == 1
        if span.x1 - current.x2 <= (MARKER_GAP if is_mark else APART) * height:
            x1, y1, x2, y2 = bounds((current, span))
            current = Span((*current.lines, *span.lines), x1, y1, x2, y2)
        else:
            yield current
            current = span
    yield current

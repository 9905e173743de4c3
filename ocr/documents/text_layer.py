"""The text that a PDF itself has of a page, beside how the page looks: may it stand for what is seen? Knows no PDF.

A file can say anything. Its text is believed where the drawing bears it out: words are kept only where print shows,
and a layer that leaves print or pictures unexplained is not whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ocr.types import Box, Line, Point

Flags = NDArray[np.bool_]

LARGEST = 2400  # px of the longer side; larger pages are looked at made smaller
EDGE = 24  # levels between neighbours that are an edge of print, as in `ocr.reading.parts`
RULE = 1 / 20  # of the page's width or height: edges that run straight for longer are rules and frames, no print
NEAR = 0.25  # heights of a line around it that are explained by it too: underlines, marks that fonts draw outside
CELL = 32  # px, side of the squares that are counted
MOST_CELLS = 0.01  # of the page that may show what no text explains: a logo, not a figure
MOST_EDGES = 0.05  # of all edges, likewise
MOST_PICTURES = 0.03  # of the page's area: soft ones may have no edges
MOST_LOST = 0.02  # of the characters, and of those of which nothing shows
MOST_APART = 0.3  # of the characters that are lines of their own; more where each stands alone, or below another
FEW = 20  # characters, among which that may be chance
MOST_LINES = 3000  # a page of a newspaper has fewer


@dataclass(frozen=True)
class TextLayer:
    """The text of a page as its file has it, in the file's order."""

    lines: tuple[Line, ...] = ()  # those that show
    doubt: str = ""  # why it cannot stand for what is on the page, one sentence; "" where it is whole and sane

    @property
    def turn(self) -> int:
        """By how many degrees, clockwise, the page is to be turned so that most of its text is level."""
        lengths = [0.0] * 4
        for line in self.lines:
            lengths[_quarter(line)] += len(line.text)
        return -90 * lengths.index(max(lengths)) % 360

    def turned(self, degrees: int, size: tuple[int, int]) -> "TextLayer":
        """The layer of the page turned clockwise by a multiple of 90 degrees; `size` is the width and height before."""
        lines = tuple(
            replace(line, corners=tuple(_turned(corner, degrees, size) for corner in line.corners))  # type: ignore[arg-type]
            for line in self.lines
        )
        return replace(self, lines=lines)


def _turned(point: Point, degrees: int, size: tuple[int, int]) -> Point:
    (x, y), (width, height) = point, size
    return {0: (x, y), 90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}[degrees]


def _quarter(line: Line) -> int:
    """By how many right angles, clockwise, a line runs away from the level."""
    (x1, y1), (x2, y2) = line.corners[0], line.corners[1]
    if abs(x2 - x1) >= abs(y2 - y1):
        return 0 if x2 >= x1 else 2
    return 1 if y2 >= y1 else 3


def text_layer(told: Mapping[str, Any], image: Image.Image) -> TextLayer:
    """The text layer of a page drawn like this, of what `pdf_text.text_of` tells."""
    page = _Drawn(image)
    lines = tuple(filter(None, (_shown(line, page) for line in told["lines"][:MOST_LINES])))
    return TextLayer(lines, _doubt(told, lines, page))


def _shown(told: Sequence[Any], page: "_Drawn") -> Line | None:
    """A line without the words of which nothing shows; None where that is all of them."""
    quarter, (x1, y1, x2, y2), words = told
    shown = [text for text, *box in words if page.shows(box)]
    around = ((x1, y1), (x2, y1), (x2, y2), (x1, y2))
    corners = (*around[quarter:], *around[:quarter])
    return Line(" ".join(shown), 1.0, corners) if shown else None  # type: ignore[arg-type]


def _doubt(told: Mapping[str, Any], lines: Sequence[Line], page: "_Drawn") -> str:
    characters, lost = told["characters"], told["lost"]
    if len(told["lines"]) > MOST_LINES:
        return f"It has {len(told['lines']):,} lines; at most {MOST_LINES:,} are taken."
    if lost > MOST_LOST * characters:
        return f"{lost:,} of its {characters:,} characters have no known meaning, are slanted, or exceed the limit."
    if not lines:
        return "None of its text is visible on the page."
    written = sum(len(text) for _, _, words in told["lines"] for text, *_ in words)
    unseen = written - sum(len(line.text.replace(" ", "")) for line in lines)
    if unseen > MOST_LOST * written:
        return f"{unseen:,} of its {characters:,} characters are not visible on the page."
    if told["pictures"] > MOST_PICTURES:
        shown = f"Pictures cover {min(told['pictures'], 1):.0%} of the page"
        return f"{shown}, and the text layer does not say what is in them."
    apart = sum(len(line.text) == 1 for line in lines)
    if apart > max(FEW, MOST_APART * sum(len(line.text) for line in lines)):
        return "Its characters stand apart from each other, or below each other."
    return page.unexplained(lines)


class _Drawn:
    """Where on a page as it was drawn something shows."""

    def __init__(self, image: Image.Image) -> None:
        self._factor = -(-max(image.size) // LARGEST)
        self._edges = _edges(image.reduce(self._factor) if self._factor > 1 else image)
        self._sums = np.pad(self._edges.cumsum(axis=0, dtype=np.int32).cumsum(axis=1), ((1, 0), (1, 0)))

    def shows(self, box: Sequence[float]) -> bool:
        """Whether anything does in this box."""
        rows, columns = self._within(box, 0)
        top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
        sums = self._sums
        return bool(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])

    def unexplained(self, lines: Sequence[Line]) -> str:
        """What shows beside these lines, as a sentence; "" where it is nothing of note."""
        prints = self._edges & ~_straight(self._edges) & ~_straight(self._edges.T).T
        rest = prints.copy()
        for line in lines:
            x1, y1, x2, y2 = line.bbox
            rest[self._within(line.bbox, NEAR * min(x2 - x1, y2 - y1))] = False
        share = rest.sum() / max(prints.sum(), 1)
        cells = np.logical_or.reduceat(
            np.logical_or.reduceat(rest, range(0, rest.shape[0], CELL), axis=0), range(0, rest.shape[1], CELL), axis=1
        )
        if share <= MOST_EDGES and cells.mean() <= MOST_CELLS:
            return ""
        return f"{share:.0%} of what is visible, on {cells.mean():.1%} of the page, is not near any of its text."

    def _within(self, box: Sequence[float] | Box, more: float) -> tuple[slice, slice]:
        """The rows and columns of a box and so many px around it."""
        x1, y1, x2, y2 = ((side - more, side + more)[end] for side, end in zip(box, (0, 0, 1, 1), strict=True))
        height, width = self._edges.shape
        return _pixels(y1, y2, self._factor, height), _pixels(x1, x2, self._factor, width)


def _pixels(start: float, end: float, factor: int, most: int) -> slice:
    first = min(max(int(start // factor), 0), most)
    return slice(first, min(max(int(-(-end // factor)), first), most))


def _edges(image: Image.Image) -> Flags:
    """Which pixels (height, width) differ from the one to the right or below, in any color."""
    levels = np.asarray(image)
    edges = np.zeros(levels.shape[:2], bool)
    for here, there, at in (
        (levels[:, :-1], levels[:, 1:], edges[:, :-1]),
        (levels[:-1], levels[1:], edges[:-1]),
    ):
        at |= (np.maximum(here, there) - np.minimum(here, there) > EDGE).any(axis=2)
    return edges


def _straight(edges: Flags) -> Flags:
    """Those edges that are part of a long straight run along their row."""
    length = max(round(edges.shape[1] * RULE), 2)
    if edges.shape[1] < length:
        return np.zeros_like(edges)
    sums = np.pad(edges.cumsum(axis=1, dtype=np.int32), ((0, 0), (1, 0)))
    runs = (sums[:, length:] - sums[:, :-length]) == length  # whether a run begins here
    begun = np.pad(runs, ((0, 0), (length, length - 1))).cumsum(axis=1, dtype=np.int32)
    straight: Flags = begun[:, length:] > begun[:, :-length]
    return straight

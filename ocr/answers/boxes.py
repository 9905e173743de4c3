"""Boxes of a model's answer into page pixels. Pure geometry."""

from collections.abc import Sequence
from dataclasses import dataclass

from ocr.types import Box


@dataclass(frozen=True, kw_only=True)
class Scale:
    """From a model's coordinates on a page, or on a part of one, to the page's pixels."""

    extent: tuple[float, float]  # the width and height over which the model's coordinates run, from 0
    page: tuple[int, int]  # px, width and height of what the model saw
    origin: tuple[int, int] = (0, 0)  # px, where its upper left corner lies on the page

    def to_page(self, box: Box) -> Box:
        """A box of the model's in page pixels, corners in order, inside what the model saw."""
        (x1, x2), (y1, y2) = self._side(0, box[0], box[2]), self._side(1, box[1], box[3])
        return x1, y1, x2, y2

    def _side(self, axis: int, *ends: float) -> list[float]:
        length = float(self.page[axis])
        factor = length / self.extent[axis]
        return sorted(self.origin[axis] + min(max(end * factor, 0.0), length) for end in ends)


def enclosing(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these."""
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)

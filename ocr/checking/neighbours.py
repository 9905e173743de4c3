"""Which lines of a page stand beside, above and below each other. Knows boxes alone."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ocr.types import Box

ROWS = 256  # lines whose distances to all others are computed at once
IN_ROWS, ON_ALL_SIDES = 2, 3  # of the neighbours on each side, the first that are looked at
OVERLAP = 0.5  # of the lower of two lines' heights, that both are at, where they stand in a row

Indices = NDArray[np.intp]


class Neighbours:
    """The nearest lines of each, -1 where there is none, and the lines row by row."""

    def __init__(self, boxes: Sequence[Box]) -> None:
        upright = np.asarray(boxes, np.float32).reshape(-1, 4)
        before, after = _nearest(upright), _nearest(-upright[:, [2, 3, 0, 1]])
        rows = np.arange(len(upright))
        for index in np.argsort(upright[:, 0], kind="stable"):
            left = before[index, 0]
            rows[index] = rows[left] if left >= 0 else index
        self.order: Indices = np.lexsort((upright[:, 0], upright[rows, 1]))
        previous, following = np.full((2, len(upright), 1), -1, np.intp)
        previous[self.order[1:], 0], following[self.order[:-1], 0] = self.order[:-1], self.order[1:]
        # (lines, 3): to the left, the last of the row above, above; and to the right, the first of the row below, below
        self.before: Indices = np.hstack([before[:, :1], previous, before[:, 1:]])
        self.after: Indices = np.hstack([after[:, :1], following, after[:, 1:]])


def _nearest(boxes: NDArray[np.float32]) -> Indices:
    found = np.full((len(boxes), 2), -1, np.intp)
    x1, y1, x2, y2 = boxes.T
    for first in range(0, len(boxes), ROWS):
        some = slice(first, first + ROWS)
        tops, bottoms = np.maximum(y1[some, None], y1), np.minimum(y2[some, None], y2)
        lower = np.minimum((y2 - y1)[some, None], y2 - y1)
        is_row = bottoms - tops > OVERLAP * lower
        is_column = np.minimum(x2[some, None], x2) > np.maximum(x1[some, None], x1)
        is_left = is_row & (x1 + x2 < (x1 + x2)[some, None])
        is_above = is_column & ~is_row & (y1 + y2 < (y1 + y2)[some, None])
        for column, (is_candidate, end) in enumerate(((is_left, x2), (is_above, y2))):
            if not len(boxes):
                continue
            ends = np.where(is_candidate, end, -np.inf)
            best = ends.argmax(axis=1)
            found[some, column] = np.where(is_candidate.any(axis=1), best, -1)
    return found

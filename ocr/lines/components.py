"""The connected parts of a bitmap. Pure geometry on arrays."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Bitmap = NDArray[np.bool_]  # (height, width)
Ints = NDArray[np.int64]


def outlines(bitmap: Bitmap) -> Iterator[Ints]:
    """For each 8-connected part the first and last pixel of each of its runs along a row, (points, 2) as x, y.

    These hold all corners of the part's convex hull. The parts come by their topmost row, then from the left.
    """
    rows, starts, stops = _runs(bitmap)
    parts = _joined(len(rows), *_touching(rows, starts, stops, bitmap.shape[1]))
    order = np.argsort(parts, kind="stable")
    firsts = np.flatnonzero(np.diff(parts[order], prepend=-1))
    for runs in np.split(order, firsts[1:]) if len(order) else ():
        ends = np.concatenate((starts[runs], stops[runs] - 1))
        yield np.stack((ends, np.tile(rows[runs], 2)), axis=1)


def _runs(bitmap: Bitmap) -> tuple[Ints, Ints, Ints]:
    """Row, start and stop of every run of set pixels, row by row; the stop is the first pixel after it."""
    edges = np.diff(np.pad(bitmap, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, starts = np.nonzero(edges == 1)
    return rows, starts, np.nonzero(edges == -1)[1]


def _touching(rows: Ints, starts: Ints, stops: Ints, width: int) -> tuple[Ints, Ints]:
    """The pairs of runs in neighbouring rows of which a pixel of one is beside, over or slanting to one of the other.

    A run [start, stop) touches one of the next row that begins no later than `stop` and stops no earlier than `start`.
    With each row moved on by more than its width, all runs lie in order on one axis, where both can be looked up.
    """
    stride = width + 2
    begins, ends = rows * stride + starts, rows * stride + stops
    first = np.searchsorted(ends, begins + stride)
    counts = np.maximum(np.searchsorted(begins, ends + stride, side="right") - first, 0)
    upper = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(upper)) - np.repeat(np.cumsum(counts) - counts, counts)
    return upper, np.repeat(first, counts) + within


def _joined(count: int, left: Ints, right: Ints) -> Ints:
    """For each of `count` things the smallest one that the pairs join it to, over any number of pairs."""
    parts = np.arange(count)
    while True:
        before = parts
        parts = parts.copy()
        low = np.minimum(before[left], before[right])
        np.minimum.at(parts, before[left], low)
        np.minimum.at(parts, before[right], low)
        parts = parts[parts]
        if np.array_equal(parts, before):
            return parts

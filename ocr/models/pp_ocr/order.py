"""The order in which the parts of a page are read: columns from left to right, and in each from top to bottom."""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Generic, TypeVar

from ocr.types import Box

Part = TypeVar("Part")
SLACK = 0.25  # of a line's height that frames may lie over each other and still be apart


class ReadingOrder(Generic[Part]):
    """Cuts where nothing stands: into columns where there are some, else into bands, of which those that follow each
    other with the same columns stay together.

    `box` gives a part's upright box, `is_stack` says whether it shows a column, which a single line does not; `line` is
    the usual height of a line, in the unit of the boxes.
    """

    def __init__(self, box: Callable[[Part], Box], is_stack: Callable[[Part], bool], line: float) -> None:
        self._box = box
        self._is_stack = is_stack
        self._slack = line * SLACK

    def of(self, parts: Sequence[Part]) -> Iterator[Part]:
        """The parts as they are read."""
        waiting = [list(parts)]
        while waiting:
            group = waiting.pop()
            pieces = self._pieces(group) if len(group) > 1 else []
            if len(pieces) > 1:
                waiting += reversed(pieces)
            else:
                yield from sorted(group, key=lambda part: self._box(part)[1::-1])

    def zones(self, parts: Sequence[Part]) -> Iterator[list[list[Part]]]:
        """The parts in zones from top to bottom, each cut into the columns that go through all of it."""
        for zone in self._zones(self._cut(parts, 1)) if parts else ():
            yield self._cut(zone, 0)

    def _pieces(self, group: list[Part]) -> list[list[Part]]:
        columns = self._cut(group, 0)
        if sum(any(map(self._is_stack, column)) for column in columns) > 1:
            return columns
        bands = self._cut(group, 1)
        zones = list(self._zones(bands))
        return next((pieces for pieces in (zones, bands, columns) if len(pieces) > 1), [])

    def _cut(self, group: Sequence[Part], axis: int) -> list[list[Part]]:
        """The group in pieces along an axis, 0 for x and 1 for y, wherever a line across it meets nothing."""
        group = sorted(group, key=lambda part: self._box(part)[axis])
        ends = list(accumulate((self._box(part)[axis + 2] for part in group), max))
        starts = (n for n in range(1, len(group)) if self._box(group[n])[axis] > ends[n - 1] - self._slack)
        return [group[first:last] for first, last in pairwise([0, *starts, len(group)])]

    def _zones(self, bands: Sequence[list[Part]]) -> Iterator[list[Part]]:
        """Bands one after the other that can be cut into the same columns."""
        zone: list[Part] = []
        reaches: list[tuple[float, float]] = []  # of the zone's columns
        for band in bands:
            own = self._reaches(band)
            together = self._merged([*reaches, *own])
            begins_left = len(reaches) > 1 or len(own) < 2 or (reaches and reaches[0][0] < own[0][1])
            if zone and (len(together) < 2 or not begins_left):
                yield zone
                zone, together = [], own
            zone, reaches = zone + band, together
        yield zone

    def _reaches(self, band: Sequence[Part]) -> list[tuple[float, float]]:
        return self._merged([(self._box(part)[0], self._box(part)[2]) for part in band])

    def _merged(self, reaches: list[tuple[float, float]]) -> list[tuple[float, float]]:
        found: list[tuple[float, float]] = []
        for start, end in sorted(reaches):
            if found and start <= found[-1][1] - self._slack:
                found[-1] = (found[-1][0], max(found[-1][1], end))
            else:
                found.append((start, end))
        return found

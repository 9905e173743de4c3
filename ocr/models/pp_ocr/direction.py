"""Which way the print of a page runs."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from statistics import median

from ocr.types import Line

SURE = 2.5  # times as long as high: shorter frames are nearly square, and their direction is chance
STEPS = [step / 10 for step in range(-10, 11)]  # degrees about the frames' own direction that are tried, see below
LEVEL = 0.12  # heights between two lines that stand on one level at most


def main_direction(lines: Sequence[Line]) -> float:
    """Degrees, clockwise, by which most of the print runs away from the horizontal.

    Frames are px exact at best, so that those of short lines are a degree off. What is side by side on the page tells
    more: near the frames' direction, that one counts in which lines share the most levels.
    """
    quarters: dict[int, list[tuple[float, float]]] = {}
    for line in filter(is_long, lines):
        quarter = round(direction(line) / 90) % 4
        off = (direction(line) - 90 * quarter + 180) % 360 - 180
        quarters.setdefault(quarter, []).append((off, math.dist(*line.corners[:2])))
    if not quarters:
        return 0.0
    quarter, members = max(quarters.items(), key=lambda item: sum(length for _, length in item[1]))
    estimate = weighted_middle(members)
    heights = median(math.dist(*line.corners[1:3]) for line in lines)
    middles = [(sum(x) / 4, sum(y) / 4) for x, y in (zip(*line.corners, strict=True) for line in lines)]
    tried = [0.0] * (abs(estimate) < STEPS[-1]) + [estimate + step for step in STEPS]
    return min(
        (90 * quarter + angle for angle in sorted(tried, key=lambda angle: abs(angle - estimate))),
        key=lambda angle: _levels(middles, angle, LEVEL * heights),
    )


def direction(line: Line) -> float:
    """Degrees, clockwise, by which the line runs away from the horizontal."""
    (x1, y1), (x2, y2) = line.corners[:2]
    return math.degrees(math.atan2(y2 - y1, x2 - x1))


def is_long(line: Line) -> bool:
    """Whether the frame is long enough for its direction to be the line's."""
    start, end, below = line.corners[:3]
    return math.dist(start, end) >= SURE * math.dist(end, below)


def weighted_middle(weighted: list[tuple[float, float]]) -> float:
    """The value that half of the weight is below, of pairs of both, at least one."""
    weighted = sorted(weighted)
    passed = list(accumulate(weight for _, weight in weighted))
    return weighted[bisect_left(passed, passed[-1] / 2)][0]


def _levels(middles: Sequence[tuple[float, float]], angle: float, apart: float) -> int:
    """How many levels there are of points, looked at in a direction."""
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    levels = sorted(y * cos - x * sin for x, y in middles)
    return sum(lower - upper > apart for upper, lower in pairwise(levels))

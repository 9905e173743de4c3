"""Rectangles that stand at any angle. Pure geometry on arrays."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]  # (points, 2) as x, y


class Rectangle(NamedTuple):
    """A rectangle by its middle, the direction of its width, and its sides."""

    middle: Points  # (2,) px
    direction: Points  # (2,), of length 1
    width: float  # px, along the direction
    height: float  # px, across it

    def grown(self, by: float) -> "Rectangle":
        """The rectangle with each side moved outward by so many px."""
        return self._replace(width=self.width + 2 * by, height=self.height + 2 * by)

    @property
    def corners(self) -> Points:
        """The four corners, (4, 2): the upper left one of the two on the left, then clockwise as they are seen."""
        along, across = self.direction * self.width / 2, self._across * self.height / 2
        corners = self.middle + np.stack((-along - across, along - across, along + across, across - along))
        left, right = np.split(corners[np.argsort(corners[:, 0], kind="stable")], 2)
        (upper_left, lower_left), (upper_right, lower_right) = (pair[np.argsort(pair[:, 1])] for pair in (left, right))
        return np.stack((upper_left, upper_right, lower_right, lower_left))

    def holds(self, points: Points) -> NDArray[np.bool_]:
        """Which of these points lie in it or on its sides."""
        offsets = points - self.middle
        slack = 0.5  # px: a pixel counts from its middle on
        inside: NDArray[np.bool_] = (np.abs(offsets @ self.direction) <= self.width / 2 + slack) & (
            np.abs(offsets @ self._across) <= self.height / 2 + slack
        )
        return inside

    @property
    def _across(self) -> Points:
        return np.array((-self.direction[1], self.direction[0]))


def least_rectangle(points: Points) -> Rectangle:
    """The rectangle of least area around points; one of its sides lies on a side of their convex hull."""
    hull = _hull(points)
    sides = np.roll(hull, -1, axis=0) - hull
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    directions = sides[lengths > 0] / lengths[lengths > 0, None] if lengths.any() else np.array(((1.0, 0.0),))
    along = directions @ hull.T  # (directions, points)
    across = np.stack((-directions[:, 1], directions[:, 0]), axis=1) @ hull.T
    widths, heights = np.ptp(along, axis=1), np.ptp(across, axis=1)
    best = int(np.argmin(widths * heights))
    direction = directions[best]
    u, v = ((values[best].max() + values[best].min()) / 2 for values in (along, across))
    middle = u * direction + v * np.array((-direction[1], direction[0]))
    return Rectangle(middle, direction, float(widths[best]), float(heights[best]))


def _hull(points: Points) -> Points:
    """The corners of the convex hull in order (Andrew's monotone chain)."""
    ordered = sorted(set(map(tuple, points.tolist())))
    halves = []
    for chain in (ordered, ordered[::-1]):
        half: list[tuple[float, ...]] = []
        for x, y in chain:
            while len(half) > 1 and _turn(half[-2], half[-1], (x, y)) <= 0:
                half.pop()
            half.append((x, y))
        halves.append(half[:-1])
    return np.array(halves[0] + halves[1] or ordered, dtype=np.float64)


def _turn(a: tuple[float, ...], b: tuple[float, ...], c: tuple[float, ...]) -> float:
    """Above 0 where the way from a over b to c turns left, 0 where it is straight."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])

"""Where a page that is too long or too large to be read at once is cut into parts. Knows pixels alone."""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Area = tuple[int, int, int, int]  # x1, y1, x2, y2 in px of the page, x2 and y2 beyond its last pixels
Size = tuple[int, int]  # px, width and height
Scale = Callable[[Size], float]  # px that the model sees for each px of a page of this size
Levels = NDArray[np.uint8]  # (height, width, 3), RGB
Flags = NDArray[np.bool_]

MAX_ASPECT = 10  # longer side to shorter one; A4 has 1.4, a till receipt of 30 lines 3
PART_ASPECT = 2  # of the parts of a longer page: models are trained on pages, not on strips
LONG = 1000  # px of the longer side; whatever is shorter is hardly shrunk in any model's look at the whole
MIN_SIDE = 16  # px; a shorter side has no room for a line and its margins
READABLE = 6.0  # px of a line, ascenders and descenders included: an x is then 3 px, the fewest that tell e from c
GAIN = 1.2  # by which the parts must be seen larger than the whole, or the cut is not worth a line's context
DEPTH = 5  # times that a page is halved at most: 32 parts
FADED = 24  # levels between neighbours that are an edge of print; grey 200 on white has 55
SIGMAS = 5.0  # of the noise of neighbours' differences that an edge exceeds; of Gaussian noise one in two million does
RULE = 0.95  # of the rows a rule or frame runs through; print does not
BAND = 200  # px, width of the columns in which lines are looked for: those beside each other may not run together
BANDS = 8  # of these columns that are looked at, at most
SAMPLE = 4  # of this many rows and columns the noise of one is looked at
LINES = 5  # that tell how high lines are
SPREAD = 2.5  # of the heights of print, upper quartile to lower one; of the patches of a photograph it is more
WIDE = 0.75  # of the widest gap; among such the one nearest to the middle is taken
OVERLAP = 3.0  # heights of a line that both parts show where no gap is found: a whole line of theirs, wherever it falls
UNKNOWN = 64  # px, taken for a line's height where none can be told


def line_height(page: Image.Image) -> float | None:
    """The height in px of most of a page's lines, ascenders and descenders included; None where it cannot be told.

    Lines are runs of rows with edges of print in them, looked for in columns of their own; heights as different as
    those of what stands out in a photograph are none.
    """
    if min(page.size) < MIN_SIDE:
        return None
    lefts = range(0, max(1, page.width - BAND // 2), BAND)
    bands = [_levels(page, (x, 0, min(x + BAND, page.width), page.height)) for x in lefts[:: len(lefts) // BANDS + 1]]
    heights = [end - start for band in bands for start, end in _runs(~_quiet(band)) if end - start > 2]
    if len(heights) < LINES:
        return None
    lower, middle, upper = np.quantile(heights, (0.25, 0.5, 0.75))
    return float(middle) if upper <= SPREAD * lower else None


def areas(page: Image.Image, scale: Scale, line: float | None) -> list[Area]:
    """The areas of a page to be read one by one, in reading order; the whole page alone where that is best.

    A page of an aspect over MAX_ASPECT is cut, and one whose lines, `line` px high, the model would see less than
    READABLE px high, as long as it shrinks parts less. It is halved, and its halves again, in gaps between lines, so
    that nothing stands in two areas; only where there is no gap they overlap by a line and what is around it.
    """
    is_strip = _aspect(page.size) > MAX_ASPECT
    return list(_areas(page, (0, 0, *page.size), scale, line, PART_ASPECT if is_strip else MAX_ASPECT, DEPTH))


def _areas(page: Image.Image, area: Area, scale: Scale, line: float | None, most: float, depth: int) -> Iterator[Area]:
    axis = _axis((area[2] - area[0], area[3] - area[1]), scale, line, most) if depth else None
    if axis is None:
        yield area
        return
    for half in _halves(page, area, axis, line):
        yield from _areas(page, half, scale, line, most, depth - 1)


def _axis(size: Size, scale: Scale, line: float | None, most: float) -> int | None:
    """Along which side an area is halved, 0 for its width and 1 for its height; None if it is read as it is."""
    if min(size) < MIN_SIDE:
        return None
    if _aspect(size) > most and max(size) > LONG:
        return int(size[1] > size[0])
    if line is None or line * scale(size) >= READABLE or scale(size) >= 1:  # seen larger, print would be as coarse
        return None
    return next((axis for axis in (1, 0) if _helps(size, axis, scale)), None)  # lines are kept whole while that helps


def _helps(size: Size, axis: int, scale: Scale) -> bool:
    """Whether halving this side shows print larger; of a model that sees tiles the second time may be the first to."""
    parts = [_divided(size, axis, 2), _divided(size, axis, 4)]
    fit = [part for part in parts if min(part) >= MIN_SIDE and _aspect(part) <= MAX_ASPECT]
    return any(scale(part) >= GAIN * scale(size) for part in fit)


def _divided(size: Size, axis: int, by: int) -> Size:
    return (size[0], size[1] // by) if axis else (size[0] // by, size[1])


def _aspect(size: Size) -> float:
    return max(size) / min(size)


def _halves(page: Image.Image, area: Area, axis: int, line: float | None) -> tuple[Area, Area]:
    """An area cut in two: in one of the widest gaps of its middle third, or with an overlap where there is none."""
    x1, y1, x2, y2 = area
    length = (y2 - y1) if axis else (x2 - x1)
    first = (y1 if axis else x1) + length // 3
    last = first + length // 3
    levels = _levels(page, (x1, first, x2, last) if axis else (first, y1, last, y2))
    gaps = [
        (end - start, (start + end) // 2) for start, end in _runs(_quiet(levels if axis else levels.swapaxes(0, 1)))
    ]
    widest = max((width for width, _ in gaps), default=0)
    if widest > 1:
        wide = [middle for width, middle in gaps if width >= WIDE * widest]
        ends = starts = first + min(wide, key=lambda middle: abs(middle - length // 6))
    else:
        overlap = min(length // 4, round(OVERLAP * (line or UNKNOWN)))
        starts = (first + last - overlap) // 2
        ends = starts + overlap
    if axis:
        return (x1, y1, x2, ends), (x1, starts, x2, y2)
    return (x1, y1, ends, y2), (starts, y1, x2, y2)


def _levels(page: Image.Image, area: Area) -> Levels:
    return np.asarray(page.crop(area))


def _quiet(levels: Levels) -> Flags:
    """Which rows have no print in them: no edges along the row, but for those that run through all rows.

    A rule along the row has none, and a speck's or a shadow's one is too few.
    """
    left, right = levels[:, :-1], levels[:, 1:]
    changes = np.maximum(left, right) - np.minimum(left, right)  # (height, width - 1, 3)
    differences = np.maximum(np.maximum(changes[:, :, 0], changes[:, :, 1]), changes[:, :, 2])
    noise = 1.4826 * float(np.median(differences[::SAMPLE, ::SAMPLE]))  # the deviation of Gaussian noise by its median
    edges = differences > max(FADED, SIGMAS * noise)
    edges[:, edges.mean(axis=0) > RULE] = False
    quiet: Flags = edges.sum(axis=1) <= 1
    return quiet


def _runs(flags: Flags) -> list[tuple[int, int]]:
    """Start and end of each run of flags that are set."""
    changes = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return [(int(start), int(end)) for start, end in pairwise(changes)][::2]

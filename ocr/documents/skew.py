"""By how much the lines of print on a page are off the level. Knows pixels alone."""

import math

import numpy as np
from PIL import Image

LARGEST = 1000  # px of the longer side that is looked at
EDGE = 40  # levels between a pixel and the one below it: the upper and lower edges of letters
MOST = 15.0  # degrees that are looked for to either side
STEP, FINE = 1.0, 0.25  # degrees between the angles that are tried, first and around the best
FEWEST = 1500  # pixels at edges; less is no page of print
ENOUGH = 15_000  # of these pixels; more tell no more
SHARPER = 1.2  # times by which the rows at the angle must stand out more than without it


def skew(page: Image.Image) -> float:
    """The angle in degrees, clockwise from the level, at which most lines run; 0.0 where none stands out.

    The edges of print are projected along lines at each angle (Postl's method): where that is the print's own they fall
    on few rows, and the sum of the rows' squares is largest. Angles of more than MOST are not found.
    """
    small = page.reduce(math.ceil(max(page.size) / LARGEST)).convert("L")
    levels = np.asarray(small, np.int16)
    y, x = np.nonzero(np.abs(levels[1:] - levels[:-1]) > EDGE)
    if len(y) < FEWEST:
        return 0.0
    some = slice(None, None, len(y) // ENOUGH + 1)
    y, x = y[some], x[some]

    def sharpness(angle: float) -> float:
        rows = np.rint(y - x * math.tan(math.radians(angle))).astype(np.intp)
        return float(np.square(np.bincount(rows - rows.min()), dtype=np.float64).sum())

    coarse = max(np.arange(-MOST, MOST + STEP, STEP), key=sharpness)
    best = max(np.arange(coarse - STEP, coarse + STEP + FINE, FINE), key=sharpness)
    return float(best) if sharpness(best) > SHARPER * sharpness(0.0) and abs(best) < MOST else 0.0

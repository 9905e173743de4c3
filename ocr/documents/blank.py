"""Whether there is anything to read on a page. Knows pixels alone."""

import math
from typing import Any

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

Levels = NDArray[np.uint8]  # (height, width), from 0, black, to 255, white
Cells = NDArray[np.float32]  # (height, width), levels averaged over squares

# The blank test. Lengths are in px of the page, levels from 0 (black) to 255 (white).
CELL = 4  # side of the smallest squares that are averaged: half the height of the smallest letters that can be read
REACH = 2  # cells between one and those it is compared with
BLOCK = 64  # side of the squares that tell the level of the sheet: most of each is sheet
SAMPLE = 4  # of this many rows and columns one is looked at, to find the sheet
MARK = 48  # levels that a pixel counts at most, so that faint print counts like black print and dust like its size
FAINTEST = 6.0  # levels of a mark; the 1 of a font of 8 px, grey 200 on white, has 7.9
SIGMAS = 6.0  # of the noise that a mark exceeds; Gaussian noise exceeds 5.3 in one of about nine million cells
ROUGHEST = 24  # levels that never pass for noise: of noise with a deviation of 10 two pixels in a hundred reach them
INK = 0.02  # the share of pixels that may reach them on a blank page
QUIET, QUIET_SIGMAS = 0.7, 1.036  # this share of Gaussian noise is below this many deviations; marks are in the rest
EDGE = 1 / 20  # of the page, from each side, where a shadow or what lies beyond the sheet is cut off
EDGE_LEVELS = 16  # by which whole rows or columns there differ from the sheet
SMALLEST = 32  # cells on the shorter side of the coarsest look, which sees marks of a sixteenth of the page
LARGEST = 5000  # px of the longer side; of a page twice as large or more, averages of its pixels are looked at
NARROWEST = 32  # px that are left of the shorter side: in one row of cells nothing of a line of print stands out


def is_blank(page: Image.Image) -> bool:
    """Whether there is nothing to read on a page: nothing that stands out from the sheet and its noise.

    A mark is a spot that differs from those left and right of it, and does so otherwise than the spots above and
    below it: an even sheet of any shade has none, and neither has shading, a shadow along an edge, a fold, a streak
    or a rule from edge to edge. Spots of every size are looked at, from a letter of 8 px, whatever the size of the
    page. How strong a mark must be rises with the noise, which is measured on the page itself.

    The lightness of the page is looked at first, and then each of its colors: print may be as light as its ground.

    It errs on the side of reading. Not blank are pages with specks of several pixels, noise of a deviation of 12, or 8
    where it is blurred, noise in a JPEG of low quality, halftones, show-through. Print 55 levels from its ground (grey
    200 on white) is seen at every size, among noise of a deviation of 5 too; small print of half that may be missed.
    """
    factor = min(max(page.size) // LARGEST, min(page.size) // NARROWEST)
    small = page.reduce(factor) if factor > 1 else page
    if not _is_even(np.asarray(small.convert("L"))):
        return False
    red, green, blue = map(np.asarray, small.split())
    is_grey = np.array_equal(red, green) and np.array_equal(green, blue)
    return is_grey or all(_is_even(levels) for levels in (red, green, blue))


def _is_even(levels: Levels) -> bool:
    """Whether nothing stands out from the sheet and its noise in the levels of a page, or in one of its colors."""
    levels = _sheet(levels)
    ground = _ground(levels)
    if _ink(levels, ground) > INK:
        return False
    bound = np.uint8(MARK)
    low, high = np.maximum(ground, bound) - bound, np.minimum(ground, 255 - bound) + bound
    cells = _averages(np.clip(levels, low, high), CELL)
    while True:
        contrast = _contrast(cells)
        noise = float(np.quantile(contrast, QUIET)) / QUIET_SIGMAS
        if contrast.max() > min(max(FAINTEST, SIGMAS * noise), ROUGHEST):
            return False
        if min(cells.shape) < SMALLEST:
            return True
        cells = _averages(cells, 2)


def _sheet(levels: Levels) -> Levels:
    """The page without the shadows along its edges and what lies beyond them: lines that differ as a whole."""
    for _ in range(4):
        sample = levels[::SAMPLE, ::SAMPLE]
        lines = np.median(sample[: int(len(sample) * EDGE) + 1], axis=1)
        shadow = np.flatnonzero(np.abs(lines - lines[-1]) > EDGE_LEVELS)
        end = SAMPLE * (int(shadow[-1]) + 2) if len(shadow) else 0  # with the lines up to the next one looked at
        levels = np.rot90(levels[end:])
    return levels


def _ground(levels: Levels) -> Levels:
    """The level of the sheet at every pixel: the median of each block, interpolated in between."""
    side = BLOCK // SAMPLE
    sample = levels[::SAMPLE, ::SAMPLE]
    rows, columns = (math.ceil(length / side) for length in sample.shape)
    padding = [(0, rows * side - sample.shape[0]), (0, columns * side - sample.shape[1])]
    blocks = rearrange(np.pad(sample, padding, mode="symmetric"), "(h y) (w x) -> h w (y x)", y=side, x=side)
    medians = Image.fromarray(np.median(blocks, axis=2).astype(np.uint8))
    ground = medians.resize((columns * BLOCK, rows * BLOCK), Image.Resampling.BILINEAR)
    return np.asarray(ground)[: levels.shape[0], : levels.shape[1]]


def _ink(levels: Levels, ground: Levels) -> float:
    """The share of pixels that no noise takes so far from the ground."""
    sample = (slice(None, None, SAMPLE), slice(None, None, SAMPLE))
    return float(np.mean(np.abs(levels[sample].astype(np.int16) - ground[sample]) > ROUGHEST))


def _averages(values: NDArray[Any], side: int) -> Cells:
    """The averages of squares of this side; what is left over at the right and the bottom is left out."""
    height, width = (length // side * side for length in values.shape)
    rows = values[:height, :width].reshape(-1, side, width).mean(axis=1, dtype=np.float32)
    averages: Cells = rows.reshape(len(rows), -1, side).mean(axis=2)
    return averages


def _contrast(cells: Cells) -> Cells:
    """By how many levels each cell stands out: its second difference along both axes.

    It is 0 wherever the page is f(x) + g(y), whatever f and g; of noise it has 1.5 times the deviation.
    """
    for _ in range(2):
        padded = np.pad(cells, ((REACH, REACH), (0, 0)), mode="edge")
        around: Cells = (padded[: -2 * REACH] + padded[2 * REACH :]) / np.float32(2)
        cells = (cells - around).T
    return np.abs(cells)

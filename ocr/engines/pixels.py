"""What models of several kinds do to pixels: tiles of a page, and levels as numbers. Knows no torch."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB


def tile_grid(width: int, height: int, *, tile: int, fewest: int, most: int) -> tuple[int, int]:
    """The grid (columns, rows) of `fewest` to `most` tiles, `tile` px each, whose shape is nearest to the page's.

    On an exact tie the later grid, in order of area, wins if the page has more than half the grid's pixels.
    Source: `find_closest_aspect_ratio` and `dynamic_preprocess` of DeepSeek-OCR's and GOT-OCR's makers.
    """
    grids = [(c, r) for c in range(1, most + 1) for r in range(1, most + 1)]
    grids = sorted((g for g in grids if fewest <= g[0] * g[1] <= most), key=lambda grid: grid[0] * grid[1])
    best, smallest = (1, 1), float("inf")
    for columns, rows in grids:
        difference = abs(width / height - columns / rows)
        is_large = width * height > 0.5 * tile * tile * columns * rows
        if difference < smallest or (difference == smallest and is_large):
            best, smallest = (columns, rows), difference
    return best


def tiles(
    page: Image.Image, tile: int, columns: int, rows: int, resample: int = Image.Resampling.BICUBIC
) -> tuple[Pixels, ...]:
    """An RGB page stretched over such a grid and cut, each tile (tile, tile, 3), row by row."""
    resized = page.resize((tile * columns, tile * rows), Image.Resampling(resample))
    corners = [(tile * column, tile * row) for row in range(rows) for column in range(columns)]
    return tuple(np.asarray(resized.crop((x, y, x + tile, y + tile))) for x, y in corners)


def normalised(
    levels: Pixels, mean: Sequence[float], std: Sequence[float], rescale: float = 1 / 255
) -> NDArray[np.float32]:
    """Levels from 0 to 255, (…, 3), as a network takes them: times `rescale`, less the mean, by the deviation.

    One value for each of the 256 levels of a channel: the same numbers as whole-page arithmetic, at a lookup's cost.
    """
    middle, spread = (np.array(values, np.float32) for values in (mean, std))
    fractions = (np.arange(256) * rescale).astype(np.float32)[:, None]
    table: NDArray[np.float32] = (fractions - middle) / spread  # (256, 3)
    return table[levels, [0, 1, 2]]

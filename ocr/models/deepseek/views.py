"""A page to the square views that DeepSeek-OCR sees of it. Knows pixels alone."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from ocr.engines.tiles import tile_grid, tiles

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB
FEWEST_TILES = 2  # that a page is cut into, by the hub's own code
GREY = (127, 127, 127)  # int(255 * 0.5): the models' mean colour, which pads their square views


@dataclass(frozen=True)
class SquareViews:
    """A preset of DeepSeek-OCR's kind: which squares it sees of a page."""

    base: int  # px, side of the view of the whole page
    tile: int | None = None  # px, side of one crop of a page that is larger; None: no crops
    most_tiles: int = 9  # that a page is cut into
    padded: bool = True  # whether the view of the whole page keeps its aspect on a grey square, or is stretched to it


@dataclass(frozen=True)
class Views:
    """What DeepSeek-OCR sees of a page: one square view of the whole, and crops where the preset has them."""

    whole: Pixels  # (base, base, 3)
    tiles: tuple[Pixels, ...] = ()  # each (tile, tile, 3), row by row
    columns: int = 1
    rows: int = 1


def square_views(page: Image.Image, preset: SquareViews) -> Views:
    """The views of an RGB page for a preset, equal to the reference's pixel by pixel.

    Source: `infer()` in the hub's modeling_deepseekocr.py; Pillow's bicubic filter throughout.
    """
    size = (preset.base, preset.base)
    if preset.padded:
        whole = ImageOps.pad(page, size, method=Image.Resampling.BICUBIC, color=GREY)
    else:
        whole = page.resize(size, Image.Resampling.BICUBIC)
    if preset.tile is None or max(page.size) <= preset.tile:
        return Views(np.asarray(whole))
    columns, rows = tile_grid(*page.size, tile=preset.tile, fewest=FEWEST_TILES, most=preset.most_tiles)
    crops = tuple(map(np.asarray, tiles(page, preset.tile, columns, rows)))
    return Views(np.asarray(whole), crops, columns, rows)


def view_scale(size: tuple[int, int], preset: SquareViews) -> float:
    """How many px of its closest view there are for each px of a page of this (width, height).

    A view that is stretched has fewer along one side, and those count: letters squeezed together are as hard to read.
    """
    width, height = size
    whole = preset.base / max(size)
    if preset.tile is None or max(size) <= preset.tile:
        return whole
    columns, rows = tile_grid(width, height, tile=preset.tile, fewest=FEWEST_TILES, most=preset.most_tiles)
    return max(whole, min(columns * preset.tile / width, rows * preset.tile / height))

"""Pixels of any depth, sign and kind to RGB of 8 bits. Knows no file format; what the samples mean is told to it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WHITE = (255, 255, 255)
ROWS = 256  # taken at a time, so that what is computed in between stays small
COLORS = {"L": 1, "RGB": 3, "CMYK": 4}  # samples of a pixel, alpha not counted


@dataclass(frozen=True)
class Samples:
    """A picture as its file has it."""

    values: NDArray[Any]  # (height, width, samples): the color's, then one for alpha where there is any, then others
    color: str  # a key of COLORS
    low: float  # the value that stands for none of a color: black, for CMYK white
    high: float  # the value that stands for all of it
    alpha: str = ""  # "straight", or "premultiplied" where the colors are scaled by it; "" for none
    is_inverted: bool = False  # whether low is white and high black, of grey alone

    def to_rgb(self) -> Image.Image:
        """The picture in mode RGB on white. What is no number is white too, as paper is where nothing was recorded."""
        count = COLORS[self.color]
        levels = self._eight_bits(count + bool(self.alpha))
        colors = Image.fromarray(levels[..., :count] if count > 1 else levels[..., 0], mode=self.color).convert("RGB")
        if not self.alpha:
            return colors
        alpha = Image.fromarray(levels[..., count])
        if self.alpha == "straight":
            return on_white(colors, alpha)
        rgb, opaque = np.asarray(colors), np.asarray(alpha)
        page = np.empty(rgb.shape, np.uint8)
        for top in range(0, len(rgb), ROWS):
            paper = 255 - opaque[top : top + ROWS].astype(np.int16)[..., None]
            page[top : top + ROWS] = np.minimum(rgb[top : top + ROWS] + paper, 255)
        return Image.fromarray(page)

    def _eight_bits(self, count: int) -> NDArray[np.uint8]:
        """The first `count` samples of each pixel as levels from 0 to 255."""
        values = self.values[..., :count]
        levels = np.empty(values.shape, np.uint8)
        is_small = values.dtype.kind in "iu" and values.dtype.itemsize <= 2
        least, most = (np.iinfo(values.dtype).min, np.iinfo(values.dtype).max) if is_small else (0, -1)
        table = self._scaled(np.arange(least, most + 1)).astype(np.uint8)  # a look takes less than to compute each
        for top in range(0, len(values), ROWS):
            rows = values[top : top + ROWS]
            levels[top : top + ROWS] = table[rows.astype(np.int32) - least] if is_small else self._scaled(rows)
        if self.is_inverted:
            levels[..., 0] = 255 - levels[..., 0]
        return levels

    def _scaled(self, values: NDArray[Any]) -> NDArray[Any]:
        fractions = (values.astype(np.float64) - self.low) / (self.high - self.low)
        empty = 0.0 if self.is_inverted or self.color == "CMYK" else 1.0
        return np.rint(np.clip(np.nan_to_num(fractions, nan=empty, posinf=1.0, neginf=0.0), 0, 1) * 255)


def integer_range(bits: int, *, is_signed: bool) -> tuple[float, float]:
    """The lowest and the highest value of integers with so many bits."""
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if is_signed else (0.0, 2.0**bits - 1)


def float_range(values: NDArray[Any]) -> tuple[float, float]:
    """The range of floats that come without one: from 0 to 1, else to 255, else to the largest value.

    Negative values take part too: the range then begins at the least of them.
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = min(0.0, float(finite.min())), float(finite.max())
    return low, next((full for full in (1.0, 255.0) if high <= full), high)


def on_white(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """A picture in mode RGB, transparent where `alpha` (mode L) is low, laid on white."""
    page = Image.new("RGB", image.size, WHITE)
    page.paste(image, mask=alpha)
    return page

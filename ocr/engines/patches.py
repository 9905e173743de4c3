"""A page to the numbers, or rows of patches, that models of any aspect see of it. Knows pixels alone; no torch."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from einops import rearrange, repeat
from numpy.typing import NDArray
from PIL import Image

from ocr.engines.checkpoint import check_fields
from ocr.errors import InputError

MAX_ASPECT = 200  # longer side to shorter one; dots.ocr was trained on nothing longer


@dataclass(frozen=True)
class Levels:
    """How a page is resized, and how its levels of red, green and blue become a model's numbers."""

    mean: tuple[float, float, float]  # of the red, green and blue levels from 0 to 1
    std: tuple[float, float, float]
    rescale: float = 1 / 255
    resample: int = Image.Resampling.BICUBIC

    @classmethod
    def of(cls, preprocessor: Mapping[str, Any]) -> "Levels":
        """As a checkpoint's preprocessor_config.json has them."""
        return cls(
            tuple(preprocessor["image_mean"]),
            tuple(preprocessor["image_std"]),
            preprocessor.get("rescale_factor", cls.rescale),
            preprocessor.get("resample", cls.resample),
        )


@dataclass(frozen=True)
class PatchRules:
    """How a model that takes any aspect turns a page into patches, as its preprocessor_config.json has it."""

    patch: int  # px, side of one patch
    merge: int  # patches per side that become one image token
    min_pixels: float  # area in px of the resized page
    max_pixels: float
    mean: tuple[float, float, float]  # these four as in Levels
    std: tuple[float, float, float]
    rescale: float = Levels.rescale
    resample: int = Levels.resample
    frames: int = 1  # moments of a film in one patch: a picture is seen as one that stands still
    raster: bool = False  # whether patches run row by row over the whole page, not block by block

    @property
    def multiple(self) -> int:
        """px; each side of the resized page is a multiple of it, and an image token covers its square."""
        return self.patch * self.merge

    @property
    def levels(self) -> Levels:
        """How its levels become numbers."""
        return Levels(self.mean, self.std, self.rescale, self.resample)


def patch_rules(
    preprocessor: Mapping[str, Any], *, patch: int, merge: int, frames: int = 1, raster: bool = False
) -> PatchRules:
    """How pages become patches, from a checkpoint's preprocessor_config.json; the rest is the tower's.

    The limits of the area stand there as `min_pixels` and `max_pixels`, or as the edges of a `size`. Raises SetupError
    if values are missing or are not those that the tower was built for.
    """
    size = preprocessor.get("size") or {}
    limits = {"min_pixels": size.get("shortest_edge"), "max_pixels": size.get("longest_edge")}
    given = {**{name: value for name, value in limits.items() if value is not None}, **preprocessor}
    needed = ("patch_size", "merge_size", "min_pixels", "max_pixels", "image_mean", "image_std")
    fixed = {"patch_size": patch, "merge_size": merge, "temporal_patch_size": frames}
    check_fields("preprocessor_config.json", given, needed, fixed)
    least, most, levels = given["min_pixels"], given["max_pixels"], vars(Levels.of(given))
    return PatchRules(patch, merge, least, most, **levels, frames=frames, raster=raster)


def check_aspect(width: int, height: int) -> None:
    """Raise InputError for an aspect above MAX_ASPECT."""
    if min(width, height) < 1 or max(width, height) / min(width, height) > MAX_ASPECT:
        raise InputError(
            f"The image has {width} x {height} pixels; this model reads no page whose longer side is more than "
            f"{MAX_ASPECT} times the shorter one. Cut it into pieces."
        )


def resized_size(
    width: int, height: int, *, multiple: int, min_pixels: float, max_pixels: float, fewest: int = 1
) -> tuple[int, int]:
    """The (width, height) in px that a page is resized to: multiples within the limits, nearly in the page's aspect.

    Each side is rounded (halves to even) to a multiple, at least `fewest` of them; above `max_pixels` both are scaled
    by the same factor and rounded down, below `min_pixels` up. Raises InputError for an aspect above MAX_ASPECT.
    Source: smart_resize() of dots.ocr's makers, and of Qwen2-VL's, where a side may be rounded to none (`fewest` 0).
    """
    check_aspect(width, height)
    sides = [max(fewest, round(side / multiple)) * multiple for side in (width, height)]
    if math.prod(sides) > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        sides = [max(multiple, math.floor(side / shrink / multiple) * multiple) for side in (width, height)]
    elif math.prod(sides) < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        sides = [math.ceil(side * grow / multiple) * multiple for side in (width, height)]
    return sides[0], sides[1]


def normalised(page: Image.Image, size: tuple[int, int], levels: Levels) -> NDArray[np.float32]:
    """An RGB page resized to `size` as a model's numbers, (height, width, 3) in float32."""
    resized = np.asarray(page.resize(size, Image.Resampling(levels.resample)))
    # One value for each of the 256 levels of a channel: the same numbers as whole-page arithmetic, at a lookup's cost.
    mean, std = (np.array(values, np.float32) for values in (levels.mean, levels.std))
    fractions = (np.arange(256) * levels.rescale).astype(np.float32)[:, None]
    table: NDArray[np.float32] = (fractions - mean) / std  # (256, 3)
    numbers: NDArray[np.float32] = table[resized, [0, 1, 2]]
    return numbers


def patch_rows(page: Image.Image, size: tuple[int, int], rules: PatchRules) -> NDArray[np.float32]:
    """An RGB page resized to `size` as normalised patches, (patches, 3 * frames * patch * patch) in float32.

    Patches run block by block, `merge` by `merge` of them, the blocks row by row, or all of them row by row; within a
    patch channels come first, then frames.
    """
    block = 1 if rules.raster else rules.merge
    rows: NDArray[np.float32] = rearrange(
        normalised(page, size, rules.levels),
        "(h y p) (w x q) rgb -> (h w y x) rgb (p q)",
        y=block,
        x=block,
        p=rules.patch,
        q=rules.patch,
    )
    still: NDArray[np.float32] = repeat(rows, "patches rgb px -> patches (rgb frames px)", frames=rules.frames)
    return still

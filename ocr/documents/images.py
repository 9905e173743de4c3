"""Bytes to an upright RGB page within limits, and a page to the pixels a model sees. Knows no model and no torch."""

import contextlib
import math
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from ocr.errors import InputError, choices
from ocr.types import Resolution

Pixels = NDArray[np.uint8]  # (height, width, 3), RGB
Levels = NDArray[np.uint8]  # (height, width), from 0, black, to 255, white
Cells = NDArray[np.float32]  # (height, width), levels averaged over squares

# Formats whose decoders are part of Pillow; others (EPS among them) would start programs of the host's.
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "JPEG2000", "AVIF")
MIN_SIDE = 8  # px; smaller than any letter
WHITE = (255, 255, 255)
GREY = (127, 127, 127)  # int(255 * 0.5): the models' mean colour, which pads their square views


def open_image(file: IO[bytes]) -> Image.Image:
    """An image file, identified and not decoded. Raises InputError for a file that is none or is damaged."""
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise InputError("The file is empty (0 bytes); send an image or a PDF.")
    file.seek(0)
    start = file.read(64)
    file.seek(0)
    Image.MAX_IMAGE_PIXELS = None  # Pillow's fixed limit would come before ours, which the operator sets
    try:
        with decoding("The image"):
            return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        raise InputError(
            f"The file is not an image that can be read ({_looks_like(start, size)}); "
            f"send a PDF or one of: {_formats()}."
        ) from None


def decode(image: Image.Image, *, max_pixels: int, what: str = "The image") -> Image.Image:
    """The frame that an opened image file is at, as an upright page, mode RGB, transparency on white.

    Raises InputError for one that is damaged or exceeds a limit; the limits are checked before it is decoded.
    """
    check_size(image.size, max_pixels, what)
    with decoding(what):
        image.load()
        return to_rgb(ImageOps.exif_transpose(image))


@contextlib.contextmanager
def decoding(what: str) -> Iterator[None]:
    """A block that decodes `what`: an error in it means that what was sent is damaged, and is an InputError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of odd metadata; what matters here raises
            yield
    except (InputError, UnidentifiedImageError):
        raise
    except Exception as error:  # a decoder fed with damaged bytes may raise nearly anything
        raise InputError(f"{what} is damaged or incomplete and cannot be decoded: {error}. Send it again.") from error


def check_size(
    size: tuple[int, int], max_pixels: int, what: str = "The image", advice: str = "Send a smaller one"
) -> None:
    """Raise InputError for a page of this width and height in pixels that is too large or too small to be read."""
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{what} has {width} x {height} = {width * height:,} pixels; at most {max_pixels:,} are read. "
            f"{advice}, or raise OCR_MAX_PIXELS on the server."
        )
    if min(size) < MIN_SIDE:
        raise InputError(f"{what} has {width} x {height} pixels; each side needs at least {MIN_SIDE} to hold a letter.")


def _looks_like(start: bytes, size: int) -> str:
    return "it is a web page, SVG or XML" if start.lstrip()[:1] == b"<" else f"{size:,} bytes"


def _formats() -> str:
    return choices(sorted(FORMATS))


def to_rgb(image: Image.Image) -> Image.Image:
    """Any PIL image in mode RGB: transparency on white, 16 bits and more a channel scaled down to 8."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        image = _to_eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        page = Image.new("RGB", image.size, WHITE)
        page.paste(image, mask=image.getchannel("A"))
        return page
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    """Grey levels of 16 or 32 bits as 8; Pillow's own conversion clips them to white instead.

    Integers are taken as 16 bits unless larger values occur; floats up to 1 as fractions, larger ones as integers.
    """
    levels = np.asarray(image).astype(np.float64)
    top = levels.max()
    if image.mode == "F" and top <= 1:
        full = 1.0
    elif top <= 65535:
        full = 65535.0
    else:
        full = top
    return Image.fromarray(np.clip(np.rint(levels / full * 255), 0, 255).astype(np.uint8))


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


def is_blank(page: Image.Image) -> bool:
    """Whether there is nothing to read on a page: nothing that stands out from the sheet and its noise.

    A mark is a spot that differs from those left and right of it, and does so otherwise than the spots above and
    below it: an even sheet of any shade has none, and neither has shading, a shadow along an edge, a fold, a streak
    or a rule from edge to edge. Spots of every size are looked at, from a letter of 8 px, whatever the size of the
    page. How strong a mark must be rises with the noise, which is measured on the page itself.

    It errs on the side of reading. Not blank are pages with specks of several pixels, noise of a deviation of 12, or 8
    where it is blurred, noise in a JPEG of low quality, halftones, show-through. Print 55 levels from its ground (grey
    200 on white) is seen at every size, among noise of a deviation of 5 too; small print of half that may be missed.
    """
    levels = _sheet(np.asarray(page.convert("L").reduce(max(1, max(page.size) // LARGEST))))
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


@dataclass(frozen=True)
class Views:
    """What DeepSeek-OCR sees of a page: one square view of the whole, and crops where the preset has them."""

    whole: Pixels  # (base, base, 3)
    tiles: tuple[Pixels, ...] = ()  # each (tile, tile, 3), row by row
    columns: int = 1
    rows: int = 1


def square_views(page: Image.Image, resolution: Resolution) -> Views:
    """The views of an RGB page for a preset, equal to the reference's pixel by pixel.

    Source: `infer()` in the hub's modeling_deepseekocr.py; Pillow's bicubic filter throughout.
    """
    size = (resolution.base, resolution.base)
    if resolution.padded:
        whole = ImageOps.pad(page, size, method=Image.Resampling.BICUBIC, color=GREY)
    else:
        whole = page.resize(size, Image.Resampling.BICUBIC)
    if not resolution.tiled or max(page.size) <= resolution.tile:
        return Views(np.asarray(whole))
    columns, rows = tile_grid(*page.size, tile=resolution.tile)
    return Views(np.asarray(whole), _tiles(page, resolution.tile, columns, rows), columns, rows)


MIN_TILES, MAX_TILES = 2, 9  # the hub's own bounds


def tile_grid(width: int, height: int, *, tile: int = 640, max_tiles: int = MAX_TILES) -> tuple[int, int]:
    """The grid (columns, rows) of 2 to `max_tiles` tiles whose shape is nearest to the page's.

    On an exact tie the later grid, in order of area, wins if the page has more than half the grid's pixels.
    Source: `find_closest_aspect_ratio` and `dynamic_preprocess` in the hub's modeling_deepseekocr.py.
    """
    grids = [(c, r) for c in range(1, max_tiles + 1) for r in range(1, max_tiles + 1)]
    grids = sorted((g for g in grids if MIN_TILES <= g[0] * g[1] <= max_tiles), key=lambda grid: grid[0] * grid[1])
    best, smallest = (1, 1), float("inf")
    for columns, rows in grids:
        difference = abs(width / height - columns / rows)
        is_large = width * height > 0.5 * tile * tile * columns * rows
        if difference < smallest or (difference == smallest and is_large):
            best, smallest = (columns, rows), difference
    return best


def _tiles(page: Image.Image, tile: int, columns: int, rows: int) -> tuple[Pixels, ...]:
    resized = page.resize((tile * columns, tile * rows), Image.Resampling.BICUBIC)
    corners = [(tile * column, tile * row) for row in range(rows) for column in range(columns)]
    return tuple(np.asarray(resized.crop((x, y, x + tile, y + tile))) for x, y in corners)


MAX_ASPECT = 200  # longer side to shorter one; dots.ocr was trained on nothing longer


@dataclass(frozen=True)
class PatchRules:
    """How a model that takes any aspect turns a page into patches, as its preprocessor_config.json has it."""

    patch: int  # px, side of one patch
    merge: int  # patches per side that become one image token
    min_pixels: int  # area in px of the resized page
    max_pixels: int
    mean: tuple[float, float, float]  # of the red, green and blue levels from 0 to 1
    std: tuple[float, float, float]
    rescale: float = 1 / 255
    resample: int = Image.Resampling.BICUBIC

    @property
    def multiple(self) -> int:
        """px; each side of the resized page is a multiple of it, and an image token covers its square."""
        return self.patch * self.merge


def resized_size(width: int, height: int, *, multiple: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
    """The (width, height) in px that a page is resized to: multiples within the limits, nearly in the page's aspect.

    Each side is rounded (halves to even) to a multiple, at least one of them; above `max_pixels` both are scaled by
    the same factor and rounded down, below `min_pixels` up. Raises InputError for an aspect above MAX_ASPECT.
    Source: smart_resize() of dots.ocr's makers.
    """
    if min(width, height) < 1 or max(width, height) / min(width, height) > MAX_ASPECT:
        raise InputError(
            f"The image has {width} x {height} pixels; this model reads no page whose longer side is more than "
            f"{MAX_ASPECT} times the shorter one. Cut it into pieces."
        )
    sides = [max(multiple, round(side / multiple) * multiple) for side in (width, height)]
    if math.prod(sides) > max_pixels:
        shrink = math.sqrt(width * height / max_pixels)
        sides = [max(multiple, math.floor(side / shrink / multiple) * multiple) for side in (width, height)]
    elif math.prod(sides) < min_pixels:
        grow = math.sqrt(min_pixels / (width * height))
        sides = [math.ceil(side * grow / multiple) * multiple for side in (width, height)]
    return sides[0], sides[1]


def patch_rows(page: Image.Image, size: tuple[int, int], rules: PatchRules) -> NDArray[np.float32]:
    """An RGB page resized to `size` as normalised patches, (patches, 3 * patch * patch) in float32.

    Patches run block by block, `merge` by `merge` of them, the blocks row by row; within a patch channels come first.
    """
    levels = np.asarray(page.resize(size, Image.Resampling(rules.resample)))
    # One value for each of the 256 levels of a channel: the same numbers as whole-page arithmetic, at a lookup's cost.
    mean, std = (np.array(values, np.float32) for values in (rules.mean, rules.std))
    fractions = (np.arange(256) * rules.rescale).astype(np.float32)[:, None]
    table: NDArray[np.float32] = (fractions - mean) / std  # (256, 3)
    rows: NDArray[np.float32] = rearrange(
        table[levels, [0, 1, 2]],
        "(h y p) (w x q) rgb -> (h w y x) (rgb p q)",
        y=rules.merge,
        x=rules.merge,
        p=rules.patch,
        q=rules.patch,
    )
    return rows

"""Where lines of print stand on an image. Knows no text."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from ocr.lines.components import outlines
from ocr.lines.networks import Floats, Network
from ocr.lines.rectangles import Points, least_rectangle

LONGEST = 2000  # px, longest side that the network is shown; at 1280 small print goes missing and cells run together
SHORTEST = 736  # px that the shortest side is enlarged to, by a factor of MOST_ENLARGED at most
MOST_ENLARGED = 2.0
MULTIPLE = 32  # px, of which both sides are multiples: the network halves them five times
# How PP-OCRv6's makers have its map read.
THRESHOLD = 0.3  # probability from which a pixel belongs to print
MEAN = 0.5  # probability that a frame has on average, at least
GROWTH = 1.6  # times area / perimeter that a frame grows outward: the network was taught shrunken ones
LEAST_SIDE = 5  # px of the map, of a grown frame
SPECK = 2  # px from the first to the last pixel of a part; what has less cannot grow so large


def find_frames(image: Image.Image, network: Network, longest: int = LONGEST) -> list[Points]:
    """The frames of the lines of print on an RGB image, each its corners (4, 2) in px inside the image; see Rectangle.

    They come from the top down, those in one row from the left; of columns nothing is known here.
    """
    seen = image.resize(seen_size(image.size, longest), Image.Resampling.BILINEAR)
    scale = np.array(image.size) / np.array(seen.size)
    frames = frames_of(network(pixels_of(seen)[None])[0, 0])
    return in_rows([np.clip(corners * scale, 0, image.size) for corners in frames])


def in_rows(frames: Sequence[Points]) -> list[Points]:
    """The frames from the top down, those in one row from the left.

    In one row are those whose middles are apart by less than half the height of the lower one of two.
    """
    rows: list[list[Points]] = []
    first_middle, first_height = -math.inf, 0.0
    for frame in sorted(frames, key=lambda frame: float(frame[:, 1].mean())):
        middle, height = float(frame[:, 1].mean()), float(np.ptp(frame[:, 1]))
        if middle - first_middle >= min(height, first_height) / 2:
            rows.append([])
            first_middle, first_height = middle, height
        rows[-1].append(frame)
    return [frame for row in rows for frame in sorted(row, key=lambda frame: float(frame[:, 0].min()))]


def seen_size(size: tuple[int, int], longest: int = LONGEST) -> tuple[int, int]:
    """The (width, height) at which the network is shown an image of this size."""
    scale = min(max(1.0, min(SHORTEST / min(size), MOST_ENLARGED)), longest / max(size))
    width, height = (max(MULTIPLE, round(side * scale / MULTIPLE) * MULTIPLE) for side in size)
    return width, height


def pixels_of(image: Image.Image) -> Floats:
    """An RGB image as these networks were taught: (3, height, width), blue first, from -1 to 1."""
    levels = np.asarray(image, dtype=np.float32)[:, :, ::-1].transpose(2, 0, 1)
    return np.ascontiguousarray(levels / 127.5 - 1.0, dtype=np.float32)


def frames_of(probabilities: Floats) -> list[Points]:
    """The frames in the network's map (height, width), each its corners in px of the map."""
    is_print = np.pad(probabilities > THRESHOLD, ((1, 0), (1, 0)))
    grown = is_print[1:, 1:] | is_print[:-1, 1:] | is_print[1:, :-1] | is_print[:-1, :-1]
    frames = []
    for points in outlines(grown):
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        if max(right - left, bottom - top) < SPECK:
            continue
        found = least_rectangle(points.astype(np.float64))
        frame = found.grown(GROWTH * found.width * found.height / (2 * (found.width + found.height)))
        rows, columns = np.mgrid[top : bottom + 1, left : right + 1]
        inside = found.holds(np.stack((columns, rows), axis=-1))
        is_large = min(frame.width, frame.height) >= LEAST_SIDE
        if is_large and probabilities[top : bottom + 1, left : right + 1][inside].mean() >= MEAN:
            frames.append(frame.corners)
    return frames

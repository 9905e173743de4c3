"""Where lines of print stand on an image. Knows no text."""

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


def find_frames(image: Image.Image, network: Network, longest: int = LONGEST) -> list[Points]:
    """The frames of the lines of print on an RGB image, each its corners (4, 2) in px of the image; see Rectangle.

    They come from the top down, by the upper edge of what was found.
    """
    seen = image.resize(seen_size(image.size, longest), Image.Resampling.BILINEAR)
    scale = np.array(image.size) / np.array(seen.size)
    return [corners * scale for corners in frames_of(network(pixels_of(seen)[None])[0, 0])]


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
        found = least_rectangle(points.astype(np.float64))
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        rows, columns = np.mgrid[top : bottom + 1, left : right + 1]
        inside = found.holds(np.stack((columns, rows), axis=-1))
        by = GROWTH * found.width * found.height / (2 * (found.width + found.height)) if found.width else 0.0
        frame = found.grown(by)
        is_large = min(frame.width, frame.height) >= LEAST_SIDE
        if is_large and probabilities[top : bottom + 1, left : right + 1][inside].mean() >= MEAN:
            frames.append(frame.corners)
    return frames

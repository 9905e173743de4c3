"""Boxes of a model's answer into page pixels. Pure geometry."""

from collections.abc import Sequence

from ocr.types import Box


def to_page(box: Box, extent: tuple[float, float], page_size: tuple[int, int]) -> Box:
    """A box in a model's coordinates (0 to `extent`) in page pixels, corners in order, inside the page."""
    x_scale, y_scale = page_size[0] / extent[0], page_size[1] / extent[1]
    xs = sorted(min(max(x * x_scale, 0.0), float(page_size[0])) for x in (box[0], box[2]))
    ys = sorted(min(max(y * y_scale, 0.0), float(page_size[1])) for y in (box[1], box[3]))
    return xs[0], ys[0], xs[1], ys[1]


def enclosing(boxes: Sequence[Box]) -> Box:
    """The smallest box that holds all of these."""
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)

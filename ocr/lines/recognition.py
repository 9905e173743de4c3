"""What a line of print says: cut out of its image, shown to the network, and its answer decoded."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ocr.lines.detection import pixels_of
from ocr.lines.networks import Floats, Network
from ocr.lines.rectangles import Points

HEIGHT = 48  # px of a line as the network is shown it
LEAST_WIDTH = 16  # px


class Reading(NamedTuple):
    """What the network makes of one line."""

    text: str
    score: float  # mean probability of its signs; 0 where there are none


def cut_out(image: Image.Image, corners: Points) -> Image.Image:
    """What lies in a frame, level and HEIGHT px high; its left upper corner is the first of the corners (4, 2)."""
    left, down = corners[1] - corners[0], corners[3] - corners[0]
    width, height = max(1, round(float(np.hypot(*left)))), max(1, round(float(np.hypot(*down))))
    across, along = left / width, down / height
    terms = (across[0], along[0], corners[0, 0], across[1], along[1], corners[0, 1])
    level = image.transform((width, height), Image.Transform.AFFINE, terms, Image.Resampling.BICUBIC)
    return level.resize((max(LEAST_WIDTH, round(width * HEIGHT / height)), HEIGHT), Image.Resampling.BILINEAR)


def read_line(line: Image.Image, network: Network, signs: Sequence[str]) -> Reading:
    """What a line that was cut out says.

    Shown to the network alone: next to wider ones it is filled up, which costs time and now and then a space.
    """
    return decoded(network(pixels_of(line)[None])[0], signs)


def decoded(steps: Floats, signs: Sequence[str]) -> Reading:
    """The likeliest sign of each step (steps, signs), as CTC has it: runs of one sign are one, blanks are left out.

    `signs` has what the network can tell apart, first the blank that stands between others and is never written.
    """
    best = steps.argmax(axis=1)
    kept = (best != 0) & np.diff(best, prepend=0).astype(bool)
    text = "".join(signs[index] for index in best[kept])
    return Reading(text, float(steps.max(axis=1)[kept].mean()) if text else 0.0)

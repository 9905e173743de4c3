"""Which way a page is turned, by quarters. Knows no text."""

import numpy as np
from PIL import Image

from ocr.lines.networks import Network

TURNS = (0, 90, 180, 270)  # degrees clockwise by which a page is turned from upright, in the network's order
SHORTEST = 256  # px of the shorter side; of it the network is shown the middle
SIDE = 224  # px
# The levels' mean and deviation over the pictures that such networks begin from (ImageNet); red, green, blue.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def turn_probabilities(image: Image.Image, network: Network) -> dict[int, float]:
    """How likely an RGB image is to be turned clockwise by each of TURNS, from 0 to 1."""
    scale = SHORTEST / min(image.size)
    width, height = (max(SIDE, round(side * scale)) for side in image.size)
    left, top = (width - SIDE) / 2, (height - SIDE) / 2
    box = (left / width * image.width, top / height * image.height)
    far = ((left + SIDE) / width * image.width, (top + SIDE) / height * image.height)
    seen = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=(*box, *far))
    levels = np.asarray(seen, dtype=np.float32) / 255
    pixels = ((levels - np.array(MEAN)) / np.array(DEVIATION)).transpose(2, 0, 1).astype(np.float32)
    return dict(zip(TURNS, map(float, network(pixels[None])[0]), strict=True))

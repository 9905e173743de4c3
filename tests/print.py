"""Lines of print as bars of grey, and networks that see them: what the tests of the room of lines and of pp-ocr share.

The networks are functions; all around them is real: a bar is found in the picture, cut out and read by its level.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw

from ocr.lines.networks import Floats
from ocr.lines.reader import LineReader

SIGNS = "abcdefghijklmnopqrstuvwxyz \u01b0"
STEP = 12  # levels between the bars of two texts

Bar = tuple[int, int, int, int]  # x1, y1, x2, y2 in px


def page(bars: Sequence[Bar], size: tuple[int, int] = (800, 800)) -> Image.Image:
    """A white page on which the n-th bar is of the n-th level, the darkest first."""
    image = Image.new("RGB", size, "white")
    for n, bar in enumerate(bars):
        ImageDraw.Draw(image).rectangle(bar, fill=(n * STEP,) * 3)
    return image


def reader(texts: Sequence[str], scores: Mapping[int, float] | None = None, log: list[str] | None = None) -> LineReader:
    """A reader that reads the n-th of these texts on the bar of the n-th level, with a score of 1 or the n-th one's."""

    def detection(batch: Floats) -> Floats:
        return np.where(batch.min(axis=1, keepdims=True) < 0.7, 0.9, 0.0).astype(np.float32)

    def recognition(batch: Floats) -> Floats:
        level = (float(np.quantile(batch, 0.05)) + 1) * 127.5
        n = round(level / STEP)
        if log is not None:
            log.append(texts[n])
        return spelled(texts[n], (scores or {}).get(n, 1.0))[None]

    def orientation(_batch: Floats) -> Floats:
        return np.array([[0.1, 0.6, 0.2, 0.1]], dtype=np.float32)

    return LineReader(detection, recognition, orientation, SIGNS)


def spelled(text: str, score: float = 1.0) -> Floats:
    """What a network says, (steps, signs), that reads this text: two steps for each sign, and a blank."""
    steps = np.zeros((3 * len(text) + 1, len(SIGNS) + 1), dtype=np.float32)
    steps[:, 0] = 1.0
    for n, sign in enumerate(text):
        steps[3 * n : 3 * n + 2] = 0.0
        steps[3 * n : 3 * n + 2, SIGNS.index(sign) + 1] = score
    return steps

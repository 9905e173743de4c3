"""Pages whose text is taken from the file, in the place of a model's answer. Knows no engine and no PDF."""

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from statistics import median

from ocr.checking.plausible import implausible
from ocr.documents.page import DrawnPage
from ocr.documents.text_layer import TextLayer
from ocr.engines.regions import read_box
from ocr.lines.networks import CHECKPOINT
from ocr.models.pp_ocr.card import LINES, REGION
from ocr.models.pp_ocr.forms import FORMS
from ocr.models.pp_ocr.spans import FRAME
from ocr.models.tasks import GUNDAM
from ocr.output.markdown import Link, picture_name
from ocr.reading.attempts import PageReading
from ocr.reading.request import Request
from ocr.reading.turning import OFF
from ocr.types import Decoding, FinishReason, Line, PageEvent, PageResult, Piece, Prepared, Source


def believed(page: DrawnPage) -> DrawnPage:
    """The page, its text layer in doubt where that reads as no text can."""
    if page.layer is None or page.layer.doubt:
        return page
    doubt = implausible("\n".join(line.text for line in page.layer.lines))
    return replace(page, layer=replace(page.layer, doubt=doubt))


def is_taken(request: Request, layer: TextLayer | None) -> bool:
    """Whether a page's text layer is its answer."""
    return request.text_layer != OFF and layer is not None and not layer.doubt


def taken(request: Request, number: int, page: DrawnPage, link: Link = picture_name) -> Iterator[PageEvent]:
    """The events of a page whose layer is taken: its lines become an answer as those do that pp-ocr finds.

    Raises InputError for a box to be read that is none on this page.
    """
    assert page.layer is not None  # noqa: S101
    began = time.monotonic()
    asked = replace(request, model=CHECKPOINT, resolution=GUNDAM, check=False)
    reading = PageReading(asked, number, page, Decoding(), link)
    form = FORMS[asked.asked.template](page.image.size)
    lines = _lines(asked, page.layer.lines, page.image.size)
    said = [*map(form.add, lines if asked.asked.template == LINES else map(_framed, lines)), *form.close()]
    whole = Piece(0, "".join(said), 0, FinishReason.STOP, time.monotonic() - began)
    width, height = page.image.size
    yield from reading.begin()
    for output in (Prepared(0, 0, 0, (width, height)), whole):
        for event in reading.receive(output):
            if isinstance(event, PageResult):
                event = replace(event, model=request.model, source=Source.LAYER)
            yield event


def _lines(request: Request, lines: Sequence[Line], size: tuple[int, int]) -> Sequence[Line]:
    """The lines of a page that are asked for: all, from the top down where they come as they are, or those in the box
    that the user's words are."""
    if request.asked.template == LINES:
        height = median(line.bbox[3] - line.bbox[1] for line in lines)
        return sorted(lines, key=lambda line: (round(line.bbox[1] / (height or 1)), line.bbox[0]))
    if request.asked.template != REGION:
        return lines
    x1, y1, x2, y2 = read_box(request.words, size)

    def is_inside(line: Line) -> bool:
        left, top, right, bottom = line.bbox
        return x1 <= (left + right) / 2 <= x2 and y1 <= (top + bottom) / 2 <= y2

    return list(filter(is_inside, lines))


def _framed(line: Line) -> Line:
    """A line as networks frame it, whose print does not reach the frame's ends: what there is of structure tells by."""
    start, end, lower_end, lower_start = line.corners
    more = FRAME / 2 * math.dist(start, lower_start) / (math.dist(start, end) or 1.0)
    across, down = more * (end[0] - start[0]), more * (end[1] - start[1])
    return replace(
        line,
        corners=(
            (start[0] - across, start[1] - down),
            (end[0] + across, end[1] + down),
            (lower_end[0] + across, lower_end[1] + down),
            (lower_start[0] - across, lower_start[1] - down),
        ),
    )

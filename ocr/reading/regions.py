"""A page whose regions a detector finds and a model reads one by one: which of them, and their one result."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from ocr.answers.text import trimmed
from ocr.documents.page import DrawnPage
from ocr.models.layout.labels import TEXT, kind
from ocr.output.markdown import Link
from ocr.reading.answer import MOST_PLACES
from ocr.reading.attempts import PageReading
from ocr.reading.joining import BETWEEN, CutPage, JoinedAnswer, Part, PartReading, too_small
from ocr.reading.overlaps import area, blocks, common_box
from ocr.reading.parts import areas, line_height
from ocr.reading.request import Request
from ocr.types import (
    Box,
    Decoding,
    Detector,
    Engine,
    FinishReason,
    Opened,
    PageEvent,
    PageResult,
    Prompt,
    Region,
    Text,
    worst,
)

SMALLEST = 4  # px, of a side; less is no region. This and the next as in the pipeline of PaddleOCR-VL's makers
SAME = 0.7  # of the smaller of two regions, that both cover where they are one
INSIDE = 0.9  # of a region that one kept in its place covers, where nothing of it is lost
IMAGE = "image"  # the label of what may hold other regions, and be kept beside them


def region_readings(
    engine: Engine,
    detector: Detector,
    request: Request,
    number: int,
    page: DrawnPage,
    decoding: Decoding,
    link: Link,
) -> Sequence[PageReading | list[PageEvent]]:
    """What is to be read of a page, region by region in reading order; its events where that is nothing.

    Where none is found, the whole page is one of print. Regions that are not read are elements without text.
    """
    prompts = request.asked.regions or {}
    found, problems = distinct(_found(detector, request, page))
    if not found:
        problems = [*problems, f"No regions were found on the page{', so it was read as one' if prompts else ''}."]
        found = [Region(TEXT, (0.0, 0.0, float(page.image.width), float(page.image.height)), 0.0)] if prompts else []
    parts = [_part(region, asked) for region in found if (asked := prompts.get(kind(region.label).holds))]
    scales = [engine.scale((x2 - x1, y2 - y1), request.preset) for x1, y1, x2, y2 in (part.area for part in parts)]
    if parts:
        problems = [*problems, *too_small(line_height(page.image), min(scales))]
    page = replace(page, problems=(*page.problems, *problems))
    whole = RegionsPage(request, number, page, RegionsAnswer(request, number, link, found))
    return whole.read_in(parts, decoding) or [[*whole.begin(), *whole.put_together()]]


def _found(detector: Detector, request: Request, page: DrawnPage) -> Iterator[Region]:
    """All regions of a page; one that is too long for the detector is looked at in parts."""
    image = page.image
    cut = areas(image, lambda _size: 1.0, None) if request.cut_long_pages else [(0, 0, *image.size)]
    for left, top, right, bottom in cut:
        for region in detector.find(image.crop((left, top, right, bottom))):
            x1, y1, x2, y2 = region.bbox
            yield replace(region, bbox=(x1 + left, y1 + top, x2 + left, y2 + top))


def distinct(found: Iterable[Region]) -> tuple[list[Region], list[str]]:
    """The regions that are to be read, in their order, and what is lost with the others, for the problems of a page.

    Of two that are one, the larger is kept; an image is none with what it holds. A frame is left out where others were
    found in it.
    """
    large = [region for region in found if min(_sides(region.bbox)) >= SMALLEST]
    framed = [region for region in large if not (kind(region.label).is_frame and _holds_others(region, large))]
    kept: list[Region] = []
    lost: list[Box] = []
    for region in sorted(framed, key=lambda region: area(region.bbox), reverse=True):
        covers = [_covered(region, other) for other in kept if not _is_in_image(region, other)]
        if max(covers, default=0.0) <= SAME:
            kept.append(region)
        elif max(covers) < INSIDE:
            lost.append(region.bbox)
    kept_ids = set(map(id, kept))
    return [region for region in framed if id(region) in kept_ids], _told(lost)


def _told(lost: Sequence[Box]) -> list[str]:
    more = f", {len(lost) - MOST_PLACES} more" if len(lost) > MOST_PLACES else ""
    places = ", ".join(map(_place, lost[:MOST_PLACES]))
    return [f"Regions were left out of which others cover most, but not all: {places}{more}."] if lost else []


def _holds_others(frame: Region, regions: Iterable[Region]) -> bool:
    return any(_covered(other, frame) > SAME for other in regions if not kind(other.label).is_frame)


def _is_in_image(region: Region, other: Region) -> bool:
    return (region.label == IMAGE) != (other.label == IMAGE)


def _covered(region: Region, other: Region) -> float:
    """How much of a region another covers, 0 to 1."""
    common = common_box(region.bbox, other.bbox)
    return area(common) / area(region.bbox) if common else 0.0


def _sides(box: Box) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]


def _place(box: Box) -> str:
    return str([round(side) for side in box])


def _part(region: Region, asked: Prompt) -> Part:
    x1, y1, x2, y2 = region.bbox
    return Part((math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)), asked, region)


class RegionsPage(CutPage):
    """A page that is read region by region. One that cannot be read is a problem of the page, and costs no other."""

    def _outcome(self, parts: Sequence[PageResult]) -> tuple[FinishReason, str]:
        reasons = [part.finish_reason for part in parts if not part.error]
        return super()._outcome(parts) if parts and not reasons else (worst(reasons), "")


class RegionsAnswer(JoinedAnswer):
    """The answer of a page whose regions are all elements, with what was read of them."""

    def __init__(self, request: Request, number: int, link: Link, regions: Iterable[Region]) -> None:
        super().__init__(request, number, link)
        self._coming = deque(regions)  # those that are not in the answer yet

    def add(self, reading: PartReading) -> Iterator[PageEvent]:
        """What the next region that was read makes certain, and those before it that are not read."""
        while (region := self._coming.popleft()) is not reading.part.region:
            yield from self._region(region)
        yield from self._join(reading.answer.raw)
        said = BETWEEN.join(block.text.strip("\n") for block in blocks(reading.answer.understood))
        yield from self._region(region, _headed(region, trimmed(said)))
        self.problems += _problems(region, reading)

    def close(self) -> Iterator[PageEvent]:
        while self._coming:
            yield from self._region(self._coming.popleft())
        yield from super().close()

    def _region(self, region: Region, text: str = "") -> Iterator[PageEvent]:
        yield from self.understand([Opened(kind(region.label).type, region.label, region.bbox)])
        if text:
            yield from self.understand([Text(text)])
        yield from self._keep(self._open.close())
        yield from self._show(self._page.close())


def _headed(region: Region, text: str) -> str:
    """What a region says as its kind is written: a heading on one line, below its signs."""
    head = kind(region.label).head
    return head + " ".join(text.split()) if head and text and not text.startswith("#") else text


def _problems(region: Region, reading: PartReading) -> Iterator[str]:
    """What is amiss with a region."""
    where, result = f"{region.label} at {_place(region.bbox)}", reading.result
    yield from (f"In the region {where}: {problem}" for problem in reading.answer.problems)
    if result and result.error:
        yield f"The region {where} could not be read: {result.error}"
    elif result and result.finish_reason not in (FinishReason.STOP, FinishReason.CANCELLED):
        yield f"The region {where} may not be whole: its text ended with {result.finish_reason}."

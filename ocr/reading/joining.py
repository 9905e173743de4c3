"""A page that is read in parts: its one result, put together of theirs. Of engines it knows how they shrink pages."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image

from ocr.documents.blank import is_blank
from ocr.documents.page import DrawnPage
from ocr.models.catalog import MODELS
from ocr.output.markdown import Link
from ocr.reading.answer import ShownAnswer
from ocr.reading.attempts import PageReading
from ocr.reading.doubts import doubts
from ocr.reading.overlaps import Block, blocks, common_box, without_repeated
from ocr.reading.parts import READABLE, Area, Size, areas, line_height
from ocr.reading.request import Request
from ocr.types import (
    Decoding,
    Engine,
    FinishReason,
    PageEvent,
    PageResult,
    PageStart,
    Piece,
    Prepared,
    Prompt,
    Raw,
    Region,
    Retry,
    Text,
    worst,
)

BETWEEN = "\n\n"  # the texts of two parts


def readings(
    engine: Engine, request: Request, number: int, page: DrawnPage, decoding: Decoding, link: Link
) -> Sequence[PageReading]:
    """What is to be read of a page: the page, or its parts where it is too long or too large and the request allows it.

    It is too large where no preset of the model would show its print large enough: whoever asks for a coarse one gets
    what the model makes of the page at that. Print too small to be read is a problem of the page where the answer
    depends on it. No engine is asked about parts that are blank.
    """

    def scale(size: Size) -> float:
        return engine.scale(size, request.preset)

    def best_scale(size: Size) -> float:
        return max(engine.scale(size, preset) for preset in MODELS[request.model].presets.values())

    image = page.image
    line = line_height(image) if request.depends_on_print else None
    cut = areas(image, best_scale, line) if request.reads_print and request.cut_long_pages else []
    parts = [area for area in cut if not is_blank(image.crop(area))] if len(cut) > 1 else []
    closest = min((scale((x2 - x1, y2 - y1)) for x1, y1, x2, y2 in parts), default=scale(image.size))
    page = replace(page, problems=(*page.problems, *too_small(line, closest)))
    if not parts:
        return [PageReading(request, number, page, decoding, link)]
    cut_page = CutPage(request, number, page, JoinedAnswer(request, number, link))
    return cut_page.read_in([Part(area) for area in parts], decoding)


def too_small(line: float | None, scale: float) -> list[str]:
    """The problem of a page whose lines, of this height in px, a model sees at this scale."""
    if line is None or line * scale >= READABLE:
        return []
    advice = "Choose a larger preset, or crop the page." if scale < 1 else "Scan or draw the page at more dots an inch."
    return [
        f"The lines are about {line * scale:.1f} px high as the model sees them; print of less than {READABLE:g} px is "
        f"often misread. {advice}"
    ]


@dataclass(frozen=True)
class Part:
    """What is read of a page by itself."""

    area: Area
    asked: Prompt | None = None  # what the model is asked, where it is not what the request asks of whole pages
    region: Region | None = None  # what it is, where a detector found it


class CutPage:
    """A page that is read in parts, which come to one result."""

    def __init__(self, request: Request, number: int, page: DrawnPage, answer: "JoinedAnswer") -> None:
        self._start = PageStart(number, *page.image.size)
        self._image, self._request, self._problems = page.image, request, page.problems
        self._answer = answer
        self._has_begun = False
        self._readings: Sequence[PartReading] = ()
        self._results: list[PageResult] = []  # of the first parts, as far as they were put together

    def read_in(self, parts: Sequence[Part], decoding: Decoding) -> "Sequence[PartReading]":
        """Have it read in these parts, in their order."""
        self._readings = [PartReading(self, self._request, self._start.page, part, decoding) for part in parts]
        return self._readings

    @property
    def image(self) -> Image.Image:
        """The whole page."""
        return self._image

    def begin(self) -> Iterator[PageStart]:
        """Say that the page is begun, once."""
        if not self._has_begun:
            self._has_begun = True
            yield self._start

    def put_together(self) -> Iterator[PageEvent]:
        """What is certain of the page: all of the parts that are over, up to the first that is not."""
        for reading in self._readings[len(self._results) :]:
            if reading.result is None:
                return
            self._results.append(reading.result)
            yield from self._answer.add(reading)
        yield from self._answer.close()
        yield self._result()

    def _result(self) -> PageResult:
        parts = self._results
        reason, error = self._outcome(parts)
        return PageResult(
            page=self._start.page,
            width=self._start.width,
            height=self._start.height,
            model=self._request.model,
            text=self._answer.raw,
            markdown=self._answer.markdown,
            elements=tuple(self._answer.elements),
            finish_reason=reason,
            prompt_tokens=sum(part.prompt_tokens for part in parts),
            completion_tokens=sum(part.completion_tokens for part in parts),
            image_tokens=sum(part.image_tokens for part in parts),
            time_to_first_token=next((part.time_to_first_token for part in parts), 0.0),
            seconds=sum(part.seconds for part in parts),
            problems=(*self._problems, *self._answer.problems, *doubts(self._request, self._answer.markdown)),
            retries=sum(part.retries for part in parts),
            error=error,
            image=self._image,
        )

    def _outcome(self, parts: Sequence[PageResult]) -> tuple[FinishReason, str]:
        """Why the page ended, and its error if that is why."""
        return worst([part.finish_reason for part in parts]), next((part.error for part in parts if part.error), "")


class PartReading(PageReading):
    """One part of a page; what it yields is of the whole page, and comes when the parts before it are over."""

    def __init__(self, page: CutPage, request: Request, number: int, part: Part, decoding: Decoding) -> None:
        seen = DrawnPage(page.image.crop(part.area))
        super().__init__(request, number, seen, decoding, origin=part.area[:2], asked=part.asked)
        self.part = part
        self.result: PageResult | None = None
        self._page = page

    def begin(self) -> Iterator[PageStart | Retry]:
        for _ in super().begin():
            pass
        yield from self._page.begin()

    def receive(self, output: Prepared | Piece) -> Iterator[PageEvent]:
        yield from self._of_page(super().receive(output))

    def break_off(self, error: str, *, is_last: bool) -> Iterator[PageEvent]:
        yield from self._of_page(super().break_off(error, is_last=is_last))

    def _of_page(self, events: Iterable[PageEvent]) -> Iterator[PageEvent]:
        for event in events:
            if isinstance(event, PageResult):
                self.result = event.without_image()
                yield from self._page.put_together()


class JoinedAnswer(ShownAnswer):
    """The answer of a page whose parts' answers are added one by one, in order."""

    def __init__(self, request: Request, number: int, link: Link) -> None:
        super().__init__(request, number, link)
        self._area: Area | None = None  # of the part added last
        self._blocks: list[Block] = []  # what it said, where that was kept

    def add(self, reading: PartReading) -> Iterator[PageEvent]:
        """What the next part makes certain; what the one before it has said already is left out where they overlap."""
        part, area = reading.answer, reading.part.area
        said = blocks(part.understood)
        if self._area and (overlap := common_box(self._area, area)):
            said = without_repeated(self._blocks, said, overlap)
        yield from self._join(part.raw)
        for block in said:
            yield from self.understand(block.events())
        yield from self._keep(self._open.close())
        yield from self._show(self._page.close())
        self.problems += part.problems
        self._area, self._blocks = area, said

    def _join(self, raw: str) -> Iterator[PageEvent]:
        if raw:
            raw = (BETWEEN if self._raw else "") + raw
            self._raw.append(raw)
            yield Raw(raw)
        yield from self.understand([Text(BETWEEN)])

"""Loads engines and reads pages with them: the one route that every face takes. Knows no HTTP and no Cog."""

import importlib
import logging
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice

from PIL import Image

from ocr.documents.page import DrawnPage, NumberedPage
from ocr.errors import InputError, ModelError, OCRError, SetupError, choices
from ocr.models.catalog import AUTO, MODELS
from ocr.output.markdown import Link, picture_name
from ocr.reading.attempts import PageReading
from ocr.reading.joining import readings
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, Engine, FinishReason, PageEvent, PageResult, PageStart
from ocr.weights.status import status

log = logging.getLogger(__name__)

Tagged = tuple[int, PageEvent]  # the index of the page among those that are read, and an event of it
Asked = tuple[int, PageReading]  # the same index, and the page or a part of it


class Reader:
    """The engines of one installation, and the reading of pages with them."""

    def __init__(self, settings: Settings) -> None:
        """Loads nothing yet. Raises SetupError where the settings name a model that is none."""
        for model in settings.models:
            if model not in MODELS:
                raise SetupError(f"OCR_MODELS names the model {model!r}; the known ones are: {choices(MODELS)}.")
        self.settings = settings
        self._engines: dict[str, Engine] = {}

    def resolve(self, model: str) -> str:
        """The model that a name stands for; `auto` is the first of OCR_MODELS, else the first whose weights are there.

        Raises InputError for a name that is none.
        """
        if model in MODELS:
            return model
        if model != AUTO:
            raise InputError(f"is {model!r}; it must be one of: {choices((AUTO, *MODELS))}.", "model")
        present = (name for name in MODELS if status(name, self.settings.checkpoints).is_ready)
        return next(iter(self.settings.models or present), next(iter(MODELS)))

    def engine(self, model: str) -> Engine:
        """A model's engine, loaded when it is first asked for. Raises SetupError where its weights are not whole."""
        if model not in self._engines:
            found = status(model, self.settings.checkpoints)
            if not found.is_ready:
                raise SetupError(found.message)
            card = MODELS[model]
            self._engines[model] = importlib.import_module(card.engine).load(found.folder, card, self.settings)
        return self._engines[model]

    def read(
        self,
        request: Request,
        pages: Iterable[NumberedPage],
        decoding: Decoding,
        batch: int | None = None,
        link: Link = picture_name,
    ) -> Generator[PageEvent]:
        """Read numbered upright RGB pages; each one's events end with its PageResult, and then the next one's begin.

        Pages are taken up `batch` at a time and decoded together; by default as many as OCR_BATCH says, or memory has
        room for. They come to the same as one by one. A page that is too long or too large is read in parts, each of
        which takes the place of a page in a batch. A page that cannot be read ends with the reason `error`, and the
        others go on. `link` says where the markdown links to for a page's n-th picture. Closing the iterator stops the
        work within one token. Raises InputError for a request that no page could be read with, SetupError for a model
        that cannot be loaded, both before any page is taken.
        """
        engine = self.engine(request.model)
        engine.check(request.asked, request.words)
        size = batch or self.settings.batch or engine.capacity(request.preset, decoding)
        log.debug("Reading %d page(s) together.", size)
        yield from read_pages(engine, request, pages, decoding, size, link)


def read_pages(
    engine: Engine,
    request: Request,
    pages: Iterable[NumberedPage],
    decoding: Decoding,
    batch: int = 1,
    link: Link = picture_name,
) -> Generator[PageEvent]:
    """The events of all pages, page after page; see `Reader.read`."""
    with closing(_read_batches(engine, request, pages, decoding, batch, link)) as events:
        yield from in_order(events)


def in_order(events: Iterable[Tagged]) -> Iterator[PageEvent]:
    """The events of pages that are read together, page after page.

    The first page that is not over streams as it is read; the events of later ones are held until it is their turn.
    """
    held: defaultdict[int, list[PageEvent]] = defaultdict(list)
    turn = 0
    for index, event in events:
        held[index].append(event)
        while turn in held:
            ready = held.pop(turn)
            yield from ready
            if not isinstance(ready[-1], PageResult):
                break
            turn += 1


def _read_batches(
    engine: Engine, request: Request, pages: Iterable[NumberedPage], decoding: Decoding, batch: int, link: Link
) -> Generator[Tagged]:
    """The events of the pages, those of a batch mixed; a batch is taken when the one before is over.

    A batch is of pages and of parts of such that are cut. No engine is asked about a page that is blank, or that could
    not be drawn.
    """
    coming = _readings(engine, request, pages, decoding, link)
    while taken := list(islice(coming, batch)):
        asked: list[Asked] = []
        for index, reading in taken:
            if isinstance(reading, PageReading):
                asked.append((index, reading))
            else:
                yield from _tagged(index, reading)
        yield from _read_batch(engine, asked)


def _readings(
    engine: Engine, request: Request, pages: Iterable[NumberedPage], decoding: Decoding, link: Link
) -> Iterator[tuple[int, PageReading | list[PageEvent]]]:
    """What is to be read of each page, or its events if there is nothing."""
    for index, (number, page) in enumerate(pages):
        if isinstance(page, InputError):
            yield index, [_unasked(request, number, FinishReason.ERROR, error=str(page))]
            continue
        drawn = DrawnPage(page) if isinstance(page, Image.Image) else page
        if not drawn.problems and drawn.is_blank:  # what looks empty may be what is missing in the image
            blank = _unasked(request, number, FinishReason.BLANK, drawn.image)
            yield index, [PageStart(number, *drawn.image.size), blank]
        else:
            yield from ((index, reading) for reading in readings(engine, request, number, drawn, decoding, link))


def _unasked(
    request: Request, number: int, reason: FinishReason, page: Image.Image | None = None, error: str = ""
) -> PageResult:
    size = page.size if page else (0, 0)
    return PageResult(number, *size, request.model, "", "", (), reason, error=error, image=page)


def _read_batch(engine: Engine, asked: Sequence[Asked]) -> Iterator[Tagged]:
    """Read pages to their results: together, then one by one those that repeated themselves or failed with the rest."""
    if len(asked) > 1:
        yield from _attempt(engine, asked)
    for index, page in asked:
        while not page.is_over:
            yield from _attempt(engine, [(index, page)])


def _attempt(engine: Engine, asked: Sequence[Asked]) -> Iterator[Tagged]:
    """Read pages together once. A failure ends a page that was read alone; of several, each is then read alone."""
    for index, page in asked:
        yield from _tagged(index, page.begin())
    try:
        yield from _decode(engine, asked)
    except OCRError as error:
        if not isinstance(error, InputError):  # where it stood; the results say the rest
            numbers = ", ".join(str(page.number) for _, page in asked)
            log.warning("Reading page %s failed: %s", numbers, error, exc_info=error)
        for index, page in asked:
            yield from _tagged(index, page.break_off(str(error), is_last=len(asked) == 1))


def _decode(engine: Engine, asked: Sequence[Asked]) -> Iterator[Tagged]:
    inputs = [page.input for _, page in asked]
    with closing(engine.read(inputs, asked[0][1].decoding())) as outputs:
        for output in outputs:
            index, page = asked[output.page]
            yield from _tagged(index, page.receive(output))
    for _, page in asked:
        if page.is_being_read:
            raise ModelError(f"The model stopped in the middle of page {page.number} without a reason.")


def _tagged(index: int, events: Iterable[PageEvent]) -> Iterator[Tagged]:
    return ((index, event) for event in events)

"""Loads engines and reads pages with them: the one route that every face takes. Knows no HTTP and no Cog."""

import importlib
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache, cached_property
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any

from PIL import Image

from ocr.documents.page import DrawnPage, NumberedPage
from ocr.engines.checkpoint import laid_to_files
from ocr.errors import InputError, ModelError, OCRError, SetupError, choices
from ocr.lines.networks import CHECKPOINT
from ocr.lines.reader import LineReader
from ocr.models.card import Card
from ocr.models.catalog import AUTO, MODELS, demo_note
from ocr.models.layout import labels
from ocr.models.tasks import AUTO_PRESET, GUNDAM
from ocr.output.markdown import Link, picture_name
from ocr.reading.attempts import PageReading
from ocr.reading.joining import readings
from ocr.reading.layers import is_taken, taken
from ocr.reading.regions import region_readings
from ocr.reading.request import Request
from ocr.reading.second import SecondReading
from ocr.reading.together import GroupedEngine
from ocr.reading.turning import AUTO as ORIENT_AUTO
from ocr.reading.turning import turned_box
from ocr.settings import Settings
from ocr.types import Decoding, Detector, Engine, Failed, FinishReason, PageEvent, PageInput, PageResult, PageStart
from ocr.weights.installation import INSTALL
from ocr.weights.status import status

log = logging.getLogger(__name__)

Tagged = tuple[int, PageEvent]  # the index of the page among those that are read, and an event of it
Asked = tuple[int, PageReading]  # the same index, and the page or a part of it
Coming = tuple[int, PageReading | list[PageEvent]]  # the same, or the events of a page that no engine is asked about
Stop = Callable[[], FinishReason | None]

NEARER = (
    "For %s the resolution Auto is %s here, so that it sees a page within about a minute on two cores. A larger one, "
    "up to %r, reads small print better and takes longer (docs/models.md)."
)
MOST_PIXELS = 200_000_000  # of pages that are held: under way, or waiting for an earlier one; 50 of A4 at 200 dpi


def never() -> None:
    """The caller who wants everything."""


class Reader:
    """The engines of one installation, and the reading of pages with them."""

    def __init__(self, settings: Settings) -> None:
        """Loads nothing yet. Raises SetupError where the settings name a model that is none."""
        for model in settings.models:
            if model not in MODELS:
                raise SetupError(f"OCR_MODELS names the model {model!r}; the known ones are: {choices(MODELS)}.")
        self.settings = settings
        self._engines: dict[str, Engine] = {}
        self._detector: Detector | None = None
        self._loading = Lock()  # two who ask for a model that is not loaded share one

    def resolve(self, model: str) -> str:
        """The model that a name stands for; `auto` stands for one and the same as long as this Reader lives.

        Raises InputError for a name that is none.
        """
        if model in MODELS:
            return model
        if model != AUTO:
            raise InputError(f"is {model!r}; it must be one of: {choices((AUTO, *MODELS))}.", "model")
        return self._auto

    @cached_property
    def _auto(self) -> str:
        """The first of OCR_MODELS, else the first whose weights are there when it is first asked for."""
        present = (name for name in MODELS if status(name, self.settings.checkpoints).is_ready)
        return next(iter(self.settings.models or present), next(iter(MODELS)))

    def engine(self, model: str) -> Engine:
        """A model's engine, loaded when it is first asked for. Raises SetupError where its weights are not whole."""
        with self._loading:
            if model not in self._engines:
                card = MODELS[model]
                if card.runtime == "torch":
                    self._warn_of_memory(model)
                self._engines[model] = self._loaded(model, card.engine, card)
                self._tell_preset(model)
                if note := demo_note(model):
                    log.warning(note)
            return self._engines[model]

    def settled(self, request: Request) -> Request:
        """The request, in which a preset that suits this machine takes the place of `Auto`.

        Raises SetupError where the device that the settings name is not there, or torch to look for one.
        """
        if request.resolution != AUTO_PRESET:
            return request
        return replace(request, resolution=self.auto_preset(request.model))

    def auto_preset(self, model: str) -> str:
        """The preset that `Auto` stands for here; raises SetupError as `settled` does."""
        card = MODELS[model]
        if card.cpu_preset == GUNDAM:  # whatever the device
            return GUNDAM
        hardware = _imported("ocr.engines.hardware", model)
        return card.auto(hardware.choose_device(self.settings.device).type)

    def _tell_preset(self, model: str) -> None:
        """Say in the log which preset `Auto` is here, where that is not the same everywhere."""
        preset = self.auto_preset(model)
        if preset != GUNDAM:
            log.warning(NEARER, model, preset, GUNDAM)
        elif MODELS[model].cpu_preset != GUNDAM:
            log.info("For %s the resolution Auto is %s here.", model, preset)

    def detector(self) -> Detector:
        """What finds the regions of pages, loaded when it is first asked for. Raises SetupError as `engine` does."""
        with self._loading:
            if self._detector is None:
                self._detector = self._loaded(labels.CHECKPOINT, labels.ENGINE)
            return self._detector

    def _warn_of_memory(self, model: str) -> None:
        """Say in the log if there is too little for it, before a system does by ending the process."""
        with suppress(ImportError):  # loading says what is missing
            if status(model, self.settings.checkpoints).is_ready:
                importlib.import_module("ocr.models.memory").warn(model, self.settings)

    def _loaded(self, checkpoint: str, module: str, *card: Card) -> Any:
        """What a module makes of a checkpoint."""
        found = status(checkpoint, self.settings.checkpoints)
        if not found.is_ready:
            raise SetupError(found.message)
        started = time.monotonic()
        loader = _imported(module, checkpoint)
        with laid_to_files(found.folder):
            loaded = loader.load(found.folder, *card, self.settings)
        log.info("Loaded %s in %.1f s.", checkpoint, time.monotonic() - started)
        return loaded

    def read(
        self,
        request: Request,
        pages: Iterable[NumberedPage],
        decoding: Decoding,
        link: Link = picture_name,
        stop: Stop = never,
    ) -> Generator[PageEvent]:
        """Read numbered upright RGB pages; each one's events end with its PageResult, and then the next one's begin.

        Pages are taken up as the engine has room for them, at most `decoding.together` or OCR_BATCH, and decoded with
        those of other calls; they come to the same as one by one. A page that is too long or too large is read in
        parts, each of which takes the place of a page. A page that cannot be read ends with the reason `error`, and the
        others go on. Pages are turned upright, and checked, as the request says. `link` says where the markdown links
        to for a page's n-th picture; `stop` is asked while there is anything to wait for, as a page's own
        (`ocr.types.PageInput`) is. Closing the iterator stops the work within one token. Raises InputError for a
        request that no page could be read with, SetupError for a model that cannot be loaded, or a check that cannot be
        made, all before any page is taken.
        """
        detector = self.detector() if request.asked.regions is not None else None
        engine = self.engine(request.model)
        engine.check(request.asked, request.words)
        request = self.settled(request)
        lines = self._line_reader(needed=request.check) if request.check or request.orient == ORIENT_AUTO else None
        decoding = replace(decoding, together=decoding.together or self.settings.batch)
        with (
            SecondReading(request, lines, self.settings.threads, stop) as second,
            closing(read_pages(engine, request, second.upright(pages), decoding, link, stop, detector)) as events,
        ):
            for event in events:
                yield second.checked(event)

    def checks_by_default(self, request: Request) -> bool:
        """Whether a check can be made here at next to no cost, because the model takes far longer."""
        is_cheap = request.can_be_checked and MODELS[request.model].checks_cheaply
        return is_cheap and status(CHECKPOINT, self.settings.checkpoints).is_ready

    def _line_reader(self, *, needed: bool) -> LineReader | None:
        """The networks that read lines, on one thread; None where they cannot be had, or a SetupError if needed."""
        found = status(CHECKPOINT, self.settings.checkpoints)
        if not found.is_ready:
            if needed:
                raise SetupError(f"`check` reads each page a second time with {CHECKPOINT}. {found.message}")
            return None
        try:
            return _loaded_lines(found.folder)
        except SetupError as error:
            if needed:
                raise
            log.warning("Pages are not turned upright: %s", error)
            return None


def _imported(module: str, checkpoint: str) -> Any:
    """A module that a checkpoint needs. Raises SetupError where a library of its is missing."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise SetupError(f"{checkpoint} needs a library that is missing ({error}): `{INSTALL}`.") from error


@cache
def _loaded_lines(folder: Path) -> LineReader:
    return LineReader.load(folder, threads=1)


def read_pages(
    engine: Engine,
    request: Request,
    pages: Iterable[NumberedPage],
    decoding: Decoding,
    link: Link = picture_name,
    stop: Stop = never,
    detector: Detector | None = None,
) -> Generator[PageEvent]:
    """The events of all pages, page after page, for a settled request; see `Reader.read`.

    The detector finds the regions of pages, where they are read one by one.
    """
    if request.asked.together:
        engine = GroupedEngine(engine, request.asked.together)
    feed = Feed(_readings(engine, detector, request, pages, decoding, link), stop)
    with closing(_read_all(engine, feed, decoding)) as events:
        for event in in_order(events):
            if isinstance(event, PageResult):
                feed.let_go()
            yield event


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


def _readings(
    engine: Engine,
    detector: Detector | None,
    request: Request,
    pages: Iterable[NumberedPage],
    decoding: Decoding,
    link: Link,
) -> Iterator[Coming]:
    """What is to be read of each page, or its events if there is nothing; whatever goes wrong before is its error."""
    for index, (number, page) in enumerate(pages):
        if isinstance(page, InputError):
            yield index, [_unasked(request, number, FinishReason.ERROR, error=str(page))]
            continue
        drawn = DrawnPage(page) if isinstance(page, Image.Image) else page
        try:
            of_page = _of_page(engine, detector, request, number, drawn, decoding, link)
        except InputError as error:
            of_page = [[_unasked(request, number, FinishReason.ERROR, drawn.image, str(error))]]
        except Exception as error:
            log.warning("Page %d cannot be prepared.", number, exc_info=error)
            reason = f"Page {number} cannot be prepared for reading: {type(error).__name__}: {error}"
            of_page = [[_unasked(request, number, FinishReason.ERROR, error=reason)]]
        yield from ((index, coming) for coming in of_page)


def _of_page(
    engine: Engine,
    detector: Detector | None,
    request: Request,
    number: int,
    page: DrawnPage,
    decoding: Decoding,
    link: Link,
) -> Sequence[PageReading | list[PageEvent]]:
    """What is to be read of a page: the page, its parts or its regions; its events where no engine is asked.

    Raises InputError for a box to be read that is none on this page.
    """
    if page.turned and request.asks_for_region:
        request = replace(request, reference=turned_box(request.reference, page))
    if is_taken(request, page.layer):
        return [list(taken(request, number, page, link))]
    if page.is_blank and not page.problems:  # what looks empty may be what is missing in the image
        blank = _unasked(request, number, FinishReason.BLANK, page.image)
        return [[PageStart(number, *page.image.size), blank]]
    if detector:
        return region_readings(engine, detector, request, number, page, decoding, link)
    return readings(engine, request, number, page, decoding, link)


def _unasked(
    request: Request, number: int, reason: FinishReason, page: Image.Image | None = None, error: str = ""
) -> PageResult:
    size = page.size if page else (0, 0)
    return PageResult(number, *size, request.model, "", "", (), reason, error=error, image=page)


class Feed:
    """Pages on their way into an engine, which takes them as it has room for them."""

    def __init__(self, coming: Iterable[Coming], stop: Stop = never) -> None:
        self.given: dict[int, Asked] = {}  # those yielded that are not over, by place
        self.is_over = False  # whether no more are coming
        self.error: Exception | None = None  # what kept more from coming
        self.stop = stop
        self._coming = iter(coming)
        self._told: list[Tagged] = []
        self._held: dict[int, int] = {}  # px of the pages that are not let go of, by index

    def __iter__(self) -> Iterator[PageInput]:
        """The pages that are left, one at least, until so many are held that earlier ones must be over first.

        No engine is asked about those that are blank, or that could not be drawn.
        """
        self.given, places = {}, count()
        is_first = True
        while is_first or sum(self._held.values()) < MOST_PIXELS:
            is_first = False
            try:
                index, reading = next(self._coming)
            except StopIteration:
                self.is_over = True
                return
            except Exception as error:
                self.error = error
                raise
            if isinstance(reading, PageReading):
                self._note(index, reading.begin())
                self.given[next(places)] = index, reading
                yield self._wanted(reading.input)
            else:
                self._note(index, reading)

    def _note(self, index: int, events: Iterable[PageEvent]) -> None:
        self._held.setdefault(index, 0)
        for event in events:
            self._told.append((index, event))
            if isinstance(event, PageStart):
                self._held[index] = event.width * event.height

    def _wanted(self, page: PageInput) -> PageInput:
        return replace(page, stop=lambda: self.stop() or page.stop())

    def told(self) -> Iterator[Tagged]:
        """What has become known of pages before any engine's word on them."""
        told, self._told = self._told, []
        yield from told

    def let_go(self) -> None:
        """The caller has the result of the page that was held longest."""
        self._held.pop(min(self._held, default=-1), None)


def _read_all(engine: Engine, feed: Feed, decoding: Decoding) -> Generator[Tagged]:
    """The events of the pages to their results, mixed. An engine that gives up is asked again for those that are left.

    Of several pages that were under way each is then read by itself.
    """
    while not feed.is_over:
        failure: OCRError = ModelError("The model stopped in the middle of a page without a reason.")
        try:
            yield from _decode(engine, feed, decoding)
        except OCRError as error:
            failure = error
            if failure is feed.error or not any(page.is_being_read for _, page in feed.given.values()):
                raise
        left = [(index, page) for index, page in feed.given.values() if page.is_being_read]
        for index, page in left:
            yield from _failed(index, page, failure, again=len(left) > 1)
            yield from _again(engine, index, page, feed.stop)


def _decode(engine: Engine, feed: Feed, decoding: Decoding) -> Generator[Tagged]:
    with closing(engine.read(feed, decoding)) as outputs:
        for output in outputs:
            yield from feed.told()
            index, page = feed.given[output.page]
            if isinstance(output, Failed):
                yield from _failed(index, page, output.error, output.again)
            else:
                yield from _tagged(index, page.receive(output))
            yield from _again(engine, index, page, feed.stop)
            if page.is_over:
                del feed.given[output.page]
    yield from feed.told()


def _again(engine: Engine, index: int, page: PageReading, stop: Stop) -> Iterator[Tagged]:
    """Read a page again whose attempt did not bring its result, while others of its call go on."""
    if not page.is_over and not page.is_being_read:
        yield from _read_all(engine, Feed([(index, page)], stop), page.decoding())


def _failed(index: int, page: PageReading, error: OCRError, again: bool) -> Iterator[Tagged]:
    if not isinstance(error, InputError):  # of which the result says all
        where = error if error.__traceback__ or error.__cause__ else None  # an answer of no use was raised nowhere
        log.warning("Reading page %d failed: %s", page.number, error, exc_info=where)
    yield from _tagged(index, page.break_off(str(error), is_last=not again))


def _tagged(index: int, events: Iterable[PageEvent]) -> Iterator[Tagged]:
    return ((index, event) for event in events)

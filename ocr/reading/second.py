"""What is known of pages beside their reading by any model: which way up they stand, before, and a second opinion on
each, after it. Networks for lines tell it, beside the first reading on threads of their own, or the file's text."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import starmap
from types import TracebackType

from PIL import Image

from ocr.checking.comparison import check
from ocr.documents.page import DrawnPage, NumberedPage
from ocr.documents.text_layer import TextLayer
from ocr.errors import InputError, OCRError
from ocr.lines.reader import LineReader
from ocr.reading.layers import believed, is_taken
from ocr.reading.request import Request
from ocr.reading.turning import OFF, upright
from ocr.types import Check, Element, Line, PageEvent, PageResult, PageStart, Source

log = logging.getLogger(__name__)

PATIENCE = 0.1  # s between two questions whether to go on waiting
MOST_WORKERS = 4  # pages read a second time at once; each takes up to a gigabyte and one core


@dataclass(frozen=True)
class Known:
    """What is known of a page beside its answer."""

    turned: int = 0  # as in PageResult
    doubt: str = ""  # of its text layer
    layer: TextLayer | None = None  # that the answer is compared with
    lines: "Future[Sequence[Line]] | None" = None  # likewise, that networks read


class SecondReading:
    """Used as a `with` block around the reading of a document: its pages go in `upright`, its events come `checked`.

    At its end what is still being read is given up, within a line.
    """

    def __init__(
        self, request: Request, reader: LineReader | None, threads: int, stop: Callable[[], object] = lambda: None
    ) -> None:
        """Without a reader pages are turned only as the request says. Half of the threads are left to the model.

        `stop` is asked while the lines of a page are waited for.
        """
        self._request, self._reader, self._stop = request, reader, stop
        self._known: dict[int, Known] = {}  # by the number of the page, until its result
        self._pool = ThreadPoolExecutor(max(1, min(threads // 2, MOST_WORKERS)), "second-reading")
        self._is_over = False

    def __enter__(self) -> "SecondReading":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        self._is_over = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def upright(self, pages: Iterable[NumberedPage]) -> Iterator[NumberedPage]:
        """The pages as the model is to see them; the second reading of each begins as it is taken.

        None is held here while the next one is drawn.
        """
        return starmap(self._upright, pages)

    def _upright(self, number: int, page: DrawnPage | Image.Image | InputError) -> NumberedPage:
        """The page as the model is to see it, its second reading begun; what goes wrong in that is its error."""
        if isinstance(page, InputError):
            return number, page
        drawn = DrawnPage(page) if isinstance(page, Image.Image) else page
        try:
            drawn = upright(believed(drawn), self._request.orient, self._reader)
            self._known[number] = self._begun(drawn)
        except Exception as error:
            log.warning("Page %d cannot be turned upright.", number, exc_info=error)
            return number, InputError(f"Page {number} cannot be turned upright: {type(error).__name__}: {error}")
        return number, drawn

    def _begun(self, page: DrawnPage) -> Known:
        """What is known of a page, the reading of its lines begun where it is to be checked by them."""
        layer, doubt = page.layer, page.layer.doubt if page.layer else ""
        if not self._request.check or (page.is_blank and not page.problems):
            return Known(page.turned, doubt)
        if layer and not doubt and not is_taken(self._request, layer):
            return Known(page.turned, layer=layer)
        lines = self._pool.submit(self._read, self._reader, page.image) if self._reader else None
        return Known(page.turned, doubt, lines=lines)

    def _read(self, reader: LineReader, image: Image.Image) -> Sequence[Line]:
        return list(reader.read(image, is_stopped=lambda: self._is_over))

    def checked(self, event: PageEvent) -> PageEvent:
        """The event; a page's beginning and result with its turn, and this with what the second reading says of it."""
        if isinstance(event, PageStart):
            return replace(event, turned=self._known.get(event.page, Known()).turned)
        if not isinstance(event, PageResult):
            return event
        known = self._known.pop(event.page, Known())
        return replace(
            event,
            turned=known.turned,
            check=None if event.error else self._check(event, known),
            layer_doubt=known.doubt if self._request.text_layer != OFF else "",
        )

    def _check(self, page: PageResult, known: Known) -> Check | None:
        """The second opinion; where it fails, why, for that costs no page."""
        try:
            if known.layer:
                return replace(_opinion(page, known.layer.lines), reference=Source.LAYER)
            while known.lines and not wait([known.lines], PATIENCE).done:
                if self._stop():
                    return Check(0, failure="It was cancelled before the page was read a second time.")
            letters = self._reader.dictionary if self._reader else None
            return _opinion(page, known.lines.result(), letters) if known.lines else None
        except OCRError as error:
            return Check(0, failure=str(error))
        except Exception as error:
            log.exception("The second opinion on page %d failed; please report it.", page.page)
            return Check(0, failure=f"The comparison failed: {type(error).__name__}: {error}")


def _opinion(page: PageResult, lines: Sequence[Line], letters: frozenset[str] | None = None) -> Check:
    if page.elements:
        return check(lines, page.elements, letters)
    found = check(lines, [Element("text", "", None, page.text)], letters)
    return replace(
        found,
        unsupported=tuple(replace(each, element=None) for each in found.unsupported),
        conflicts=tuple(replace(each, element=None) for each in found.conflicts),
    )

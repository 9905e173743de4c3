"""Loads engines and reads pages with them: the one route that every face takes. Knows no HTTP and no Cog."""

import importlib
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from PIL import Image

import weights
from ocr.answers import LayoutEvent
from ocr.catalog import AUTO, MODELS, RESOLUTIONS, Request
from ocr.errors import InputError, ModelError, SetupError, choices
from ocr.layout import PARSERS, Elements
from ocr.matching import select
from ocr.settings import Settings
from ocr.types import (
    Decoding,
    Element,
    Engine,
    Markdown,
    PageEvent,
    PageInput,
    PageResult,
    Prepared,
    Raw,
)
from ocr.writers import MarkdownPage

log = logging.getLogger(__name__)


class Reader:
    """The engines of one installation, and the reading of pages with them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engines: dict[str, Engine] = {}

    def resolve(self, model: str) -> str:
        """The model that a name stands for; `auto` is the first of OCR_MODELS, else the first whose weights are there.

        Raises InputError for a name that is none.
        """
        if model in MODELS:
            return model
        if model != AUTO:
            raise InputError(f"model is {model!r}; it must be one of: {choices((AUTO, *MODELS))}.")
        present = (name for name in MODELS if not weights.problems(self.settings.checkpoints / name))
        return next(iter(self.settings.models or present), next(iter(MODELS)))

    def engine(self, model: str) -> Engine:
        """A model's engine, loaded when it is first asked for. Raises SetupError where its weights are not whole."""
        if model not in self._engines:
            folder = self.settings.checkpoints / model
            _check_weights(model, folder)
            self._engines[model] = importlib.import_module(MODELS[model].engine).load(folder, self.settings)
        return self._engines[model]

    def read(
        self, request: Request, pages: Iterable[tuple[int, Image.Image | InputError]], decoding: Decoding
    ) -> Iterator[PageEvent]:
        """Read numbered upright RGB pages one after the other; each one's events end with its PageResult.

        Closing the iterator stops the work within one token.
        """
        engine = self.engine(request.model)
        for number, image in pages:
            if isinstance(image, InputError):
                raise image
            yield from read_page(engine, request, number, image, decoding)


def _check_weights(model: str, folder: Path) -> None:
    if not folder.exists():
        raise SetupError(weights.missing_message(model, folder.parent))
    if found := weights.problems(folder):
        raise SetupError(f"The weights in {folder} are not whole: {found[0]}. Run: python weights.py fetch {model}")


def read_page(
    engine: Engine, request: Request, number: int, image: Image.Image, decoding: Decoding
) -> Iterator[PageEvent]:
    """One page's events as they become certain, its PageResult last."""
    started = time.monotonic()
    first_token = 0.0
    page = PageInput(image, request.asked, request.words, RESOLUTIONS[request.resolution])
    with closing(engine.read([page], decoding)) as news:
        for event in news:
            if isinstance(event, Prepared):
                prepared, answer = event, _Answer(request, number, image.size, event.extent)
                continue
            last = event
            first_token = first_token or time.monotonic() - started
            yield from answer.feed(last.text)
    yield from answer.close()
    if last.finish is None:
        raise ModelError(f"{request.model} stopped in the middle of page {number} without a reason.")
    yield PageResult(
        page=number,
        width=image.width,
        height=image.height,
        model=request.model,
        text=answer.raw,
        markdown=answer.markdown,
        elements=tuple(answer.elements),
        finish_reason=last.finish,
        prompt_tokens=prepared.prompt_tokens,
        completion_tokens=last.tokens,
        image_tokens=prepared.image_tokens,
        time_to_first_token=first_token,
        seconds=time.monotonic() - started,
        problems=tuple(answer.problems),
    )


class _Answer:
    """A page's answer in all its forms, as it streams."""

    def __init__(self, request: Request, number: int, page_size: tuple[int, int], extent: tuple[float, float]) -> None:
        self._parser = PARSERS[request.asked.layout](page_size, extent)
        self._page = MarkdownPage(number, lists_boxes=request.asked.lists_boxes)
        self._open = Elements()
        self._asked, self._words = request.asked, request.words
        self._held: list[LayoutEvent] = []  # where the answer is chosen from all elements at its end
        self.raw = ""
        self.markdown = ""
        self.elements: list[Element] = []
        self.problems = self._parser.problems

    def feed(self, text: str) -> Iterator[PageEvent]:
        """What this piece of the model's text makes certain."""
        if text:
            self.raw += text
            yield Raw(text)
        events = self._parser.feed(text)
        if self._asked.selects:
            self._held.extend(events)
        else:
            yield from self._understand(events)

    def close(self) -> Iterator[PageEvent]:
        """What was held back: the answer is over."""
        events: Iterable[LayoutEvent] = [*self._held, *self._parser.close()]
        yield from self._understand(select(events, self._words) if self._asked.selects else events)
        yield from self._show(self._page.close())
        yield from self._keep(self._open.close())
        if self._asked.selects and not self.elements:
            self.problems.append(f"Nothing on the page matches {self._words!r}.")

    def _understand(self, events: Iterable[LayoutEvent]) -> Iterator[PageEvent]:
        for event in events:
            yield from self._show(self._page.write(event))
            yield from self._keep(self._open.feed(event))

    def _show(self, markdown: str) -> Iterator[PageEvent]:
        if markdown:
            self.markdown += markdown
            yield Markdown(markdown)

    def _keep(self, elements: Iterable[Element]) -> Iterator[PageEvent]:
        for element in elements:
            self.elements.append(element)
            yield element

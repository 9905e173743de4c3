"""A page's answer in all its forms, as it streams. Knows no engine, and no other pages."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.answers.elements import Elements
from ocr.answers.matching import select
from ocr.models.catalog import MODELS
from ocr.output.markdown import Link, MarkdownPage, picture_name
from ocr.reading.request import Request
from ocr.types import AnswerEvent, Element, Markdown, PageEvent, Raw


@dataclass
class Answer:
    """A page's answer in all its forms; this one, of a page for which no engine has spoken, is empty."""

    raw: str = ""
    markdown: str = ""
    elements: list[Element] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def feed(self, _text: str) -> Iterable[PageEvent]:
        """What this piece of the model's text makes certain."""
        return ()

    def close(self) -> Iterable[PageEvent]:
        """What was held back: the answer is over."""
        return ()

    def replay(self) -> Iterator[PageEvent]:
        """The events of the whole answer once more."""
        yield Raw(self.raw)
        yield Markdown(self.markdown)
        yield from self.elements


class StreamedAnswer(Answer):
    """An answer as it streams."""

    def __init__(self, request: Request, number: int, scale: Scale, link: Link = picture_name) -> None:
        super().__init__()
        self._parser = PARSERS[request.asked.layout](scale)
        self._page = MarkdownPage(
            number,
            lists_boxes=request.asked.lists_boxes,
            replacements=MODELS[request.model].replacements,
            link=link,
        )
        self._open = Elements()
        self._asked, self._words = request.asked, request.words
        self._held: list[AnswerEvent] = []  # where the answer is chosen from all elements at its end
        self.problems = self._parser.problems

    def feed(self, text: str) -> Iterator[PageEvent]:
        if text:
            self.raw += text
            yield Raw(text)
        events = self._parser.feed(text)
        if self._asked.selects:
            self._held.extend(events)
        else:
            yield from self._understand(events)

    def close(self) -> Iterator[PageEvent]:
        events: Iterable[AnswerEvent] = [*self._held, *self._parser.close()]
        yield from self._understand(select(events, self._words) if self._asked.selects else events)
        yield from self._show(self._page.close())
        yield from self._keep(self._open.close())
        if self._asked.selects and not self.elements:
            self.problems.append(f"Nothing on the page matches {self._words!r}.")

    def _understand(self, events: Iterable[AnswerEvent]) -> Iterator[PageEvent]:
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

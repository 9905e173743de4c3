"""A page's answer in all its forms, as it streams. Knows no engine, and no other pages."""

from collections.abc import Iterable, Iterator

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.answers.elements import Elements
from ocr.answers.matching import best_matches
from ocr.models.catalog import MODELS
from ocr.output.markdown import Link, MarkdownPage, picture_name
from ocr.reading.repetition import RepeatedElements
from ocr.reading.request import Request
from ocr.types import AnswerEvent, Element, FinishReason, Markdown, Opened, PageEvent, Problem, Prompt, Raw, Text


class Answer:
    """A page's answer in all its forms; this one, of a page for which no engine has spoken, is empty."""

    def __init__(self) -> None:
        self.elements: list[Element] = []
        self.understood: list[AnswerEvent] = []  # what the parser made of it
        self.problems: list[str] = []
        self.end: FinishReason | None = None  # why the model is to be stopped here, as far as the elements tell
        self._raw: list[str] = []  # as it came
        self._markdown: list[str] = []

    @property
    def raw(self) -> str:
        """The model's own text so far."""
        return "".join(self._raw)

    @property
    def markdown(self) -> str:
        """The markdown that is certain so far."""
        return "".join(self._markdown)

    def feed(self, _text: str) -> Iterable[PageEvent]:
        """What this piece of the model's text makes certain."""
        return ()

    def report(self, _problems: Iterable[Problem]) -> None:
        """Take note of what the engine knows to be amiss."""

    def close(self) -> Iterable[PageEvent]:
        """What was held back: the answer is over."""
        return ()

    def replay(self) -> Iterator[PageEvent]:
        """The events of the whole answer once more."""
        yield Raw(self.raw)
        yield Markdown(self.markdown)
        yield from self.elements


class ShownAnswer(Answer):
    """An answer made of a parser's events: what they say as markdown and as whole elements."""

    def __init__(self, request: Request, number: int, link: Link = picture_name, asked: Prompt | None = None) -> None:
        """`asked` is what the model was asked, where it is not what the request asks of whole pages."""
        super().__init__()
        card = MODELS[request.model]
        self._asked, self._words = asked or request.asked, request.words
        self._page = MarkdownPage(
            number, lists_boxes=self._asked.lists_boxes, replacements=card.replacements, link=link
        )
        self._open = Elements()
        self._repeated = RepeatedElements() if card.repeats_elements else None
        self._candidates: list[Element] = []  # where the answer is chosen from all elements at its end

    def understand(self, events: Iterable[AnswerEvent]) -> Iterator[PageEvent]:
        """What these events of a parser make certain."""
        for event in events:
            self.understood.append(event)
            if not self._asked.selects:
                yield from self._show(self._page.write(event))
            yield from self._keep(self._open.feed(event))

    def close(self) -> Iterator[PageEvent]:
        yield from self._keep(self._open.close())
        if self._asked.selects:
            yield from self._select()
        yield from self._show(self._page.close())

    def _show(self, markdown: str) -> Iterator[PageEvent]:
        if markdown:
            self._markdown.append(markdown)
            yield Markdown(markdown)

    def _keep(self, elements: Iterable[Element]) -> Iterator[PageEvent]:
        for element in elements:
            if self._repeated and not self.end:
                self.end = self._repeated.accept(element)
            if self._asked.selects:
                self._candidates.append(element)
            else:
                self.elements.append(element)
                yield element

    def _select(self) -> Iterator[PageEvent]:
        """Those elements alone that match the caller's words, best first."""
        self.elements = best_matches(self._candidates, self._words)
        for element in self.elements:
            for event in (Opened(element.type, element.label, element.bbox), Text(element.text)):
                yield from self._show(self._page.write(event))
            yield element
        if not self.elements:
            self.problems.append(f"Nothing on the page matches {self._words!r}.")


MOST_PLACES = 10  # that a problem lists


class StreamedAnswer(ShownAnswer):
    """An answer as a model writes it."""

    def __init__(
        self,
        request: Request,
        number: int,
        scale: Scale,
        link: Link = picture_name,
        asked: Prompt | None = None,
    ) -> None:
        super().__init__(request, number, link, asked)
        self._parser = PARSERS[self._asked.dialect](scale)
        self._scale = scale
        self.problems = self._parser.problems

    def report(self, problems: Iterable[Problem]) -> None:
        self.problems += [_in_words(problem, self._scale) for problem in problems]

    def feed(self, text: str) -> Iterator[PageEvent]:
        if text:
            self._raw.append(text)
            yield Raw(text)
        yield from self.understand(self._parser.feed(text))

    def close(self) -> Iterator[PageEvent]:
        yield from self.understand(self._parser.close())
        yield from super().close()


def _in_words(problem: Problem, scale: Scale) -> str:
    """What an engine says is amiss, with its places as [x1, y1, x2, y2] in whole page pixels."""
    boxes = [str([round(side) for side in scale.to_page(box)]) for box in problem.places]
    more = [f"{len(boxes) - MOST_PLACES} more"] if len(boxes) > MOST_PLACES else []
    return f"{problem.says}{': ' if boxes else ''}{', '.join(boxes[:MOST_PLACES] + more)}."

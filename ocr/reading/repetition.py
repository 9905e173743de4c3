"""The token rule for a model that writes the same element for ever, its box drifting a little each time, so that no
tokens repeat exactly. Knows any parser of answers, and no engine."""

from collections.abc import Callable, Collection, Sequence

from ocr.answers.dialects import Parser
from ocr.answers.elements import Elements
from ocr.decoding.loop import TextStream
from ocr.decoding.rules import RepetitionStop
from ocr.types import Element, FinishReason

PERIOD = 8  # elements; longest cycle that is looked for
ELEMENTS = 24  # that a cycle fills before it is taken for endless
TIMES = 6  # that a cycle is repeated
TELLING = 4  # characters; forms and tables have many elements that say no more than "0" or "Yes"


class RepeatedElements:
    """Ends a sequence whose last elements are the same few over and over, wherever their boxes are.

    Elements with hardly any text or none are the same only if their boxes are too. `decode_ids` makes text of ids,
    `parser` elements of the text; both see every token.
    """

    def __init__(self, decode_ids: Callable[[Sequence[int]], str], parser: Parser) -> None:
        self._text = TextStream(decode_ids)
        self._parser = parser
        self._elements = Elements()
        self._stop = RepetitionStop(max_period=PERIOD, tokens=ELEMENTS, times=TIMES)

    def banned(self) -> Collection[int]:
        return ()

    def accept(self, token: int) -> FinishReason | None:
        events = self._parser.feed(self._text.feed(token))
        whole = [element for event in events for element in self._elements.feed(event)]
        reasons = [self._stop.accept(hash(_likeness(element))) for element in whole]
        return next((reason for reason in reasons if reason is not None), None)


def _likeness(element: Element) -> tuple[object, ...]:
    """What two elements have in common that are one and the same."""
    is_telling = len(element.text) >= TELLING
    return element.label, element.text, None if is_telling else element.bbox

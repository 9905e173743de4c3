"""Watches for a model that writes the same element for ever, its box drifting a little each time, so that no tokens
repeat exactly. Knows no dialect and no engine."""

from ocr.decoding.rules import RepetitionStop
from ocr.types import Element, FinishReason

PERIOD = 8  # elements; longest cycle that is looked for
ELEMENTS = 24  # that a cycle fills before it is taken for endless
TIMES = 6  # that a cycle is repeated
TELLING = 4  # characters; forms and tables have many elements that say no more than "0" or "Yes"


class RepeatedElements:
    """Tells when a page's last elements are the same few over and over, wherever their boxes are.

    Elements with hardly any text or none are the same only if their boxes are too.
    """

    def __init__(self) -> None:
        self._rule = RepetitionStop(max_period=PERIOD, tokens=ELEMENTS, times=TIMES)

    def accept(self, element: Element) -> FinishReason | None:
        """Take note of the next element; a reason says that the page is to end with it."""
        is_telling = len(element.text) >= TELLING
        likeness = element.label, element.text, None if is_telling else element.bbox
        return self._rule.accept(hash(likeness))

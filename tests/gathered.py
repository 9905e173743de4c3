"""Parsers' events put together again, for tests that compare whole elements."""

from collections.abc import Iterable

from ocr.answers.elements import Elements
from ocr.types import AnswerEvent, Element


def gather(events: Iterable[AnswerEvent]) -> tuple[Element, ...]:
    """The elements of a whole answer, each with all its text."""
    elements = Elements()
    found = [element for event in events for element in elements.feed(event)]
    return (*found, *elements.close())

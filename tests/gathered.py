"""Layout events put together again, for tests that compare whole elements."""

from collections.abc import Iterable

from ocr.answers.elements import Elements
from ocr.answers.text import LayoutEvent
from ocr.types import Element


def gather(events: Iterable[LayoutEvent]) -> tuple[Element, ...]:
    """The elements of a whole answer, each with all its text."""
    elements = Elements()
    found = [element for event in events for element in elements.feed(event)]
    return (*found, *elements.close())

"""Whole elements of what parsers yield, and the vocabulary of their types."""

from collections.abc import Iterator

from ocr.answers.text import trimmed
from ocr.types import AnswerEvent, Element, Opened, Text

ELEMENT_TYPES = (
    "title",
    "heading",
    "text",
    "list_item",
    "table",
    "formula",
    "picture",
    "caption",
    "footnote",
    "header",
    "footer",
    "page_number",
    "other",
)


class Elements:
    """Puts each element together with all its text, as soon as it is over."""

    def __init__(self) -> None:
        self._opened: Opened | None = None
        self._texts: list[str] = []

    def feed(self, event: AnswerEvent) -> Iterator[Element]:
        """The element that this event shows to be over, if any; text outside of elements belongs to none."""
        if isinstance(event, Text):
            self._texts.append(event.text)
            return
        yield from self.close()
        self._opened = event

    def close(self) -> Iterator[Element]:
        """The last element, if there is one."""
        if opened := self._opened:
            yield Element(opened.type, opened.label, opened.bbox, trimmed("".join(self._texts)))
        self._opened = None
        self._texts = []

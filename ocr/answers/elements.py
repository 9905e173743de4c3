"""Whole elements of what parsers yield, and the vocabulary of their types."""

from collections.abc import Sequence

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

    def feed(self, event: AnswerEvent) -> Sequence[Element]:
        """The element that this event shows to be over, if any; text outside of elements belongs to none."""
        if isinstance(event, Text):
            self._texts.append(event.text)
            return ()
        over = self.close()
        self._opened = event
        return over

    def close(self) -> Sequence[Element]:
        """The last element, if there is one."""
        opened, text = self._opened, "".join(self._texts)
        self._opened, self._texts = None, []
        return (Element(opened.type, opened.label, opened.bbox, trimmed(text)),) if opened else ()

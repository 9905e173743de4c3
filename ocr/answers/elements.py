"""What parsers of answers yield, put together to whole elements, and the vocabulary of their types."""

from collections.abc import Iterator
from dataclasses import replace

from ocr.answers.text import LayoutEvent
from ocr.types import Element, Text

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
    """Puts events together again: each element with all its text, as soon as it is over."""

    def __init__(self) -> None:
        self._open: Element | None = None
        self._texts: list[str] = []

    def feed(self, event: LayoutEvent) -> Iterator[Element]:
        """The element that this event shows to be over, if any; text outside of elements belongs to none."""
        if isinstance(event, Text):
            self._texts.append(event.text)
            return
        yield from self.close()
        self._open = event

    def close(self) -> Iterator[Element]:
        """The last element, if there is one."""
        if self._open is not None:
            yield replace(self._open, text="".join(self._texts).strip())
        self._open = None
        self._texts = []

"""The table of the dialects in which models answer. Model text is data: parsed strictly, never evaluated, and whatever
it holds, what came whole is kept, what cannot be understood is reported, and nothing raises."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Protocol

from ocr.answers.boxed_html import BoxedHtml
from ocr.answers.boxes import Scale
from ocr.answers.elements import ELEMENT_TYPES
from ocr.answers.grounded import Grounded
from ocr.answers.layout_json import LayoutJson
from ocr.answers.located_lines import LocatedLines
from ocr.answers.mathpix import Mathpix
from ocr.answers.otsl import Otsl
from ocr.answers.pictured import BOX_IMAGE, PLACED_LINK, FrontMatter, Pictured
from ocr.answers.scene_text import SceneText
from ocr.types import AnswerEvent, Text


class Parser(Protocol):
    """Turns one page's answer into events: an element opens, the Texts after it are what it says."""

    problems: list[str]  # what could not be understood, one sentence each

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        """Take in more of the answer; what is certain comes out at once, or of a very long answer in larger pieces."""
        ...

    def close(self) -> Iterable[AnswerEvent]:
        """The answer is over: what was held back comes out as it stands."""
        ...


class PlainText:
    """An answer that is text and nothing else."""

    def __init__(self, _scale: Scale) -> None:
        self.problems: list[str] = []

    def feed(self, text: str) -> Iterable[AnswerEvent]:
        return (Text(text),) if text else ()

    def close(self) -> Iterable[AnswerEvent]:
        return ()


class Unmarked(Grounded):
    """An answer that is to be text and nothing else, but comes in grounded blocks at times: their text alone."""

    def feed(self, text: str) -> Iterator[AnswerEvent]:
        return (event for event in super().feed(text) if isinstance(event, Text))

    def close(self) -> Iterator[AnswerEvent]:
        return (event for event in super().close() if isinstance(event, Text))


PARSERS: Mapping[str, Callable[[Scale], Parser]] = {
    "plain": PlainText,
    "unmarked": Unmarked,
    "grounded": Grounded,
    "grounded_blocks": partial(Grounded, heads={"title": "# "}),
    "layout_json": LayoutJson,
    "element_json": partial(LayoutJson, categories={name: name for name in ELEMENT_TYPES}),
    "spotted_json": partial(LayoutJson, has_categories=False),
    "scene_text": SceneText,
    "boxed_html": BoxedHtml,
    "front_matter": FrontMatter,
    "boxed_images": partial(Pictured, form=BOX_IMAGE),
    "placed_links": partial(Pictured, form=PLACED_LINK),
    "located_lines": LocatedLines,
    "otsl": Otsl,
    "mathpix": Mathpix,
}

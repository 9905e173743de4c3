"""Elements and results into what a caller reads: markdown as it streams, the model's own text, one JSON document."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ocr.answers.text import held_back
from ocr.types import AnswerEvent, Element, FinishReason, Markdown, Opened, PageEvent, PageResult, Raw, Retry, worst

LEFT_OUT = ("header", "footer", "page_number")  # page furniture: in the JSON output and the raw text alone
REPLACED: Mapping[str, str] = {"\\coloneqq": ":=", "\\eqqcolon": "=:"}  # commands that most renderers' LaTeX lacks
_REPLACED = re.compile("|".join(map(re.escape, REPLACED)))
_BLANK_LINES = re.compile(r"\n(?:[ \t]*\n)+")
_COMMENT_MARK = re.compile("-(?=-)")  # two hyphens in a row may end a comment
_MATH = ("$", "\\[", "\\(")  # how a formula begins that brings its own frame


class MarkdownPage:
    """One page's answer as pieces of markdown, each final as it stands; a page read again takes a fresh one.

    Marks and boxes are gone, elements stand apart by one blank line, pictures that have a place are links to their
    crops, formulas are `$$` blocks, page headers, footers and numbers are left out. With `lists_boxes` nothing is left
    out, and each element ends in its place, `[x1, y1, x2, y2]` in whole page pixels.
    """

    def __init__(self, page: int, *, lists_boxes: bool = False) -> None:
        self._page = page
        self._lists_boxes = lists_boxes
        self._pictures = 0
        self._element: Opened | None = None
        self._said = False  # whether that element has shown any text
        self._formula = ""  # a formula's text, held to its end: only then is it known whether it brings its frame
        self._half = ""  # the end of the text, while it may be half of a replaced command
        self._gap = ""  # white space that is shown only if something follows
        self._is_blank = True  # whether nothing was shown on this page yet

    def write(self, event: AnswerEvent) -> str:
        """The markdown that is certain with this event."""
        if isinstance(event, Opened):
            return self.close() + self._open(event)
        kind = self._element.type if self._element else "text"
        if kind in LEFT_OUT and not self._lists_boxes:
            return ""
        if kind == "formula":
            self._formula += event.text
            return ""
        text = self._half + event.text
        certain = len(text) - held_back(text, tuple(REPLACED))
        self._half = text[certain:]
        return self._show(text[:certain])

    def close(self) -> str:
        """The markdown held back so far: the element that was open is over."""
        out = self._show(self._half) + self._show(framed(self._formula))
        element, self._element = self._element, None
        if element is not None and element.bbox is not None and self._lists_boxes:
            place = str([round(side) for side in element.bbox])
            self._gap = " " if self._said else self._gap
            out += self._show(place if self._said else f"{element.label} {place}".lstrip())
        self._half = self._formula = ""
        return out

    def _open(self, element: Opened) -> str:
        self._element = element
        self._said = False
        self._gap = "\n\n"
        if element.type != "picture" or element.bbox is None or self._lists_boxes:
            return ""
        self._pictures += 1
        return self._show(f"![]({picture_name(self._page, self._pictures)})")

    def _show(self, text: str) -> str:
        text = _BLANK_LINES.sub("\n\n", self._gap + _REPLACED.sub(lambda match: REPLACED[match[0]], text))
        shown = text.rstrip()
        self._gap = text[len(shown) :]
        if not shown:
            return ""
        if self._is_blank:
            shown = shown.lstrip("\n")
        self._is_blank = False
        self._said = True
        return shown


def picture_name(page: int, picture: int) -> str:
    """Where the crop of a page's n-th picture with a place is, beside the markdown that links to it; both from 1."""
    return f"images/page-{page}-{picture}.png"


def framed(formula: str) -> str:
    """A formula as a `$$` block, unless it brings a frame of its own; nothing for an empty one."""
    formula = formula.strip()
    return formula if not formula or formula.startswith(_MATH) else f"$$\n{formula}\n$$"


class Writer(Protocol):
    """Turns the events of a document into one kind of output."""

    def write(self, event: PageEvent) -> str:
        """The output that is certain with this event; often empty."""
        ...

    def close(self) -> str:
        """The rest, after the last page."""
        ...


PAGE_SPLIT = "\n\n<--- Page Split --->\n\n"  # upstream's own mark between pages
RETRY = "\n\n<--- Page Retry --->\n\n"  # the page begins again: its text before this mark does not count


class _TextWriter:
    """Passes on the text of one kind of event, with marks between pages and where a page begins again."""

    kind: type[Markdown | Raw]

    def __init__(self) -> None:
        self._is_between = False  # whether a page is over, and another may follow

    def write(self, event: PageEvent) -> str:
        split = PAGE_SPLIT if self._is_between else ""
        self._is_between = isinstance(event, PageResult)
        return split + self._shown(event)

    def _shown(self, event: PageEvent) -> str:
        if isinstance(event, Retry):
            return RETRY
        return event.text if isinstance(event, self.kind) else ""

    def close(self) -> str:
        return ""


class MarkdownWriter(_TextWriter):
    """Clean markdown, as it streams; a page that could not be read ends in a comment that says why."""

    kind = Markdown

    def _shown(self, event: PageEvent) -> str:
        return _failure(event) if isinstance(event, PageResult) else super()._shown(event)


class RawWriter(_TextWriter):
    """The model's own text, as it streams."""

    kind = Raw


def document_markdown(pages: Sequence[PageResult]) -> str:
    """The markdown of a whole document: what MarkdownWriter streams of it, without the attempts that were given up."""
    return PAGE_SPLIT.join(page.markdown + _failure(page) for page in pages)


def _failure(page: PageResult) -> str:
    """A comment that says why a page could not be read, after what was read of it; nothing for any other page."""
    if not page.error:
        return ""
    reason = " ".join(_COMMENT_MARK.sub("- ", page.error).split())
    return ("\n\n" if page.markdown else "") + f"<!-- Page {page.page} could not be read: {reason} -->"


class JsonWriter:
    """One JSON document: a page's object as soon as the page is read, the totals at the end."""

    def __init__(self) -> None:
        self._pages: list[PageResult] = []

    def write(self, event: PageEvent) -> str:
        if not isinstance(event, PageResult):
            return ""
        before = "," if self._pages else '{"pages": ['
        self._pages.append(dataclasses.replace(event, text="", markdown="", elements=()))  # the totals need no text
        return before + "\n" + json.dumps(page_json(event), ensure_ascii=False)

    def close(self) -> str:
        totals = json.dumps(summary(self._pages), ensure_ascii=False)
        return ('{"pages": [' if not self._pages else "") + "\n], " + totals[1:] + "\n"


WRITERS: Mapping[str, Callable[[], Writer]] = {"markdown": MarkdownWriter, "json": JsonWriter, "raw": RawWriter}


def page_json(result: PageResult) -> dict[str, Any]:
    """A page as it stands in the JSON document, which document.schema.json describes; boxes to a tenth of a pixel."""
    return {
        "page": result.page,
        "width": result.width,
        "height": result.height,
        "model": result.model,
        "finish_reason": result.finish_reason.value,
        "markdown": result.markdown,
        "elements": [_element_json(element) for element in result.elements],
        "text": result.text,
        "problems": list(result.problems),
        "usage": _usage([result]),
        "retries": result.retries,
        "error": result.error or None,
        "seconds": round(result.seconds, 3),
    }


def _element_json(element: Element) -> dict[str, Any]:
    bbox = [round(side, 1) for side in element.bbox] if element.bbox else None
    return {"type": element.type, "label": element.label, "bbox": bbox, "text": element.text}


def _usage(pages: Sequence[PageResult]) -> dict[str, int]:
    names = ("prompt_tokens", "completion_tokens", "image_tokens")
    return {name: sum(getattr(page, name) for page in pages) for name in names}


def summary(pages: Sequence[PageResult]) -> dict[str, Any]:
    """What is to say of a whole document: how it ended and what it took."""
    return {"finish_reason": worst([page.finish_reason for page in pages]).value, "usage": _usage(pages)}


def metrics(pages: Sequence[PageResult]) -> dict[str, Any]:
    """The figures recorded on a prediction of at least one page; times in seconds.

    The time to the first token is that of the first page for which a model was asked. Where there is none, as in a
    document of blank pages, it is 0, and so is the rate.
    """
    first = next((page.time_to_first_token for page in pages if page.completion_tokens), 0.0)
    seconds, tokens = sum(page.seconds for page in pages), sum(page.completion_tokens for page in pages)
    return {
        "model": pages[0].model,
        "pages": len(pages),
        "failed_pages": sum(page.finish_reason is FinishReason.ERROR for page in pages),
        "retries": sum(page.retries for page in pages),
        **_usage(pages),
        "finish_reason": summary(pages)["finish_reason"],
        "time_to_first_token": round(first, 3),
        "tokens_per_second": round(tokens / seconds, 2) if seconds else 0.0,
    }

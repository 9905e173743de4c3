"""The events of a document into what a caller reads: markdown or the model's text as it streams, one JSON document."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ocr.output.untrusted import COMMENT_MARK, PAGE_MARK, Disarmed, as_json, as_markdown
from ocr.types import Box, Check, Element, FinishReason, Markdown, PageEvent, PageResult, PageStart, Raw, Retry, worst

_COMMENT_END = re.compile("-(?=-)")  # two hyphens in a row may end a comment


class Writer(Protocol):
    """Turns the events of a document into one kind of output."""

    def write(self, event: PageEvent) -> str:
        """The output that is certain with this event; often empty."""
        ...

    def close(self) -> str:
        """The rest, after the last page."""
        ...


PAGE_SPLIT = f"\n\n{PAGE_MARK} Split --->\n\n"  # upstream's own mark between pages
RETRY = f"\n\n{PAGE_MARK} Retry --->\n\n"  # the page begins again: its text before this mark does not count


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
    """The model's own text, as it streams; where it would pass for a mark between pages it has a backslash."""

    kind = Raw

    def __init__(self) -> None:
        super().__init__()
        self._text = Disarmed(PAGE_MARK)

    def _shown(self, event: PageEvent) -> str:
        if isinstance(event, Raw):
            return self._text.feed(event.text)
        return self._text.close() + super()._shown(event) if isinstance(event, Retry | PageResult) else ""

    def close(self) -> str:
        return self._text.close()


def document_markdown(pages: Sequence[PageResult]) -> str:
    """The markdown of a whole document: what MarkdownWriter streams of it, without the attempts that were given up."""
    return PAGE_SPLIT.join(page.markdown + _failure(page) for page in pages)


def _failure(page: PageResult) -> str:
    """A comment that says why a page could not be read, after what was read of it; nothing for any other page."""
    if not page.error:
        return ""
    reason = " ".join(_COMMENT_END.sub("- ", as_markdown(page.error)).split())
    return ("\n\n" if page.markdown else "") + f"{COMMENT_MARK} {page.page} could not be read: {reason} -->"


def _counts(page: PageResult) -> PageResult:
    """What a document's totals need of a page, so that nothing large is kept."""
    return replace(page.without_image(), text="", markdown="", elements=(), problems=(), check=None)


class JsonWriter:
    """One JSON document: a page's object as soon as the page is read, the totals at the end."""

    def __init__(self) -> None:
        self._pages: list[PageResult] = []

    def write(self, event: PageEvent) -> str:
        if not isinstance(event, PageResult):
            return ""
        before = "," if self._pages else '{"pages": ['
        self._pages.append(_counts(event))
        return before + "\n" + as_json(page_json(event))

    def close(self) -> str:
        totals = as_json(summary(self._pages))
        return ('{"pages": [' if not self._pages else "") + "\n], " + totals[1:] + "\n"


class EventsWriter:
    """One line of JSON for each event as it comes, as event.schema.json describes them.

    Together the lines of a page hold what the JSON document has of it.
    """

    def __init__(self) -> None:
        self._page = 0
        self._elements = 0  # of the page so far
        self._pages: list[PageResult] = []

    def write(self, event: PageEvent) -> str:
        match event:
            case PageStart():
                self._page, self._elements = event.page, 0
                return self._line("page", width=event.width, height=event.height, turned=event.turned)
            case Markdown():
                # Put together by hand: of all events these are the many.
                return f'{{"event": "markdown", "page": {self._page}, "text": {as_json(event.text)}}}\n'
            case Element():
                self._elements += 1
                return self._line("element", number=self._elements, **_element_json(event))
            case Retry():
                self._elements = 0
                return self._line("retry", reason=event.reason.value)
            case PageResult():
                self._page = event.page
                self._pages.append(_counts(event))
                rest = page_json(event)
                del rest["page"], rest["markdown"], rest["elements"]  # they came in lines of their own
                return self._line("result", **rest)
        return ""  # the model's own text comes with the result

    def close(self) -> str:
        failed = sum(page.finish_reason is FinishReason.ERROR for page in self._pages)
        end = {"event": "end", "pages": len(self._pages), "failed_pages": failed, **summary(self._pages)}
        return as_json(end) + "\n"

    def _line(self, event: str, **fields: Any) -> str:
        return as_json({"event": event, "page": self._page, **fields}) + "\n"


WRITERS: Mapping[str, Callable[[], Writer]] = {
    "markdown": MarkdownWriter,
    "json": JsonWriter,
    "raw": RawWriter,
    "events": EventsWriter,
}


def page_json(result: PageResult) -> dict[str, Any]:
    """A page as it stands in the JSON document, which document.schema.json describes; boxes to a tenth of a pixel."""
    return {
        "page": result.page,
        "width": result.width,
        "height": result.height,
        "turned": result.turned,
        "model": result.model,
        "source": result.source.value,
        "layer_doubt": result.layer_doubt or None,
        "finish_reason": result.finish_reason.value,
        "markdown": result.markdown,
        "elements": [_element_json(element) for element in result.elements],
        "text": result.text,
        "problems": list(result.problems),
        "usage": _usage([result]),
        "retries": result.retries,
        "check": _check_json(result.check),
        "error": result.error or None,
        "seconds": round(result.seconds, 3),
    }


def _check_json(check: Check | None) -> dict[str, Any] | None:
    if check is None:
        return None
    return {
        "reference": check.reference.value,
        "failure": check.failure or None,
        "lines": check.lines,
        "omitted": [{"text": each.text, "bbox": _rounded(each.bbox)} for each in check.omitted],
        "unsupported": [
            {"text": each.text, "element": _number(each.element), "bbox": _rounded(each.bbox)}
            for each in check.unsupported
        ],
        "conflicts": [
            {
                "line": each.line,
                "answer": each.answer,
                "element": _number(each.element),
                "bbox": _rounded(each.bbox),
            }
            for each in check.conflicts
        ],
    }


def _number(index: int | None) -> int | None:
    return None if index is None else index + 1


def _rounded(box: Box | None) -> list[float] | None:
    return [round(side, 1) for side in box] if box else None


def _element_json(element: Element) -> dict[str, Any]:
    return {"type": element.type, "label": element.label, "bbox": _rounded(element.bbox), "text": element.text}


def _usage(pages: Sequence[PageResult]) -> dict[str, int]:
    names = ("prompt_tokens", "completion_tokens", "image_tokens")
    return {name: sum(getattr(page, name) for page in pages) for name in names}


def summary(pages: Sequence[PageResult]) -> dict[str, Any]:
    """How a whole document ended, and what it took."""
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
        "problems": sum(len(page.problems) for page in pages),
        "retries": sum(page.retries for page in pages),
        **_disagreements([page.check for page in pages if page.check and not page.check.failure]),
        **_usage(pages),
        "finish_reason": summary(pages)["finish_reason"],
        "time_to_first_token": round(first, 3),
        "tokens_per_second": round(tokens / seconds, 2) if seconds else 0.0,
    }


def _disagreements(checks: Sequence[Check]) -> dict[str, int]:
    """How many places there are where the pages that were checked disagree with their answers; none of no page."""
    if not checks:
        return {}
    return {
        "checked_pages": len(checks),
        "omitted": sum(len(each.omitted) for each in checks),
        "unsupported": sum(len(each.unsupported) for each in checks),
        "conflicts": sum(len(each.conflicts) for each in checks),
    }

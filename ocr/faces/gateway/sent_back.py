"""Pages as the JSON document has them, which a client sends back, into results again: strictly, as anyone may ask."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from ocr.faces.gateway.refusals import wrong
from ocr.faces.gateway.service import field
from ocr.types import Box, Element, FinishReason, PageResult

MOST_PAGES = 200  # of a PDF that is made here: its pictures are in memory together, half a megabyte a page
LONGEST = 1_000_000  # px of a side
TURNS = (0, 90, 180, 270)


def pages_of(payload: Mapping[str, Any]) -> list[PageResult]:
    """What a PDF needs of the pages of a request. Raises Refusal for what is not as the JSON document has it."""
    given = field(payload, "pages", list) or []
    if not 1 <= len(given) <= MOST_PAGES:
        raise wrong(
            f"pages has {len(given)} pages; a PDF is made here of 1 to {MOST_PAGES}. "
            "`script/ocr read --format pdf` makes one of any number.",
            "pages",
        )
    try:
        pages = [_page(each) for each in given]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise wrong("pages must be a list of pages as they stand in the JSON document.", "pages") from None
    if any(page.page >= later.page for page, later in pairwise(pages)):
        raise wrong("pages must be in their order, each once.", "pages")
    return pages


def _page(given: Mapping[str, Any]) -> PageResult:
    if given["turned"] not in TURNS:
        raise ValueError
    return PageResult(
        page=int(_number(given["page"])),
        width=int(_number(given["width"])),
        height=int(_number(given["height"])),
        model="",
        text="",
        markdown=_text(given["markdown"]),
        elements=tuple(Element("text", "", _box(each["bbox"]), _text(each["text"])) for each in given["elements"]),
        finish_reason=FinishReason.STOP,
        turned=given["turned"],
    )


def _box(sides: Any) -> Box | None:
    if sides is None:
        return None
    x1, y1, x2, y2 = map(_number, sides)
    return x1, y1, max(x1, x2), max(y1, y2)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST:
        raise ValueError
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value

"""What stands on every page of a document beside its text: page numbers, and running heads and feet next to them."""

import re
from collections.abc import Sequence
from itertools import pairwise
from statistics import median

from ocr.models.pp_ocr.spans import Row, Span, rows
from ocr.types import Box

MARGIN = 0.12  # of the page's height, from either end
APART = 0.4  # heights between a page number's row and the text
FURTHER = 1.3  # times that it is as far from the text as the rows beside it from each other
LEAST_ROWS = 6  # on a page that can be part of a document
PAGE_NUMBER = re.compile(
    r"[-–—·\s]*(?:(?:page|seite|p\.|第)\s*)?\d{1,4}(?:\s*(?:/|of|von)\s*\d{1,4})?\s*页?頁?[-–—·\s]*", re.I
)


def furniture(spans: Sequence[Span], page: Box) -> dict[int, str]:
    """The types of the spans, by their ids, that are page furniture; the page's box is as upright as they are."""
    found = rows(spans)
    if len(found) < LEAST_ROWS:
        return {}
    gaps = [min(span.y1 for span in lower) - max(span.y2 for span in upper) for upper, lower in pairwise(found)]
    margin = MARGIN * (page[3] - page[1])
    kinds: dict[int, str] = {}
    if found[0].middle < page[1] + margin and gaps[0] > FURTHER * median(gaps[1:LEAST_ROWS]):
        kinds |= _kinds(found[0], "header", gaps[0])
    if found[-1].middle > page[3] - margin and gaps[-1] > FURTHER * median(gaps[-LEAST_ROWS:-1]):
        kinds |= _kinds(found[-1], "footer", gaps[-1])
    return kinds


def _kinds(row: Row, kind: str, distance: float) -> dict[int, str]:
    """The row's types if it has one page number, at an end or alone, and keeps this distance from the text."""
    numbers = [span for span in row if PAGE_NUMBER.fullmatch(span.text)]
    if len(numbers) != 1 or numbers[0] not in (row[0], row[-1]) or len(row) > 3 or distance < APART * row.height:
        return {}
    return {id(span): "page_number" if span is numbers[0] else kind for span in row}

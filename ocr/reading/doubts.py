"""What speaks against an answer as a whole, whatever its model and parser say of it."""

from collections.abc import Iterator

from ocr.checking.plausible import implausible
from ocr.models.catalog import demo_note
from ocr.reading.request import Request


def doubts(request: Request, markdown: str) -> Iterator[str]:
    """Sentences for the problems of a page whose answer this is: a demo model's, or no text that a page can have.

    Only what is print is judged: a description, a drawing or an answer to the user's own words can be anything.
    """
    if (request.reads_print or request.asks_for_region) and (reason := implausible(markdown)):
        yield reason
    if note := demo_note(request.model):
        yield note

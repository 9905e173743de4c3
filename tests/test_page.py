"""What may be missing of a page travels with it to its result, before what is wrong with the answer."""

from ocr.documents.page import DrawnPage, NumberedPage
from ocr.models.tasks import GUNDAM
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.types import Decoding, PageResult
from tests.pictures import page
from tests.scripted import scripted

TOLD = ("Page 1 is drawn at 50 dpi.", "Another.")


def results(text: str, *pages: NumberedPage) -> list[PageResult]:
    request = Request(model="deepseek-ocr", resolution=GUNDAM, task="OCR with Boxes")
    events = read_pages(scripted(text), request, pages, Decoding())
    return [event for event in events if isinstance(event, PageResult)]


def test_the_problems_of_a_page_come_before_those_of_its_answer() -> None:
    broken = "<|ref|>text<|/ref|><|det|>[[no box]]<|/det|>\nHello"
    (alone,) = results(broken, (1, page()))
    (told,) = results(broken, (1, DrawnPage(page(), TOLD)))
    assert alone.problems
    assert told.problems == TOLD + alone.problems

"""pp-ocr: what it makes of the lines that its networks find and read. The networks are functions (tests/print.py)."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from PIL import Image

from ocr.errors import InputError
from ocr.models.catalog import MODELS
from ocr.models.pp_ocr.card import PP_OCR
from ocr.models.pp_ocr.engine import LinesEngine
from ocr.models.tasks import FREE_OCR, GUNDAM, LOCATE, MARKDOWN, OCR_WITH_BOXES, READ_REGION
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.types import Decoding, FinishReason, PageEvent, PageInput, PageResult, Piece
from tests.print import Bar, page, reader

BARS: Sequence[Bar] = [(100, 100, 300, 130), (100, 200, 300, 230), (100, 300, 300, 330)]
TEXTS = ("first line", "second", "third")


def asked(task: str = OCR_WITH_BOXES, image: Image.Image | None = None, **given: Any) -> PageInput:
    return PageInput(
        image or page(BARS), PP_OCR.tasks[task], given.pop("text", ""), PP_OCR.presets["Gundam (Recommended)"], **given
    )


def pieces(engine: LinesEngine, given: PageInput, **decoding: Any) -> list[Piece]:
    return [out for out in engine.read([given], Decoding(**decoding)) if isinstance(out, Piece)]


def events(engine: LinesEngine, task: str, image: Image.Image, reference: str = "") -> Iterator[PageEvent]:
    request = Request(model="pp-ocr", resolution=GUNDAM, task=task, reference=reference)
    return read_pages(engine, request, [(1, image)], Decoding())


def result(engine: LinesEngine, task: str, image: Image.Image | None = None, reference: str = "") -> PageResult:
    *_, last = events(engine, task, image or page(BARS), reference)
    assert isinstance(last, PageResult)
    return last


@pytest.fixture
def engine() -> LinesEngine:
    return LinesEngine(reader(TEXTS))


def test_ocr_with_boxes_has_an_element_for_each_line(engine: LinesEngine) -> None:
    found = result(engine, OCR_WITH_BOXES)
    assert [element.text for element in found.elements] == list(TEXTS)
    assert {element.type for element in found.elements} == {"text"} and found.problems == ()
    for element, (x1, y1, x2, y2) in zip(found.elements, BARS, strict=True):
        left, top, right, bottom = element.bbox or (0, 0, 0, 0)
        assert x1 - 30 < left < x1 and y1 - 30 < top < y1 and x2 < right < x2 + 30 and y2 < bottom < y2 + 30
    assert json.loads(found.text)[2]["text"] == "third"
    assert (found.finish_reason, found.completion_tokens) == (FinishReason.STOP, 3)
    assert (found.prompt_tokens, found.image_tokens) == (0, 0)


def test_lines_stream_one_by_one() -> None:
    read: list[str] = []
    seen = []
    for piece in LinesEngine(reader(TEXTS, log=read)).read([asked()], Decoding()):
        if isinstance(piece, Piece) and piece.text.strip("]"):
            seen.append((len(read), json.loads(piece.text.strip("[],\n"))["text"]))
    assert seen == [(1, "first line"), (2, "second"), (3, "third")]


@pytest.mark.parametrize("task", [FREE_OCR, MARKDOWN])
def test_the_text_of_a_page_is_that_of_its_lines(engine: LinesEngine, task: str) -> None:
    assert result(engine, task).markdown.split() == " ".join(TEXTS).split()


def test_locate_gives_the_lines_that_match_with_their_places(engine: LinesEngine) -> None:
    found = result(engine, LOCATE, reference="Second")
    assert [element.text for element in found.elements] == ["second"]
    assert found.markdown.startswith("second [")
    assert result(engine, LOCATE, reference="fourth").problems == ("Nothing on the page matches 'fourth'.",)


def test_read_region_reads_what_is_in_the_box_alone(engine: LinesEngine) -> None:
    assert result(engine, READ_REGION, reference="80,180,340,250").markdown == "second"
    assert result(engine, READ_REGION, reference="400,400,500,500").markdown == ""


@pytest.mark.parametrize("words", ["1,2,3", "300,0,200,10", "0,0,801,10"])
def test_a_region_that_is_no_box_on_the_page_is_refused(engine: LinesEngine, words: str) -> None:
    with pytest.raises(InputError, match="four numbers x1,y1,x2,y2"):
        engine.check(PP_OCR.tasks[READ_REGION], words)
        (failed,) = engine.read([asked(READ_REGION, text=words)], Decoding())
        raise failed.error


@pytest.mark.parametrize("task", ["Detect Layout", "Describe Image", "Parse Figure", "Image to SVG"])
def test_tasks_that_it_lacks_are_refused(task: str) -> None:
    with pytest.raises(InputError, match=r"was not trained for .*; its tasks are: .*Free OCR"):
        Request(model="pp-ocr", task=task)
    with pytest.raises(InputError, match="takes no prompt"):
        Request(model="pp-ocr", prompt="Read.")


def test_a_page_without_print_is_an_empty_answer_and_no_problem() -> None:
    photograph = page([])
    for n in range(40):
        photograph.paste((220, 220, 220), (10 + 19 * n, 50, 20 + 19 * n, 700))  # fainter than this network can see
    for task in (FREE_OCR, MARKDOWN, OCR_WITH_BOXES):
        found = result(LinesEngine(reader([])), task, photograph)
        assert (found.markdown, found.elements, found.problems) == ("", (), ())
        assert found.finish_reason is FinishReason.STOP


def test_print_that_could_not_be_read_is_told_with_its_places() -> None:
    found = result(LinesEngine(reader(TEXTS, {1: 0.3})), FREE_OCR)
    assert "second" not in found.markdown and found.completion_tokens == 3
    (problem,) = found.problems
    assert problem.startswith("Print in a place was found and could not be read: ") and problem.endswith("].")
    x1, y1, _, _ = json.loads(problem[problem.rindex("[") : -1])
    assert abs(x1 - 85) < 15 and abs(y1 - 185) < 15


def test_of_many_places_the_first_ten_are_listed() -> None:
    bars = [(100, 20 + 50 * n, 300, 40 + 50 * n) for n in range(12)]
    found = result(LinesEngine(reader([""] * 12)), OCR_WITH_BOXES, page(bars))
    assert "Print in 12 places" in found.problems[0] and found.problems[0].endswith("], 2 more.")


def test_places_are_in_pixels_of_the_page_where_it_is_read_in_parts() -> None:
    bars = [(100, 300 + 3000 * n, 300, 330 + 3000 * n) for n in range(4)]
    found = result(LinesEngine(reader(["one", "", "two", "three"])), OCR_WITH_BOXES, page(bars, (800, 12_000)))
    assert [element.text for element in found.elements] == ["one", "two", "three"]
    (problem,) = found.problems
    assert 3250 < json.loads(problem[problem.rindex("[") : -1])[1] < 3300
    assert 9250 < (found.elements[-1].bbox or (0, 0, 0, 0))[1] < 9300


def test_text_in_a_language_whose_letters_go_missing_is_told() -> None:
    found = result(LinesEngine(reader(["chung ta", "tr\u01b0ng"])), FREE_OCR, page(BARS[:2]))
    assert len(found.problems) == 1 and "Vietnamese" in found.problems[0] and "[" in found.problems[0]


def test_a_budget_of_lines_ends_a_page_with_length(engine: LinesEngine) -> None:
    *_, last = pieces(engine, asked(), max_new_tokens=2)
    assert (last.finish, last.tokens) == (FinishReason.LENGTH, 2)
    *_, last = pieces(engine, asked(), max_new_tokens=3)
    assert (last.finish, last.tokens) == (FinishReason.STOP, 3)


def test_a_deadline_ends_a_page_before_anything_is_computed() -> None:
    read: list[str] = []
    given = pieces(LinesEngine(reader(TEXTS, log=read)), asked(), deadline_s=0.0)
    assert (given[-1].finish, read) == (FinishReason.DEADLINE, [])
    assert "".join(piece.text for piece in given) == "[]"


@pytest.mark.parametrize("task", [OCR_WITH_BOXES, FREE_OCR])
def test_a_page_that_is_no_longer_wanted_ends_at_the_next_line_with_what_it_has(task: str) -> None:
    read: list[str] = []
    engine = LinesEngine(reader(TEXTS, log=read))
    given = pieces(engine, asked(task, stop=lambda: FinishReason.CANCELLED if len(read) == 2 else None))
    assert (given[-1].finish, given[-1].tokens) == (FinishReason.CANCELLED, 2)
    said = "".join(piece.text for piece in given)
    assert "second" in said and "third" not in said


def test_closing_the_generator_ends_the_work() -> None:
    read: list[str] = []
    outputs = LinesEngine(reader(TEXTS, log=read)).read([asked()], Decoding())
    next(outputs), next(outputs)
    outputs.close()
    assert read == ["first line"]


def test_presets_say_how_large_a_page_is_searched() -> None:
    engine = LinesEngine(reader([]))
    scales = [engine.scale((4000, 4000), longest) for longest in PP_OCR.presets.values()]
    assert scales == pytest.approx([0.496, 0.2, 0.304, 0.4, 0.496])


def test_auto_takes_it_after_those_that_understand_pages_and_before_the_tiny_one() -> None:
    assert list(MODELS)[-2:] == ["pp-ocr", "deepseek-ocr-tiny"]

"""Pages that are read in parts: one result, in order, no line twice, boxes in pixels of the whole."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from PIL import Image

from ocr.errors import ModelError
from ocr.models.tasks import GUNDAM, LOCATE
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.types import (
    Decoding,
    FinishReason,
    Markdown,
    PageEvent,
    PageInput,
    PageResult,
    PageStart,
    Piece,
    Prepared,
    Raw,
    Retry,
)
from tests.pictures import page
from tests.scripted import scripted
from tests.strips import lines, long_strip, without_gaps

FREE = Request(model="deepseek-ocr", resolution=GUNDAM, task="Free OCR")
Say = Callable[[int, Image.Image], str]


class Telling:
    """An engine that answers each page with what a test says of its n-th one, and sees them at this scale."""

    def __init__(self, say: Say, finish: FinishReason = FinishReason.STOP, scale: float = 1.0) -> None:
        self._say, self._finish, self._scale = say, finish, scale
        self.seen: list[Image.Image] = []

    def scale(self, _size: tuple[int, int], _preset: Any) -> float:
        return self._scale

    def read(self, pages: Iterable[PageInput], _decoding: Decoding) -> Iterator[Prepared | Piece]:
        for index, given in enumerate(pages):
            yield Prepared(index, 7, 5, (1000.0, 1000.0))
            text = self._say(len(self.seen), given.image)
            self.seen.append(given.image)
            yield Piece(index, text, 3, self._finish, 0.5)


def read(engine: Any, image: Image.Image, request: Request = FREE) -> list[PageEvent]:
    return list(read_pages(engine, request, [(4, image)], Decoding(together=1)))


def result_of(events: list[PageEvent]) -> PageResult:
    (result,) = [event for event in events if isinstance(event, PageResult)]
    return result


def test_a_strip_is_one_page_with_the_text_of_its_parts_in_order() -> None:
    image, _ = long_strip()
    engine = Telling(lambda number, _image: f"part {number}")
    start, *events, result = read(engine, image)
    parts = len(engine.seen)
    assert parts > 5
    assert start == PageStart(4, 600, 9000)
    assert isinstance(result, PageResult)
    assert result.text == result.markdown == "\n\n".join(f"part {number}" for number in range(parts))
    assert "".join(event.text for event in events if isinstance(event, Markdown)) == result.markdown
    assert "".join(event.text for event in events if isinstance(event, Raw)) == result.text
    assert (result.page, result.width, result.height, result.image) == (4, 600, 9000, image)
    assert (result.prompt_tokens, result.image_tokens, result.completion_tokens) == (7 * parts, 5 * parts, 3 * parts)
    assert (result.seconds, result.retries, result.error, result.problems) == (0.5 * parts, 0, "", ())
    assert sum(part.height for part in engine.seen) == 9000


def test_pages_before_and_after_a_strip_stay_in_order() -> None:
    image, _ = long_strip()
    engine = Telling(lambda number, _image: f"{number};")
    pages = [(1, page()), (2, image), (3, page())]
    events = list(read_pages(engine, FREE, pages, Decoding()))
    assert [event.page for event in events if isinstance(event, PageStart)] == [1, 2, 3]
    texts = [event.text for event in events if isinstance(event, PageResult)]
    assert [len(text.split()) for text in texts] == [1, len(engine.seen) - 2, 1]
    assert " ".join(texts).split() == [f"{number};" for number in range(len(engine.seen))]


def test_each_part_streams_when_it_is_over() -> None:
    image, _ = long_strip()
    engine = Telling(lambda number, _image: f"part {number}")
    events = read_pages(engine, FREE, [(1, image)], Decoding())
    assert next(event for event in events if isinstance(event, Markdown)) == Markdown("part 0")
    assert len(engine.seen) == 1


def test_boxes_are_in_pixels_of_the_whole_page() -> None:
    """Every part of a grounded and of a JSON answer names the box of the part's first 100 px."""
    image, _ = long_strip()

    def grounded(number: int, part: Image.Image) -> str:
        return f"<|ref|>text<|/ref|><|det|>[[0, 0, 1000, {round(1000 * 100 / part.height)}]]<|/det|>\nLine {number}\n"

    def layout(number: int, part: Image.Image) -> str:
        box = [0, 0, 1000, round(1000 * 100 / part.height)]
        return json.dumps([{"bbox": box, "category": "Text", "text": f"Line {number}"}])

    for model, say in (("deepseek-ocr", grounded), ("dots.ocr", layout)):
        engine = Telling(say)
        result = result_of(read(engine, image, Request(model=model, resolution=GUNDAM)))
        tops = [sum(part.height for part in engine.seen[:number]) for number in range(len(engine.seen))]
        assert [element.text for element in result.elements] == [f"Line {number}" for number in range(len(tops))]
        for element, top in zip(result.elements, tops, strict=True):
            assert element.bbox == pytest.approx((0, top, 600, top + 100), abs=1)
        assert result.markdown == "\n\n".join(element.text for element in result.elements)


def test_pictures_are_numbered_through_the_whole_page() -> None:
    image, _ = long_strip()
    engine = Telling(lambda _number, _image: "<|ref|>image<|/ref|><|det|>[[0, 0, 500, 500]]<|/det|>\n")
    result = result_of(read(engine, image, Request(model="deepseek-ocr", resolution=GUNDAM)))
    links = [f"![](images/page-4-{number}.png)" for number in range(1, len(engine.seen) + 1)]
    assert result.markdown.split() == links


def test_blank_parts_are_not_read() -> None:
    image, drawn = lines((600, 9000), 4, pitch=40, font_px=24)
    engine = Telling(lambda _number, _image: "All there is.")
    result = result_of(read(engine, image))
    assert len(engine.seen) == 1 and engine.seen[0].height < 2000
    assert (result.text, result.height, result.finish_reason) == ("All there is.", 9000, FinishReason.STOP)
    assert drawn[-1][3] < engine.seen[0].height


def test_no_line_is_twice_where_parts_overlap() -> None:
    """The engine reads the lines, 30 px each, that begin in what it is given; the place tells which they are."""
    image = without_gaps()
    whole = image.tobytes()

    def say(_number: int, part: Image.Image) -> str:
        top = whole.index(part.tobytes()) // (600 * 3)
        return "\n".join(f"Line {row} of it" for row in range(-(-top // 30), (top + part.height) // 30))

    engine = Telling(say)
    result = result_of(read(engine, image))
    assert sum(part.height for part in engine.seen) > 9000 + 20 * (len(engine.seen) - 1)
    found = [line for line in result.markdown.splitlines() if line]
    assert found == [f"Line {row} of it" for row in range(300)]


def test_the_page_ends_as_its_worst_part_and_keeps_the_text_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    image, _ = long_strip()
    engine = Telling(lambda number, _image: f"part {number}")
    real = engine.read

    def broken(pages: Iterable[PageInput], decoding: Decoding) -> Iterator[Prepared | Piece]:
        for given in pages:
            if len(engine.seen) == 2:
                engine.seen.append(given.image)
                raise ModelError("It broke.")
            yield from real([given], decoding)
            return

    monkeypatch.setattr(engine, "read", broken)
    result = result_of(read(engine, image))
    assert (result.finish_reason, result.error) == (FinishReason.ERROR, "It broke.")
    assert result.text.startswith("part 0\n\npart 1\n\npart 3")


def test_a_part_that_repeats_itself_is_read_again_and_nothing_of_it_is_twice() -> None:
    image, _ = long_strip()
    events = read(scripted("one", "<td></td>" * 400, "two", "and the rest"), image)
    result = result_of(events)
    assert result.retries == 1
    assert result.text.startswith("one\n\ntwo\n\nand the rest")
    assert not [event for event in events if isinstance(event, Retry)]  # the part shows when it is over


@pytest.mark.parametrize(
    "request_",
    [
        replace(FREE, cut_long_pages=False),
        Request(model="deepseek-ocr", resolution=GUNDAM, task="Describe Image"),
        Request(model="deepseek-ocr", resolution=GUNDAM, task="Locate Object by Reference", reference="total"),
        Request(model="dots.ocr", resolution=GUNDAM, task="Read Region", reference="1,2,30,40"),
        Request(model="dots.mocr", resolution=GUNDAM, task="Image to SVG"),
        Request(model="deepseek-ocr", resolution=GUNDAM, prompt="What is it?"),
    ],
    ids=lambda request: request.prompt or request.task,
)
def test_pages_are_read_whole_where_that_is_asked_for_or_the_task_is_about_the_whole(request_: Request) -> None:
    image, _ = long_strip()
    engine = Telling(lambda _number, _image: "text")
    read(engine, image, request_)
    assert [part.size for part in engine.seen] == [(600, 9000)]


@pytest.mark.parametrize(
    ("scale", "words"),
    [(0.2, r"about [23]\.\d px high as the model sees them.*less than 6 px.*larger preset"), (0.5, "")],
)
def test_print_too_small_to_be_read_is_a_problem_of_the_page(scale: float, words: str) -> None:
    image, _ = lines((1000, 1400), 40, pitch=30, font_px=16)
    for request in (FREE, replace(FREE, cut_long_pages=False), replace(FREE, task=LOCATE, reference="total")):
        engine = Telling(lambda _number, _image: "text", scale=scale)
        problems = result_of(read(engine, image, request)).problems
        assert len(engine.seen) == 1  # parts would be seen no larger
        assert [bool(re.search(words, problem)) for problem in problems] == [True] * bool(words)
    described = Telling(lambda _number, _image: "text", scale=scale)
    assert result_of(read(described, image, replace(FREE, task="Describe Image"))).problems == ()

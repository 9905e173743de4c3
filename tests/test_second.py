"""A second reading beside a model's: pages turned upright before it, and compared after it."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ocr.documents.page import DrawnPage
from ocr.errors import InputError, ModelError, SetupError
from ocr.output.writers import WRITERS, metrics, page_json
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.reading.turning import turned_box, upright
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, PageResult, PageStart
from tests.pictures import page
from tests.scripted import scripted
from tests.second import WrittenLines, lines

FREE = Request(model="deepseek-ocr", task="Free OCR", resolution="Tiny", check=True)
MARKED = replace(FREE, task="Convert to Markdown")
ANSWER = "The keeper climbed the stairs\nin 1904 and carried oil."
READ = lines("The keeper climbed the stairs", "in 1904 and carried oil.")
Results = Callable[..., list[PageResult]]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """Reads pages whose lines are written, with a model that writes these answers."""

    def read(second: WrittenLines, *answers: str, request: Request = FREE, pages: Any = None) -> list[PageResult]:
        monkeypatch.setattr(Reader, "engine", lambda self, model: scripted(*answers))
        monkeypatch.setattr(Reader, "_line_reader", lambda self, needed: second)
        given = pages or [(number, page()) for number in range(1, len(answers) + 1)]
        events = Reader(Settings()).read(request, given, Decoding(together=2))
        return [event for event in events if isinstance(event, PageResult)]

    return read


def sheet(turned: int = 0) -> Image.Image:
    """A page with a red corner where its left upper one belongs, turned clockwise."""
    sheet = page(200, 120)
    sheet.putpixel((0, 0), (255, 0, 0))
    return sheet.rotate(-turned, expand=True)


def test_an_answer_that_agrees_has_a_check_that_says_nothing(results: Results) -> None:
    second = WrittenLines(*READ)
    (result,) = results(second, ANSWER)
    assert result.check is not None
    assert (result.check.lines, result.check.disagreements, result.check.failure) == (2, 0, "")
    assert all(name.startswith("second-reading") for name in second.threads)


def test_each_page_is_compared_with_its_own_lines(results: Results) -> None:
    altered = ANSWER.replace("1904", "1906")
    first, second, third = results(WrittenLines(*READ), ANSWER, altered, "")
    assert [each.check and each.check.disagreements for each in (first, second, third)] == [0, 1, 2]


def test_disagreements_are_in_the_json_with_their_elements(results: Results) -> None:
    answer = "<|ref|>text<|/ref|><|det|>[[0, 0, 999, 999]]<|/det|>\n" + ANSWER.replace("1904", "1906")
    (result,) = results(WrittenLines(*READ), answer + " And the sea was loud then.", request=MARKED)
    said = page_json(result)["check"]
    assert said["conflicts"] == [{"line": "1904", "answer": "1906", "element": 1, "bbox": [10, 50, 202, 70]}]
    assert [(each["text"], each["element"]) for each in said["unsupported"]] == [("And the sea was loud then.", 1)]
    assert metrics([result]) | {"checked_pages": 1, "omitted": 0, "unsupported": 1, "conflicts": 1} == metrics([result])


def test_text_that_is_of_no_element_says_so(results: Results) -> None:
    (result,) = results(WrittenLines(*READ), ANSWER.replace("1904", "1906") + " And the sea was loud.")
    assert [each["element"] for kind in ("unsupported", "conflicts") for each in page_json(result)["check"][kind]] == [
        None,
        None,
    ]


def test_a_page_that_is_not_checked_has_none(results: Results) -> None:
    (result,) = results(WrittenLines(*READ), ANSWER, request=replace(FREE, check=False))
    assert result.check is None
    assert page_json(result)["check"] is None
    assert "omitted" not in metrics([result])


def test_blank_pages_and_such_that_cannot_be_drawn_are_not_read_a_second_time(results: Results) -> None:
    second = WrittenLines(*READ)
    pages = [(1, Image.new("RGB", (90, 90), "white")), (2, InputError("is torn.")), (3, page())]
    found = results(second, ANSWER, pages=pages)
    assert [each.check is None for each in found] == [True, True, False]
    assert len(second.seen) == 1


@pytest.mark.parametrize("error", [ModelError("The network failed."), RuntimeError("odd")])
def test_a_second_reading_that_fails_costs_no_page(results: Results, error: Exception) -> None:
    request = replace(FREE, orient="off")
    (result,) = results(WrittenLines(*READ, fails=error), ANSWER, request=request)
    assert (result.finish_reason, result.text) == (FinishReason.STOP, ANSWER)
    assert result.check is not None and str(error) in result.check.failure


def test_closing_the_events_gives_up_what_is_read_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []

    class Endless(WrittenLines):
        def read(self, image: Image.Image, *_rest: Any, is_stopped: Callable[[], bool] = lambda: False) -> Any:
            while not is_stopped():
                asked.append(True)
                yield READ[0]

    monkeypatch.setattr(Reader, "engine", lambda self, model: scripted(ANSWER))
    monkeypatch.setattr(Reader, "_line_reader", lambda self, needed: Endless())
    events = Reader(Settings()).read(FREE, [(1, page())], Decoding())
    assert isinstance(next(events), PageStart)
    events.close()  # the thread ends, or the tests would never


def test_a_check_without_weights_is_refused_before_any_page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Reader, "engine", lambda self, model: scripted(ANSWER))
    taken: list[int] = []
    pages = ((taken.append(1) or 1, page()) for _ in range(1))  # type: ignore[func-returns-value]
    with pytest.raises(SetupError, match="weights fetch pp-ocr"):
        list(Reader(Settings(checkpoints=tmp_path)).read(FREE, pages, Decoding()))
    assert not taken


def test_without_weights_pages_are_read_as_they_came(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(Reader, "engine", lambda self, model: scripted(ANSWER))
    request = replace(FREE, check=False)
    *_, result = Reader(Settings(checkpoints=tmp_path)).read(request, [(1, sheet(90))], Decoding())
    assert isinstance(result, PageResult)
    assert (result.turned, result.width, result.height) == (0, 120, 200)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "pp-ocr"}, "would have no effect here"),
        ({"task": "Describe Image"}, "would have no effect here"),
        ({"prompt": "What is this?"}, "would have no effect here"),
    ],
)
def test_a_check_that_compares_nothing_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message) as raised:
        replace(FREE, **change)
    assert raised.value.field == "check"


def test_an_orient_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="must be one of: auto, off, 90, 180, 270"):
        replace(FREE, orient="45")


@pytest.mark.parametrize("stands", [90, 180, 270])
def test_a_page_that_lies_is_turned_and_read_upright(results: Results, stands: int) -> None:
    (result,) = results(WrittenLines(*READ), ANSWER, pages=[(1, sheet(stands))])
    assert (result.turned, result.width, result.height) == (360 - stands, 200, 120)
    assert result.image == sheet()
    assert page_json(result)["turned"] == 360 - stands
    assert result.check is not None and not result.check.disagreements


def test_a_page_tells_its_turn_as_it_begins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reader, "engine", lambda self, model: scripted(ANSWER))
    monkeypatch.setattr(Reader, "_line_reader", lambda self, needed: WrittenLines(*READ))
    events = Reader(Settings()).read(FREE, [(1, sheet(90))], Decoding())
    assert next(events) == PageStart(1, 200, 120, turned=270)
    events.close()


def test_a_page_that_stands_is_left_as_it_is(results: Results) -> None:
    (result,) = results(WrittenLines(*READ), ANSWER, pages=[(1, sheet())])
    assert (result.turned, result.problems) == (0, ())


@pytest.mark.parametrize(
    "second",
    [
        WrittenLines(*READ, likely=0.7),
        WrittenLines(),
        WrittenLines(*READ, fails=ModelError("The network failed.")),
    ],
    ids=["not sure", "no print", "failure"],
)
def test_a_page_is_turned_only_where_that_is_certain_and_print_is_on_it(second: WrittenLines) -> None:
    given = DrawnPage(sheet(90))
    assert upright(given, "auto", second) is given  # type: ignore[arg-type]


def test_a_page_whose_print_reads_no_better_the_other_way_up_stays() -> None:
    class Misled(WrittenLines):
        def turns(self, image: Image.Image) -> dict[int, float]:
            return {0: 0.02, 90: 0.02, 180: 0.94, 270: 0.02}

    given = DrawnPage(sheet())
    assert upright(given, "auto", Misled(*READ)) is given  # type: ignore[arg-type]


@pytest.mark.parametrize("turn", ["90", "180", "270"])
def test_a_turn_that_was_asked_for_is_made_of_any_page(turn: str) -> None:
    turned = upright(DrawnPage(sheet()), turn, None)
    assert turned.image == sheet(int(turn))
    assert turned.turned == int(turn)
    assert upright(DrawnPage(sheet(90)), "off", WrittenLines(*READ)).turned == 0  # type: ignore[arg-type]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_the_box_of_a_region_turns_with_the_page(turn: int) -> None:
    given = page(200, 120)
    given.paste((255, 0, 0), (30, 40, 90, 60))
    turned = DrawnPage(given.rotate(-turn, expand=True), turned=turn)
    x1, y1, x2, y2 = map(int, turned_box("30,40,90,60", turned).split(","))
    assert turned.image.crop((x1, y1, x2, y2)).getcolors() == [(60 * 20, (255, 0, 0))]
    with pytest.raises(InputError, match="<= 200 and 0 <= y1 < y2 <= 120"):
        turned_box("30,40,90,160", turned)


def test_a_region_outside_of_a_turned_page_fails_that_page_alone(results: Results) -> None:
    request = Request(model="dots.ocr", task="Read Region", reference="0,0,150,60", orient="90")
    pages = [(1, page(100, 300))]
    (result,) = results(WrittenLines(), ANSWER, request=request, pages=pages)
    assert result.finish_reason is FinishReason.ERROR
    assert "inside" in result.error or "with 0 <= x1" in result.error


def test_a_skewed_page_says_so() -> None:
    lined = Image.new("RGB", (800, 800), "white")
    for y in range(100, 700, 30):
        lined.paste("black", (100, y, 700, y + 10))
    tilted = lined.rotate(-3, Image.Resampling.BICUBIC, fillcolor="white")
    assert "3.0 degrees off the level, down to the right" in upright(DrawnPage(tilted), "auto", None).problems[0]
    assert upright(DrawnPage(tilted), "off", None).problems == ()


@pytest.mark.parametrize("format_", ["json", "events"])
def test_checks_and_turns_are_in_every_form_of_the_output(results: Results, format_: str) -> None:
    (result,) = results(WrittenLines(*READ), "", pages=[(1, sheet(180))])
    writer = WRITERS[format_]()
    first = json.loads(writer.write(result) + (writer.close() if format_ == "json" else ""))
    said = first["pages"][0] if format_ == "json" else first
    assert said["turned"] == 180
    assert len(said["check"]["omitted"]) == 2


def test_a_page_that_cannot_be_turned_fails_alone(results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    def scarce(page: DrawnPage, orient: str, reader: object) -> DrawnPage:
        if page.image.width == 201:
            raise MemoryError
        return upright(page, orient, reader)  # type: ignore[arg-type]

    monkeypatch.setattr("ocr.reading.second.upright", scarce)
    pages = [(1, page()), (2, page(201, 120)), (3, page())]
    first, second, third = results(WrittenLines(*READ), ANSWER, ANSWER, pages=pages)
    assert (first.error, third.error) == ("", "")
    assert second.error.startswith("Page 2 cannot be turned upright: MemoryError")

"""Several pages in one prompt: each page gets exactly its text of the one answer, or is read again by itself."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from ocr.errors import InputError, ModelError
from ocr.faces.cli.main import main
from ocr.models.catalog import MODELS
from ocr.models.tasks import BASE, GUNDAM, MARKDOWN, PAGES_TOGETHER
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.reading.together import BROKEN_OFF, GroupedEngine
from ocr.types import (
    MAX_NEW_TOKENS,
    Decoding,
    Element,
    Failed,
    FinishReason,
    PageInput,
    PageResult,
    Piece,
    Prepared,
    Prompt,
    Raw,
    Retry,
)
from tests.commands import Answers, Run, write

REQUEST = Request(model="unlimited-ocr", task=PAGES_TOGETHER, resolution=GUNDAM)
ALONE, MANY = REQUEST.asked, REQUEST.asked.together
STOP, LENGTH, REPETITION, CANCELLED, DEADLINE = (
    FinishReason.STOP,
    FinishReason.LENGTH,
    FinishReason.REPETITION,
    FinishReason.CANCELLED,
    FinishReason.DEADLINE,
)
DONE = Decoding()


def words(number: int) -> str:
    """What the model says of a page in a group."""
    return f"\n<|det|>text [100, 200, 300, 999]<|/det|>It is {number} < 9.\n"


def answer(*numbers: int) -> str:
    """The answer for pages, as the makers' own code takes it apart: a mark before each."""
    return "".join(f"<PAGE>{words(number)}" for number in numbers)


def alone(width: int) -> str:
    """What the model says of a page by itself, which is told by how wide it is."""
    return f"<|det|>text [0, 0, 999, 999]<|/det|>Alone, {width}."


@dataclass
class Teller:
    """An engine that gives groups of pages these answers, one after the other, and each page alone its own."""

    answers: list[str]
    finish: FinishReason = STOP
    size: int = 3  # characters that come at a time, as one token in an eighth of a second
    error: Failed | Exception | None = None  # in place of a group's end
    asked: list[PageInput] = field(default_factory=list)
    left: list[float | None] = field(default_factory=list)  # s, the deadlines they were asked with
    pieces: list[Piece] = field(default_factory=list)  # all that came

    def check(self, prompt: Prompt, text: str) -> None:
        pass

    def scale(self, size: tuple[int, int], preset: Any) -> float:
        return float(preset.base)

    def read(self, pages: Iterator[PageInput], decoding: Decoding) -> Iterator[Prepared | Piece | Failed]:
        for index, given in enumerate(pages):
            self.asked.append(given)
            self.left.append(decoding.deadline_s)
            yield from self._read(index, given)

    def _read(self, index: int, given: PageInput) -> Iterator[Prepared | Piece | Failed]:
        is_group, count = bool(given.more), 1 + len(given.more)
        yield Prepared(index, 10 * count + 3, 10 * count, (999.0, 999.0))
        text, tokens, reason = self.answers.pop(0) if is_group else alone(given.image.width), 0, None
        while text and not (reason := given.stop()):
            tokens += 1
            yield self._said(Piece(index, text[: self.size], tokens, None, tokens / 8))
            text = text[self.size :]
        if is_group and not reason and self.error:
            if isinstance(self.error, Exception):
                raise self.error
            yield self.error
            return
        yield self._said(Piece(index, "", tokens, reason or (self.finish if is_group else STOP), tokens / 8))

    def _said(self, piece: Piece) -> Piece:
        self.pieces.append(piece)
        return piece


def printed(number: int) -> Image.Image:
    """A page with something in its middle; sizes differ."""
    image = Image.new("RGB", (200 + number, 100 + 10 * number), "white")
    image.paste((20, 20, 20), (50, 40, 150, 60))
    return image


def pages(count: int) -> list[tuple[int, Image.Image]]:
    return [(number, printed(number)) for number in range(1, count + 1)]


def results(engine: Teller, count: int = 3, **given: Any) -> list[PageResult]:
    events = read_pages(engine, REQUEST, pages(count), given.pop("decoding", DONE), **given)
    return [event for event in events if isinstance(event, PageResult)]


def were_read_alone(found: Sequence[PageResult]) -> bool:
    """Whether each page has what the model says of it by itself, and no doubt is left."""
    return [(one.text, one.finish_reason, one.error) for one in found] == [
        (alone(200 + one.page), STOP, "") for one in found
    ]


# --- The answer, page by page -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 1000])
@pytest.mark.parametrize("text", [answer(1, 2, 3), answer(1, 2, 3)[6:], f"\n {answer(1, 2, 3)}<PAGE>\n"])
def test_each_page_gets_its_text_and_elements_in_its_own_pixels(text: str, size: int) -> None:
    engine = Teller([text], size=size)
    found = results(engine)
    assert [one.text.strip() for one in found] == [words(number).strip() for number in (1, 2, 3)]
    for number, one in enumerate(found, start=1):
        width, height = 200 + number, 100 + 10 * number
        box = pytest.approx((width * 100 / 999, height * 200 / 999, width * 300 / 999, height), abs=1)
        assert one.elements == (Element("text", "text", box, f"It is {number} < 9."),)
        assert (one.markdown.strip(), one.finish_reason, one.problems, one.retries) == (
            f"It is {number} < 9.",
            STOP,
            (),
            0,
        )
    assert len(engine.asked) == 1


def test_the_pages_are_asked_about_as_the_card_says() -> None:
    engine = Teller([answer(1, 2, 3)])
    results(engine)
    (asked,) = engine.asked
    assert MANY is not None
    assert (asked.prompt, asked.preset) == (MANY.prompt, MANY.preset)
    assert [image.width for image in (asked.image, *asked.more)] == [201, 202, 203]
    assert asked.prompt.template == "<image>Multi page parsing."
    assert (asked.preset.base, asked.preset.tile) == (1024, None)


def test_one_page_is_asked_about_as_for_markdown() -> None:
    engine = Teller([])
    assert were_read_alone(results(engine, 1))
    (asked,) = engine.asked
    markdown = MODELS["unlimited-ocr"].tasks[MARKDOWN]
    assert (asked.prompt.template, asked.prompt.dialect, asked.prompt.ngram_window) == (
        markdown.template,
        markdown.dialect,
        markdown.ngram_window,
    )
    assert (asked.preset, asked.more) == (REQUEST.preset, ())


def test_text_streams_to_its_page_and_no_page_is_over_before_the_answer() -> None:
    engine = Teller([answer(1, 2, 3)], size=1)
    events = read_pages(engine, REQUEST, pages(3), DONE)
    streamed = ""
    while "It is 1" not in streamed:
        event = next(events)
        assert not isinstance(event, PageResult)
        streamed += event.text if isinstance(event, Raw) else ""
    assert len(engine.pieces) < len(answer(1))
    while not isinstance(event, PageResult):
        event = next(events)
    assert engine.pieces[-1].finish is STOP


def test_what_was_taken_is_told_page_by_page_and_sums_up() -> None:
    engine = Teller([answer(1, 2, 3)])
    found = results(engine)
    whole = engine.pieces[-1]
    assert sum(one.completion_tokens for one in found) == whole.tokens
    assert sum(one.seconds for one in found) == pytest.approx(whole.seconds)
    assert [one.prompt_tokens for one in found] == [13, 10, 10]
    assert [one.image_tokens for one in found] == [10, 10, 10]
    assert min(one.completion_tokens for one in found) > 10


@pytest.mark.parametrize(("count", "groups"), [(35, [8, 8, 8, 8, 3]), (33, [8, 8, 8, 8, 1]), (2, [2])])
def test_a_document_is_read_in_groups(count: int, groups: list[int]) -> None:
    starts = range(1, count + 1, 8)
    engine = Teller([answer(*range(start, min(start + 8, count + 1))) for start in starts])
    found = results(engine, count)
    assert [1 + len(asked.more) for asked in engine.asked] == groups
    texts = [words(one.page) if groups[(one.page - 1) // 8] > 1 else alone(200 + one.page) for one in found]
    assert [one.text for one in found] == texts
    assert [one.page for one in found] == list(range(1, count + 1))


def test_pages_that_no_engine_is_asked_about_are_in_no_group() -> None:
    first, third = pages(3)[0], pages(3)[2]
    given: list[Any] = [first, (2, Image.new("RGB", (300, 300), "white")), third, (4, InputError("It is torn."))]
    engine = Teller([answer(1, 3)])
    events = read_pages(engine, REQUEST, given, DONE)
    found = [event for event in events if isinstance(event, PageResult)]
    assert [one.text for one in found] == [words(1), "", words(3), ""]
    assert [str(one.finish_reason) for one in found] == ["stop", "blank", "stop", "error"]


def test_limits_are_for_each_page_of_an_answer() -> None:
    one = Decoding(max_new_tokens=1000, deadline_s=2.5)
    assert (one.of_pages(3).max_new_tokens, one.of_pages(3).deadline_s) == (3000, 7.5)
    assert one.of_pages(1) == one
    assert Decoding().of_pages(8) == Decoding(max_new_tokens=MAX_NEW_TOKENS)


def test_the_scale_is_that_of_the_one_view() -> None:
    assert MANY is not None
    assert GroupedEngine(Teller([]), MANY).scale((100, 100), MODELS["unlimited-ocr"].presets[BASE]) == 1024


def test_other_models_do_not_have_the_task() -> None:
    assert [name for name, card in MODELS.items() if PAGES_TOGETHER in card.tasks] == ["unlimited-ocr"]
    with pytest.raises(InputError, match="not trained for 'Convert Pages Together'"):
        Request(model="deepseek-ocr", task=PAGES_TOGETHER)


# --- Answers that cannot be trusted -----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "no mark at all",
        "<PAGE>",
        "<PAGE>" * 3,
        "<PAGE>" * 50,
        answer(1, 2),
        answer(1, 2) + "<PAGE>",
        answer(1, 2, 3, 4),
        answer(1, 2, 3, 4)[6:],
        answer(1, 2, 3) + "<PAGE>x",
        answer(1, 2, 3) + "<PAGE>" * 2,
        answer(1) + "<PAGE>" + answer(2, 3),
        "<PAGE>" + answer(1, 2, 3),
        "<PAGE>" + answer(2, 3),
        answer(1, 2)[:-1] + "<PAG",
        "a<PA<PAGE",
    ],
)
def test_an_answer_of_another_number_of_pages_has_each_page_read_alone(text: str, size: int) -> None:
    engine = Teller([text], size=size)
    assert were_read_alone(results(engine))
    assert [len(asked.more) for asked in engine.asked] == [2, 0, 0, 0]


def test_an_answer_of_no_use_is_logged_in_a_line_for_each_page(caplog: pytest.LogCaptureFixture) -> None:
    results(Teller([answer(1)]))
    assert [(record.levelname, record.exc_info) for record in caplog.records] == [("WARNING", None)] * 3
    assert caplog.messages[2].startswith("Reading page 3 failed: The answer for 3 pages together is of no use")


@pytest.mark.parametrize("finish", [LENGTH, REPETITION])
@pytest.mark.parametrize("text", [answer(1, 2, 3), answer(1, 2), ""])
def test_an_answer_that_did_not_come_to_its_end_has_each_page_read_alone(text: str, finish: FinishReason) -> None:
    engine = Teller([text], finish=finish)
    found = results(engine)
    assert were_read_alone(found)
    assert sum(one.completion_tokens for one in found) == sum(piece.tokens for piece in engine.pieces if piece.finish)
    assert sum(one.prompt_tokens for one in found) == 33 + 3 * 13
    seconds = sum(piece.seconds for piece in engine.pieces if piece.finish)
    assert sum(one.seconds for one in found) == pytest.approx(seconds)


def test_a_page_whose_answer_was_endless_has_time_left_to_be_read_alone() -> None:
    engine = Teller([answer(1) + "<PAGE>" + "more " * 300], finish=REPETITION)
    assert were_read_alone(results(engine, decoding=Decoding(deadline_s=30.0)))
    each = next(piece for piece in engine.pieces if piece.finish).seconds / 3
    assert each > 20
    assert engine.left == [30.0, *[pytest.approx(30 - each)] * 3]


def test_an_answer_that_went_astray_is_stopped() -> None:
    engine = Teller([answer(1, 2, 3) + "<PAGE>" + "more " * 1000])
    assert were_read_alone(results(engine))
    assert next(piece for piece in engine.pieces if piece.finish).finish is CANCELLED
    assert len(engine.pieces) < 200


@pytest.mark.parametrize("error", [Failed(0, ModelError("It broke.")), ModelError("It broke.")], ids=["told", "raised"])
def test_a_group_that_failed_has_each_page_read_alone_and_the_caller_is_told(error: Failed | Exception) -> None:
    engine = Teller([answer(1, 2)], error=error, size=1000)
    events = list(read_pages(engine, REQUEST, pages(3), DONE))
    found = [event for event in events if isinstance(event, PageResult)]
    assert were_read_alone(found)
    assert [event.page for event in events if isinstance(event, Retry)] == [1, 2]  # of which text had come
    assert [one.retries for one in found] == [1, 1, 0]


def test_one_group_that_failed_costs_no_other() -> None:
    numbers = range(9, 17)
    engine = Teller(["<PAGE>gone", answer(*numbers), answer(17, 18)])
    found = results(engine, 18)
    assert were_read_alone(found[:8])
    assert [one.text for one in found[8:]] == [words(number) for number in range(9, 19)]


# --- Answers that are broken off --------------------------------------------------------------------------------


def test_a_caller_who_wants_no_more_keeps_what_came() -> None:
    engine = Teller([answer(1, 2, 3)], size=1)
    text = len(answer(1)) + 30
    found = results(engine, stop=lambda: CANCELLED if len(engine.pieces) >= text else None)
    assert [one.finish_reason for one in found] == [CANCELLED] * 3
    assert [one.text for one in found] == [words(1), answer(2)[6:30], ""]
    assert len(engine.asked) == 1


def test_a_deadline_keeps_what_came_and_says_that_the_answer_has_no_end() -> None:
    engine = Teller([answer(1, 2)], finish=DEADLINE)
    found = results(engine)
    assert [one.finish_reason for one in found] == [DEADLINE] * 3
    assert [one.text for one in found] == [words(1), words(2), ""]
    assert all(f"{BROKEN_OFF.says}." in one.problems for one in found)


def test_closing_the_reading_ends_the_work() -> None:
    engine = Teller([answer(1, 2, 3)])
    events = read_pages(engine, REQUEST, pages(3), DONE)
    for _ in range(6):
        next(events)
    events.close()
    assert not engine.pieces[-1].finish


# --- By the real route ------------------------------------------------------------------------------------------


def test_a_pdf_is_read_together_from_the_command_line(run: Run, answers: Answers) -> None:
    told = [f"<PAGE>\n<|det|>title [{number}00, 100, 900, 999]<|/det|>Page {number}\n" for number in (1, 2, 3)]
    answers("", "", "".join(told))  # the third picture that it sees completes the prompt
    write("scan.pdf", *(image for _, image in pages(3)))
    options = ["--model=unlimited-ocr", "--task=convert pages together", "--format=json", "-o", "out"]
    assert main(["read", "scan.pdf", *options]) == 0
    document = json.loads(Path("out/scan.json").read_text())
    found = [(one["page"], one["markdown"].strip(), one["finish_reason"]) for one in document["pages"]]
    assert found == [(number, f"# Page {number}", "stop") for number in (1, 2, 3)]
    assert [one["problems"] for one in document["pages"]] == [[], [], []]

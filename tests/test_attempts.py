"""What becomes of a page that repeats itself: the ladder of attempts, the best of them, and what the caller is told."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from ocr.answers.boxes import Scale
from ocr.decoding.rules import MAX_PERIOD, NgramBan
from ocr.documents.page import DrawnPage
from ocr.engines.native import NativeEngine
from ocr.errors import ModelError
from ocr.models.catalog import MODELS
from ocr.reading.answer import StreamedAnswer
from ocr.reading.attempts import BAN, FALLBACKS, Attempt, Fallback, PageReading
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.types import Decoding, FinishReason, Markdown, PageEvent, PageInput, PageResult, Piece, Prepared, Raw, Retry
from tests.pictures import page
from tests.scripted import scripted

REQUEST = Request(model="deepseek-ocr", task="Free OCR", resolution="Tiny")
ENDLESS = "<td></td>" * 400  # which the makers' own ban lets through
STOP, REPETITION, ERROR = FinishReason.STOP, FinishReason.REPETITION, FinishReason.ERROR


def read(engine: NativeEngine[Any], decoding: Decoding = Decoding()) -> list[PageEvent]:  # noqa: B008  frozen
    return list(read_pages(engine, REQUEST, [(7, page())], decoding))


def result_of(events: list[PageEvent]) -> PageResult:
    *_, last = events
    assert isinstance(last, PageResult)
    return last


@pytest.fixture
def useless_fallbacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ladder that changes nothing, so that what the script says comes every time."""
    monkeypatch.setattr(Fallback, "change", lambda _rung, decoding, _page: decoding)


def test_a_page_that_repeats_itself_is_read_again_and_the_caller_is_told() -> None:
    *before, result = read(scripted("begun " + ENDLESS, "All of it."))
    again = before.index(Retry(7, REPETITION))
    assert "".join(event.text for event in before[again:] if isinstance(event, Raw)) == "All of it."
    assert isinstance(result, PageResult)
    assert (result.text, result.finish_reason, result.retries) == ("All of it.", STOP, 1)
    assert result.error == ""


def test_tokens_and_seconds_are_those_of_all_attempts() -> None:
    once, twice = (result_of(read(scripted(*texts))) for texts in (["All of it."], [ENDLESS, "All of it."]))
    assert once.completion_tokens == len("All of it.") + 1
    assert twice.completion_tokens == once.completion_tokens + 600  # where the first attempt was ended
    assert (twice.prompt_tokens, twice.image_tokens) == (2 * once.prompt_tokens, 2 * once.image_tokens)
    assert twice.seconds > once.seconds > 0


def test_where_every_attempt_repeats_the_one_that_says_most_is_kept(useless_fallbacks: None) -> None:
    events = read(scripted("a" + ENDLESS, "the most of all " + ENDLESS, "ab" + ENDLESS))
    result = result_of(events)
    assert (result.finish_reason, result.retries) == (REPETITION, 2)
    assert result.text.startswith("the most of all <td>")
    assert [event.reason for event in events if isinstance(event, Retry)] == [REPETITION] * 3  # the last for the best


def test_what_comes_after_the_last_retry_is_what_the_result_holds(useless_fallbacks: None) -> None:
    for texts in (["a" + ENDLESS, "most of all " + ENDLESS, "b" + ENDLESS], ["a" + ENDLESS, "b"], ["c"]):
        events = read(scripted(*texts))
        start = max((index for index, event in enumerate(events) if isinstance(event, Retry)), default=-1)
        counted, result = events[start + 1 :], result_of(events)
        assert "".join(event.text for event in counted if isinstance(event, Raw)) == result.text
        assert "".join(event.text for event in counted if isinstance(event, Markdown)) == result.markdown


def test_the_fallbacks_are_a_stronger_ban_and_then_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = scripted(ENDLESS)
    asked: list[Decoding] = []
    real = engine.read

    def watched(pages: Iterable[PageInput], decoding: Decoding) -> Iterator[Prepared | Piece]:
        asked.append(decoding)
        yield from real(pages, Decoding())  # as if no fallback helped

    monkeypatch.setattr(engine, "read", watched)
    assert result_of(read(engine, Decoding(max_new_tokens=700, seed=5))).retries == len(FALLBACKS) == 2
    assert [(one.ngram_ban, one.temperature, one.seed) for one in asked] == [
        (None, None, 5),
        ((20, 148), 0.0, 6),
        ((20, 148), 0.3, 7),
    ]
    assert {one.max_new_tokens for one in asked} == {700}


def test_a_fallback_never_lowers_a_temperature() -> None:
    svg = PageInput(page(), MODELS["dots.mocr"].tasks["Image to SVG"], "", MODELS["deepseek-ocr"].presets["Tiny"])
    plain = PageInput(page(), REQUEST.asked, "", MODELS["deepseek-ocr"].presets["Tiny"])
    assert [fallback.change(Decoding(), svg).temperature for fallback in FALLBACKS] == [0.9, 0.9]
    assert [fallback.change(Decoding(temperature=0.5), plain).temperature for fallback in FALLBACKS] == [0.5, 0.5]


@pytest.mark.parametrize("period", [1, 2, 31, 62, MAX_PERIOD])
def test_the_ban_forbids_every_block_whose_repetition_would_end_a_page(period: int) -> None:
    ban, tokens = NgramBan(*BAN), [index % period for index in range(2 * MAX_PERIOD)]
    for token in tokens[: period + BAN[0] - 1]:
        assert token not in ban.banned()
        ban.accept(token)
    assert tokens[period + BAN[0] - 1] in ban.banned()


@pytest.mark.parametrize(
    ("text", "decoding", "reason"),
    [
        ("long", Decoding(max_new_tokens=2), FinishReason.LENGTH),
        ("slow", Decoding(deadline_s=1e-9), FinishReason.DEADLINE),
        ("done", Decoding(), FinishReason.STOP),
    ],
)
def test_only_repetition_is_read_again(text: str, decoding: Decoding, reason: FinishReason) -> None:
    result = result_of(read(scripted(text, "never asked for"), decoding))
    assert (result.finish_reason, result.retries) == (reason, 0)
    assert text.startswith(result.text)


def received(reading: PageReading, text: str, finish: FinishReason, seconds: float) -> list[PageEvent]:
    """The events of one whole attempt."""
    events: list[PageEvent] = list(reading.begin())
    events += reading.receive(Prepared(0, 10, 5, (999.0, 999.0)))
    return [*events, *reading.receive(Piece(0, text, 3, finish, seconds))]


def test_the_deadline_covers_all_attempts() -> None:
    reading = PageReading(REQUEST, 1, DrawnPage(page()), Decoding(deadline_s=10))
    assert reading.decoding().deadline_s == 10
    received(reading, "once", REPETITION, seconds=4)
    assert reading.decoding().deadline_s == 6
    *_, result = received(reading, "twice, and more", REPETITION, seconds=6)
    assert isinstance(result, PageResult)  # though a fallback is left
    assert (result.text, result.seconds, result.retries) == ("twice, and more", 10, 1)


def attempt(text: str, finish: FinishReason) -> Attempt:
    answer = StreamedAnswer(REQUEST, 1, Scale(extent=(1, 1), page=(1, 1)))
    for _ in answer.feed(text):
        pass
    return Attempt(answer, finish=finish)


SENTENCE = "The quick brown fox jumps over the lazy dog."


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ((SENTENCE, STOP), (SENTENCE + " And over the cat." + " And" * 500, REPETITION)),
        (("42", STOP), ("42" + " ." * 500, REPETITION)),
        ((" ".join(map(str, range(100))) + " And" * 500, REPETITION), ("0 1 2", STOP)),
        ((SENTENCE, REPETITION), ("word " * 500, REPETITION)),
        ((SENTENCE, FinishReason.DEADLINE), ("word " * 500, REPETITION)),
        (("word " * 500, REPETITION), ("as far as it came before that", ERROR)),
        (("more", ERROR), ("", ERROR)),
    ],
)
def test_the_best_attempt_says_most_and_one_that_came_to_its_end_counts_double(
    better: tuple[str, FinishReason], worse: tuple[str, FinishReason]
) -> None:
    assert attempt(*better).worth() > attempt(*worse).worth()


def test_an_error_on_the_way_loses_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = scripted("begun " + ENDLESS)
    real: Any = engine.read

    def broken(pages: Iterable[PageInput], decoding: Decoding) -> Iterator[Prepared | Piece]:
        for given in pages:
            if decoding.ngram_ban:
                raise ModelError("It broke.")
            yield from real([given], decoding)

    monkeypatch.setattr(engine, "read", broken)
    result = result_of(read(engine))
    assert (result.finish_reason, result.retries, result.error) == (REPETITION, 1, "")
    assert result.text.startswith("begun <td>")


def test_a_page_that_breaks_off_keeps_what_came_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pages: Iterable[PageInput], _decoding: Decoding) -> Iterator[Prepared | Piece]:
        for _ in pages:
            yield Prepared(0, 10, 5, (999.0, 999.0))
            yield Piece(0, "half a pa", 3, None, 1.5)
            raise ModelError("It broke.")

    engine = scripted("")
    monkeypatch.setattr(engine, "read", broken)
    result = result_of(read(engine))
    assert (result.text, result.markdown, result.finish_reason) == ("half a pa", "half a pa", ERROR)
    assert (result.error, result.completion_tokens, result.seconds) == ("It broke.", 3, 1.5)


def test_an_engine_that_gives_no_reason_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = scripted("")
    monkeypatch.setattr(engine, "read", lambda pages, _decoding: (Prepared(0, 1, 1, (1.0, 1.0)) for _ in pages))
    result = result_of(read(engine))
    assert result.finish_reason is ERROR
    assert "stopped in the middle of a page" in result.error

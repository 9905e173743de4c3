"""Pages of a document decoded together: the same results in the same order as one by one, whatever happens to one."""

import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ocr.decoding.cache import rounded
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sharing import Stream
from ocr.documents.page import DrawnPage, NumberedPage
from ocr.engines.native import NativeEngine
from ocr.errors import InputError, SetupError
from ocr.models.dots import engine as dots
from ocr.models.dots.card import DOTS_OCR
from ocr.models.tasks import GUNDAM
from ocr.reading.reader import Reader, in_order, read_pages
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, PageEvent, PageInput, PageResult, Piece, Raw, Retry
from tests.checkpoints_dots import FLOAT32, write_dots
from tests.pictures import page
from tests.scripted import HIDDEN, scripted

REQUEST = Request(model="deepseek-ocr", task="Free OCR", resolution="Tiny")
ENDLESS = "<td></td>" * 400
DONE = Decoding()


def together(pages: int) -> Decoding:
    return Decoding(together=pages)


def numbered(count: int) -> list[NumberedPage]:
    return [(number, page()) for number in range(1, count + 1)]


def results(events: Iterator[PageEvent]) -> list[PageResult]:
    return [event for event in events if isinstance(event, PageResult)]


def facts(found: list[PageResult]) -> list[tuple[Any, ...]]:
    """All that is known of pages but how long they took."""
    return [
        (one.page, one.text, one.markdown, one.elements, one.finish_reason, one.completion_tokens, one.retries)
        for one in found
    ]


# --- The same as alone ------------------------------------------------------------------------------------------

SIZES = ((200, 120), (700, 300), (90, 300), (660, 1400), (300, 300))  # ragged: tiles for some, few patches for others


def printed(width: int, height: int) -> Image.Image:
    """A page with something in its middle; a bar along its edge alone would pass for a shadow."""
    image = page(width, height)
    image.paste((20, 20, 20), (width // 3, height // 3, width // 2, height // 2))
    return image


@pytest.fixture(scope="module")
def tiny_dots(tmp_path_factory: pytest.TempPathFactory) -> NativeEngine[Any]:
    return dots.load(write_dots(tmp_path_factory.mktemp("checkpoints") / "dots.ocr"), DOTS_OCR, FLOAT32)


@pytest.mark.parametrize(
    ("model", "resolution", "temperature"),
    [("deepseek-ocr", "Gundam (Recommended)", 0.8), ("dots.ocr", "Tiny", 0.0), ("dots.ocr", "Tiny", 0.8)],
)
def test_a_batch_gives_each_page_what_it_gets_alone(
    engine: NativeEngine[Any], tiny_dots: NativeEngine[Any], model: str, resolution: str, temperature: float
) -> None:
    request = Request(model=model, resolution=resolution)
    asked = {"deepseek-ocr": engine, "dots.ocr": tiny_dots}[model]
    pages: list[NumberedPage] = [(number, printed(*size)) for number, size in enumerate(SIZES, start=1)]
    decoding = Decoding(max_new_tokens=24, temperature=temperature, seed=3)
    first, *others = (
        results(read_pages(asked, request, pages, replace(decoding, together=most))) for most in (1, 2, 4)
    )
    assert len({one.prompt_tokens for one in first}) > 1
    assert all(one.text for one in first)
    assert all(facts(found) == facts(first) for found in others)


# --- Order and laziness -----------------------------------------------------------------------------------------


def test_events_of_mixed_pages_come_page_after_page() -> None:
    a, b, c = (PageResult(number, 1, 1, "m", "", "", (), FinishReason.STOP) for number in (1, 2, 3))
    mixed = [(1, Raw("b")), (0, Raw("a")), (2, Raw("c")), (2, c), (0, Raw("aa")), (0, a), (1, Raw("bb")), (1, b)]
    assert list(in_order(mixed)) == [Raw("a"), Raw("aa"), a, Raw("b"), Raw("bb"), b, Raw("c"), c]


def test_the_first_page_that_is_not_over_streams_as_it_is_read() -> None:
    a = PageResult(1, 1, 1, "m", "", "", (), FinishReason.STOP)
    news = iter([(1, Raw("b")), (0, Raw("a")), (0, a), (1, Raw("bb"))])
    events = in_order(news)
    assert next(events) == Raw("a")
    assert len(list(news)) == 2


def test_a_page_that_is_over_lets_the_next_one_in() -> None:
    taken: list[int] = []

    def pages() -> Iterator[NumberedPage]:
        for number, image in numbered(5):
            taken.append(number)
            yield number, image

    engine = scripted("aaaaaaaaaaaa", "bb", "c", "d", "e")
    events = read_pages(engine, REQUEST, pages(), together(2))
    started = next(events)
    assert (started.page, taken) == (1, [1])
    texts = {}
    for event in events:
        if isinstance(event, PageResult):
            texts[event.page] = event.text
            assert max(taken) == 5  # the first one ran while the others came and went
    assert texts == {1: "aaaaaaaaaaaa", 2: "bb", 3: "c", 4: "d", 5: "e"}
    assert max(engine.network.model.rows) == 2


def test_few_pages_are_held_where_one_takes_longer_than_all_that_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocr.reading.reader.MOST_PIXELS", 4 * 200 * 120)
    images: list[weakref.ref[Image.Image]] = []
    most = 0

    def pages() -> Iterator[NumberedPage]:
        nonlocal most
        for number in range(1, 30):
            image = page() if number % 3 else Image.new("RGB", (200, 120), "white")
            images.append(weakref.ref(image))
            yield number, image
            del image
            most = max(most, sum(one() is not None for one in images))

    events = read_pages(scripted("a" * 90, "b"), REQUEST, pages(), together(2))
    assert [event.page for event in events if isinstance(event, PageResult)] == list(range(1, 30))
    assert most <= 6  # four, the one that is being taken, and the result at hand


def test_numbers_of_pages_are_their_own() -> None:
    pages: list[NumberedPage] = [(9, page()), (4, page()), (17, page())]
    assert [one.page for one in results(read_pages(scripted("a"), REQUEST, pages, together(2)))] == [9, 4, 17]


def test_seconds_add_up_to_no_more_than_the_time_that_passed() -> None:
    started = time.monotonic()
    first, second = results(read_pages(scripted("abcdef" * 9, "ab"), REQUEST, numbered(2), together(2)))
    assert first.seconds > second.seconds > 0
    assert first.seconds + second.seconds <= time.monotonic() - started


# --- What happens to one page -----------------------------------------------------------------------------------


def test_a_page_there_is_none_of_ends_in_an_error_and_the_others_go_on() -> None:
    pages: list[NumberedPage] = [(1, page()), (2, InputError("Page 2 is damaged.")), (3, page())]
    engine = scripted("one", "three")
    one, two, three = results(read_pages(engine, REQUEST, pages, together(4)))
    assert (one.text, three.text) == ("one", "three")
    assert (two.page, two.width, two.height, two.text) == (2, 0, 0, "")
    assert (two.finish_reason, two.error) == (FinishReason.ERROR, "Page 2 is damaged.")
    assert max(engine.network.model.rows) == 2


def test_a_blank_page_is_blank_and_no_model_is_asked() -> None:
    pages: list[NumberedPage] = [(1, Image.new("RGB", (300, 200), "white")), (2, page())]
    engine = scripted("two")
    blank, two = results(read_pages(engine, REQUEST, pages, together(2)))
    assert (blank.finish_reason, blank.text, blank.elements, blank.error) == (FinishReason.BLANK, "", (), "")
    assert (blank.width, blank.height, blank.completion_tokens) == (300, 200, 0)
    assert two.text == "two"
    assert engine.network.model.rows[0] == 1


def test_a_page_with_problems_is_read_even_if_it_looks_blank() -> None:
    pages: list[NumberedPage] = [(1, DrawnPage(Image.new("RGB", (300, 200), "white"), ("It is drawn at 18 dpi.",)))]
    (one,) = results(read_pages(scripted("one"), REQUEST, pages, together(1)))
    assert (one.text, one.finish_reason, one.problems) == ("one", FinishReason.STOP, ("It is drawn at 18 dpi.",))


def test_a_page_the_model_cannot_be_given_fails_alone(tiny_dots: NativeEngine[Any]) -> None:
    pages: list[NumberedPage] = [(1, page()), (2, page(8 * 201, 8)), (3, page(100, 70))]
    pages[1][1].paste((0, 0, 0), (0, 0, 400, 8))  # type: ignore[union-attr]
    request = Request(model="dots.ocr", resolution=GUNDAM, task="Free OCR")
    one, two, three = results(read_pages(tiny_dots, request, pages, Decoding(max_new_tokens=4, together=3)))
    assert (one.completion_tokens, three.completion_tokens) == (4, 4)
    assert two.finish_reason is FinishReason.ERROR
    assert "1608 x 8" in two.error
    assert (two.width, two.height) == (1608, 8)


class Failing:
    """Makes a model raise this error whenever a step has the rows that it cannot do."""

    def __init__(self, model: Any, error: Exception, *, steps: int, rows: int) -> None:
        self._model, self._error, self._steps, self._rows = model, error, steps, rows

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def get_decoder(self) -> Any:
        return self

    def __call__(self, **inputs: Any) -> Any:
        if len(inputs["inputs_embeds"]) >= self._rows and len(self._model.rows) >= self._steps:
            raise self._error
        return self._model(**inputs)


def failing(engine: NativeEngine[Any], error: Exception, **when: int) -> NativeEngine[Any]:
    engine.network.model = Failing(engine.network.model, error, **when)
    return NativeEngine(engine.processor, engine.network)


@pytest.mark.parametrize("steps", [0, 6], ids=["at the first step together", "in the middle"])
def test_pages_that_fail_together_are_read_one_by_one(steps: int) -> None:
    engine = scripted("never", "never", "one", "two")
    engine = failing(engine, torch.OutOfMemoryError("CUDA out of memory."), steps=steps, rows=2)
    events = list(read_pages(engine, REQUEST, numbered(2), together(2)))
    assert [(one.text, one.finish_reason, one.retries) for one in results(iter(events))] == [
        ("one", FinishReason.STOP, 1),
        ("two", FinishReason.STOP, 1),
    ]
    assert [event for event in events if isinstance(event, Retry)] == [
        Retry(number, FinishReason.ERROR) for number in (1, 2)
    ]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "not enough memory to read a page.*OCR_BATCH lower"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate"), "not enough memory to read a page"),
        (MemoryError(), "not enough memory to read a page.*MemoryError"),
        (
            RuntimeError("CUDA error: an illegal access\nmore"),
            "failed while it computed: CUDA error: an illegal access",
        ),
    ],
    ids=["gpu memory", "memory", "python's memory", "anything else"],
)
def test_what_torch_raises_is_the_error_of_its_page(error: Exception, words: str) -> None:
    engine = scripted("one", "two")
    engine = failing(engine, error, steps=1, rows=1)
    pages = results(read_pages(engine, REQUEST, numbered(2), together(2)))
    assert [one.finish_reason for one in pages] == [FinishReason.ERROR] * 2
    with pytest.raises(Exception, match=words):
        raise Exception(pages[0].error)
    assert "\n" not in pages[0].error


def test_a_page_that_repeats_itself_is_read_again_after_its_batch() -> None:
    engine = scripted("a " + ENDLESS, "two", "b " + ENDLESS, "one at last", "three at last")
    events = list(read_pages(engine, REQUEST, numbered(3), together(3)))
    assert [(one.text, one.retries) for one in results(iter(events))] == [
        ("one at last", 1),
        ("two", 0),
        ("three at last", 1),
    ]
    order = [event.page for event in events if isinstance(event, Retry | PageResult)]
    assert order == [1, 1, 2, 3, 3]


# --- Stopping ---------------------------------------------------------------------------------------------------


def test_closing_stops_a_batch_within_one_token() -> None:
    engine = scripted("a long answer", "another one", "third")
    events = read_pages(engine, REQUEST, numbered(3), together(3))
    for _ in range(8):
        next(events)
    steps = len(engine.network.model.rows)
    events.close()
    engine._batch._thread.submit(lambda: None).result()  # whatever it has to do is done
    assert len(engine.network.model.rows) == steps < 9
    assert not engine._batch._batch.running


def test_a_page_that_its_caller_stops_keeps_its_text_and_the_others_go_on() -> None:
    texts = ["", ""]
    asked = PageInput(page(), REQUEST.asked, "", REQUEST.preset)
    stopped = replace(asked, stop=lambda: FinishReason.CANCELLED if texts[0] == "a lo" else None)
    ends = {}
    for piece in scripted("a long answer", "another one").read([stopped, asked], DONE):
        if isinstance(piece, Piece):
            texts[piece.page] += piece.text
            ends[piece.page] = (piece.finish, piece.tokens)
    assert ends == {0: (FinishReason.CANCELLED, 4), 1: (FinishReason.STOP, 12)}
    assert texts == ["a lo", "another one"]


# --- The reader's part ------------------------------------------------------------------------------------------


@pytest.fixture
def reader(checkpoints: Path) -> Reader:
    return Reader(Settings(checkpoints=checkpoints, device="cpu", dtype="float32", batch=2))


def test_a_request_that_no_page_can_be_read_with_is_refused_before_any_is_taken(reader: Reader) -> None:
    def pages() -> Iterator[NumberedPage]:
        raise AssertionError("a page was taken")
        yield

    for request in (
        Request(model="deepseek-ocr", prompt="Read <image>"),
        Request(model="deepseek-ocr", task="Locate Object by Reference", reference="<|ref|>"),
    ):
        with pytest.raises(InputError, match="meaning of its own"):
            next(iter(reader.read(request, pages(), DONE)))
    with pytest.raises(SetupError, match=r"fetch dots\.ocr"):
        next(iter(reader.read(Request(model="dots.ocr"), pages(), DONE)))


def test_a_box_that_is_none_is_refused_before_any_page_is_taken(tiny_dots: NativeEngine[Any]) -> None:
    asked = Request(model="dots.ocr", task="Read Region", reference="1,2,3")
    with pytest.raises(InputError, match="four numbers"):
        tiny_dots.check(asked.asked, asked.words)
    tiny_dots.check(asked.asked, "1,2,3,4")


@pytest.mark.parametrize(("batch", "rows"), [(None, 2), (3, 3), (1, 1)])
def test_the_callers_batch_comes_before_the_settings(reader: Reader, batch: int | None, rows: int) -> None:
    reader._engines["deepseek-ocr"] = engine = scripted("a" * 9)
    list(reader.read(REQUEST, numbered(4), Decoding(together=batch)))
    assert max(engine.network.model.rows) == rows


@pytest.mark.parametrize(("pages", "expected"), [(0.5, 1), (2.5, 2), (1000, 4)])
def test_without_either_half_the_free_memory_decides(
    monkeypatch: pytest.MonkeyPatch, pages: float, expected: int
) -> None:
    engine = scripted("a" * 99)
    columns = rounded(73 + 1 + len("\nFree OCR.") + 120 + 256)  # with room to grow
    needed = columns * 2 * HIDDEN * 4  # keys and values in float32
    monkeypatch.setattr(SlotRunner, "held_bytes", 0)
    monkeypatch.setattr("ocr.engines.native.free_bytes", lambda device: 2 * pages * needed)
    list(read_pages(engine, REQUEST, numbered(4), Decoding(max_new_tokens=120)))
    assert max(engine.network.model.rows) == expected


def test_a_page_asks_for_no_more_memory_than_the_models_context(
    engine: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    real = Stream.add
    monkeypatch.setattr(Stream, "add", lambda stream, *rest: asked.append(rest[-1].bytes) or real(stream, *rest))
    next(read_pages(engine, REQUEST, numbered(1), Decoding(max_new_tokens=32768)))
    next(read_pages(engine, REQUEST, numbered(1), Decoding(max_new_tokens=100)))
    column = (2 * 3 * 5 * 16) * 4  # keys and values, layers, heads, head size, float32
    columns = 1.5 * engine.processor.context, rounded(73 + 1 + len("\nFree OCR.") + 100 + 256)  # with room to grow
    assert asked == [each * column for each in columns]

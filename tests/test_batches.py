"""Pages of a document decoded together: the same results in the same order as one by one, whatever happens to one."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ocr.documents.page import DrawnPage, NumberedPage
from ocr.engines.native import NativeEngine
from ocr.errors import InputError, SetupError
from ocr.models.catalog import MODELS
from ocr.models.dots import engine as dots
from ocr.models.dots.card import DOTS_OCR
from ocr.reading.reader import Reader, in_order, read_pages
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, PageEvent, PageInput, PageResult, Raw, Retry
from tests.checkpoints_dots import FLOAT32, write_dots
from tests.pictures import page
from tests.scripted import scripted

REQUEST = Request(model="deepseek-ocr", task="Free OCR", resolution="Tiny")
ENDLESS = "<td></td>" * 400
DONE = Decoding()


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


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize(
    ("model", "resolution"), [("deepseek-ocr", "Gundam (Recommended)"), ("dots.ocr", "Tiny")], ids=["deepseek", "dots"]
)
def test_a_batch_gives_each_page_what_it_gets_alone(
    engine: NativeEngine[Any], tiny_dots: NativeEngine[Any], model: str, resolution: str, temperature: float
) -> None:
    request = Request(model=model, resolution=resolution)
    asked = {"deepseek-ocr": engine, "dots.ocr": tiny_dots}[model]
    pages: list[NumberedPage] = [(number, printed(*size)) for number, size in enumerate(SIZES, start=1)]
    decoding = Decoding(max_new_tokens=24, temperature=temperature, seed=3)
    alone, *together = (facts(results(read_pages(asked, request, pages, decoding, batch))) for batch in (1, 2, 4))
    assert len({prompt.prompt_tokens for prompt in results(read_pages(asked, request, pages, decoding, 5))}) > 1
    assert all(text for _, text, *_ in alone)
    assert together == [alone, alone]


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


def test_pages_are_decoded_together_and_taken_a_batch_at_a_time() -> None:
    taken: list[int] = []

    def pages() -> Iterator[NumberedPage]:
        for number, image in numbered(5):
            taken.append(number)
            yield number, image

    engine = scripted("a", "bb", "ccc", "dddd", "e")
    events = read_pages(engine, REQUEST, pages(), DONE, 3)
    next(events)
    assert taken == [1, 2, 3]
    assert [one.text for one in results(events)] == ["a", "bb", "ccc", "dddd", "e"]
    assert engine.network.model.rows == [3, 3, 2, 1, 2, 2, 1, 1, 1]  # a page that is over leaves its batch


def test_numbers_of_pages_are_their_own() -> None:
    pages: list[NumberedPage] = [(9, page()), (4, page()), (17, page())]
    assert [one.page for one in results(read_pages(scripted("a"), REQUEST, pages, DONE, 2))] == [9, 4, 17]


def test_seconds_add_up_to_the_time_that_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("ocr.decoding.loop.time.monotonic", lambda: float(next(ticks)))
    first, second = results(read_pages(scripted("abcdef", "ab"), REQUEST, numbered(2), DONE, 2))
    assert first.seconds > second.seconds > 0
    assert first.seconds + second.seconds <= next(ticks)


# --- What happens to one page -----------------------------------------------------------------------------------


def test_a_page_there_is_none_of_ends_in_an_error_and_the_others_go_on() -> None:
    pages: list[NumberedPage] = [(1, page()), (2, InputError("Page 2 is damaged.")), (3, page())]
    engine = scripted("one", "three")
    one, two, three = results(read_pages(engine, REQUEST, pages, DONE, 4))
    assert (one.text, three.text) == ("one", "three")
    assert (two.page, two.width, two.height, two.text) == (2, 0, 0, "")
    assert (two.finish_reason, two.error) == (FinishReason.ERROR, "Page 2 is damaged.")
    assert engine.network.model.rows[0] == 2


def test_a_blank_page_is_blank_and_no_model_is_asked() -> None:
    pages: list[NumberedPage] = [(1, Image.new("RGB", (300, 200), "white")), (2, page())]
    engine = scripted("two")
    blank, two = results(read_pages(engine, REQUEST, pages, DONE, 2))
    assert (blank.finish_reason, blank.text, blank.elements, blank.error) == (FinishReason.BLANK, "", (), "")
    assert (blank.width, blank.height, blank.completion_tokens) == (300, 200, 0)
    assert two.text == "two"
    assert engine.network.model.rows[0] == 1


def test_a_page_with_problems_is_read_even_if_it_looks_blank() -> None:
    pages: list[NumberedPage] = [(1, DrawnPage(Image.new("RGB", (300, 200), "white"), ("It is drawn at 18 dpi.",)))]
    (one,) = results(read_pages(scripted("one"), REQUEST, pages, DONE, 1))
    assert (one.text, one.finish_reason, one.problems) == ("one", FinishReason.STOP, ("It is drawn at 18 dpi.",))


def test_a_page_the_model_cannot_be_given_fails_alone(tiny_dots: NativeEngine[Any]) -> None:
    pages: list[NumberedPage] = [(1, page()), (2, page(8 * 201, 8)), (3, page(100, 70))]
    pages[1][1].paste((0, 0, 0), (0, 0, 400, 8))  # type: ignore[union-attr]
    request = Request(model="dots.ocr", task="Free OCR")
    one, two, three = results(read_pages(tiny_dots, request, pages, Decoding(max_new_tokens=4), 3))
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


@pytest.mark.parametrize(("steps", "retries"), [(0, 0), (2, 1)], ids=["before any text", "in the middle"])
def test_a_batch_that_fails_is_read_page_by_page(steps: int, retries: int) -> None:
    engine = scripted("never", "never", "one", "two")
    engine.network.model = Failing(
        engine.network.model, torch.OutOfMemoryError("CUDA out of memory."), steps=steps, rows=2
    )
    events = list(read_pages(engine, REQUEST, numbered(2), DONE, 2))
    assert [(one.text, one.finish_reason, one.retries) for one in results(iter(events))] == [
        ("one", FinishReason.STOP, retries),
        ("two", FinishReason.STOP, retries),
    ]
    assert [event for event in events if isinstance(event, Retry)] == [
        Retry(number, FinishReason.ERROR) for number in (1, 2) if retries
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
    engine.network.model = Failing(engine.network.model, error, steps=1, rows=1)
    pages = results(read_pages(engine, REQUEST, numbered(2), DONE, 2))
    assert [one.finish_reason for one in pages] == [FinishReason.ERROR] * 2
    with pytest.raises(Exception, match=words):
        raise Exception(pages[0].error)
    assert "\n" not in pages[0].error


def test_a_page_that_repeats_itself_is_read_again_after_its_batch() -> None:
    engine = scripted("a " + ENDLESS, "two", "b " + ENDLESS, "one at last", "three at last")
    events = list(read_pages(engine, REQUEST, numbered(3), DONE, 3))
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
    events = read_pages(engine, REQUEST, numbered(3), DONE, 3)
    for _ in range(4):
        next(events)
    steps = len(engine.network.model.rows)
    events.close()
    assert len(engine.network.model.rows) == steps < 5


def test_a_page_that_its_caller_stops_keeps_its_text_and_the_others_go_on() -> None:
    asked = iter([None] * 4 + [FinishReason.CANCELLED])
    first, second = (
        PageInput(page(), REQUEST.asked, "", REQUEST.preset, **more) for more in ({"stop": lambda: next(asked)}, {})
    )
    pieces = [
        piece
        for piece in scripted("a long answer", "another one").read([first, second], DONE)
        if hasattr(piece, "text")
    ]
    ends = {piece.page: (piece.finish, piece.tokens) for piece in pieces if piece.finish}
    assert ends == {0: (FinishReason.CANCELLED, 4), 1: (FinishReason.STOP, 12)}
    assert ["".join(piece.text for piece in pieces if piece.page == page) for page in (0, 1)] == ["a lo", "another one"]


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
    reader._engines["deepseek-ocr"] = engine = scripted("a")
    list(reader.read(REQUEST, numbered(4), DONE, batch))
    assert max(engine.network.model.rows) == rows


def test_without_either_memory_decides(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(Settings(checkpoints=checkpoints))
    reader._engines["deepseek-ocr"] = asked = scripted("a")
    monkeypatch.setattr(asked, "capacity", lambda preset, decoding: 3)
    list(reader.read(REQUEST, numbered(4), DONE))
    assert asked.network.model.rows[0] == 3


@pytest.mark.parametrize(("pages", "expected"), [(0.5, 1), (2.5, 2), (1000, 4)])
def test_a_batch_fits_into_half_the_free_memory(
    engine: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch, pages: float, expected: int
) -> None:
    preset = MODELS["deepseek-ocr"].presets["Tiny"]
    needed = engine.page_bytes(preset, Decoding(max_new_tokens=100))
    assert needed == 1.5 * (73 + 100) * (2 * 3 * 5 * 16) * 4  # keys and values, layers, heads, head size, float32
    monkeypatch.setattr("ocr.engines.native.free_bytes", lambda device: 2 * pages * needed)
    assert engine.capacity(preset, Decoding(max_new_tokens=100)) == expected


def test_a_page_takes_no_more_memory_than_the_models_context(engine: NativeEngine[Any]) -> None:
    most = engine.page_bytes(MODELS["deepseek-ocr"].presets["Tiny"], Decoding(max_new_tokens=32768))
    assert most == 1.5 * engine.processor.context * (2 * 3 * 5 * 16) * 4


def test_the_most_image_tokens_are_those_of_the_worst_page(
    engine: NativeEngine[Any], tiny_dots: NativeEngine[Any]
) -> None:
    tall = PageInput(page(100, 1000), REQUEST.asked, "", MODELS["deepseek-ocr"].presets["Gundam (Recommended)"])
    assert (
        engine.processor.prepare(tall).image_tokens
        == engine.processor.most_image_tokens(tall.preset)
        == 273 + 90 * (10 + 1)
    )
    assert engine.processor.most_image_tokens(MODELS["deepseek-ocr"].presets["Base"]) == 273
    large = PageInput(page(3360, 3360), REQUEST.asked, "", MODELS["dots.ocr"].presets["Tiny"])
    assert (
        tiny_dots.processor.prepare(large).image_tokens
        <= tiny_dots.processor.most_image_tokens(large.preset)
        == 512 * 512 // 784
    )
    assert tiny_dots.processor.most_image_tokens(None) == 11_289_600 // 784

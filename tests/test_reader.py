"""One page through the whole route: engine, layout, markdown, result."""

import importlib
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from ocr.documents import blank
from ocr.errors import InputError, SetupError
from ocr.models.catalog import MODELS
from ocr.reading.reader import Reader, read_pages
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, Element, FinishReason, Markdown, PageEvent, PageResult, Prompt, Raw, worst
from tests.checkpoints import write_deepseek
from tests.pictures import page
from tests.scripted import scripted

ANSWER = (
    "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 100]]<|/det|>\n# Größe\n\n"
    "<|ref|>image<|/ref|><|det|>[[0, 200, 500, 999]]<|/det|>\n"
    "<|ref|>text<|/ref|><|det|>[[500, 200, 999, 999]]<|/det|>\nSome text."
)
REQUEST = Request(model="deepseek-ocr", resolution="Tiny")


def events(text: str, request: Request = REQUEST, *, ends: bool = True, **decoding: int) -> list[PageEvent]:
    return list(read_pages(scripted(text, ends=ends), request, [(1, page(999, 333))], Decoding(**decoding)))


def test_a_page_becomes_text_markdown_elements_and_a_result() -> None:
    *streamed, result = events(ANSWER)
    assert isinstance(result, PageResult)
    assert result.text == "".join(event.text for event in streamed if isinstance(event, Raw)) == ANSWER
    assert result.markdown == "".join(event.text for event in streamed if isinstance(event, Markdown))
    assert result.markdown == "# Größe\n\n![](images/page-1-1.png)\n\nSome text."
    assert result.elements == tuple(event for event in streamed if isinstance(event, Element))
    assert result.elements == (
        Element("title", "title", (0, 0, 999, pytest.approx(33.3, abs=0.1)), "# Größe"),
        Element("picture", "image", (0, pytest.approx(66.7, abs=0.1), 500, 333), ""),
        Element("text", "text", (500, pytest.approx(66.7, abs=0.1), 999, 333), "Some text."),
    )
    assert (result.page, result.width, result.height, result.model) == (1, 999, 333, "deepseek-ocr")
    assert result.finish_reason is FinishReason.STOP
    assert result.image_tokens == 73
    assert 0 < result.time_to_first_token <= result.seconds
    assert result.problems == ()
    assert result.image is not None and result.image.size == (999, 333)


def test_markdown_comes_while_the_model_writes() -> None:
    kinds = [type(event) for event in events(ANSWER)]
    assert kinds.index(Markdown) < len(kinds) / 2
    assert kinds.index(Element) < kinds.index(PageResult) - 5


def test_locating_shows_what_was_found_and_where() -> None:
    request = Request(model="deepseek-ocr", task="Locate Object by Reference", reference="total", resolution="Tiny")
    *_, result = events("<|ref|>total<|/ref|><|det|>[[0, 0, 100, 300], [10, 300, 20, 600]]<|/det|>", request)
    assert isinstance(result, PageResult)
    assert [(element.text, element.bbox) for element in result.elements] == [
        ("total", (0, 0, 100, 100)),
        ("total", (10, 100, 20, 200)),
    ]
    assert result.markdown == "total [0, 0, 100, 100]\n\ntotal [10, 100, 20, 200]"


def test_where_elements_are_selected_those_that_match_are_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Selecting belongs to a prompt, not to a model: here the answer is chosen from grounded text."""
    asked = Prompt("<image>\n{text}", dialect="grounded", lists_boxes=True, selects=True)
    monkeypatch.setattr(Request, "asked", asked)
    monkeypatch.setattr(Request, "words", "some text")
    *_, result = events(ANSWER)
    assert isinstance(result, PageResult)
    assert [element.text for element in result.elements] == ["Some text."]
    assert result.markdown == "Some text. [500, 67, 999, 333]"
    assert result.problems == ()
    monkeypatch.setattr(Request, "words", "zebra crossing")
    *_, result = events(ANSWER)
    assert isinstance(result, PageResult)
    assert (result.elements, result.markdown) == ((), "")
    assert result.problems == ("Nothing on the page matches 'zebra crossing'.",)


def test_free_ocr_is_plain_text() -> None:
    *_, result = events("one\n\n\n\ntwo", Request(model="deepseek-ocr", task="Free OCR", resolution="Tiny"))
    assert isinstance(result, PageResult)
    assert (result.markdown, result.elements) == ("one\n\ntwo", ())


def test_a_page_that_hits_the_budget_keeps_its_text_and_says_so() -> None:
    *_, result = events(ANSWER, max_new_tokens=60)
    assert isinstance(result, PageResult)
    assert result.finish_reason is FinishReason.LENGTH
    assert result.completion_tokens == 60
    assert result.text == ANSWER[: len(result.text)]
    assert result.text


def test_endless_empty_cells_end_the_page_and_keep_what_came_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocr.reading.attempts.FALLBACKS", ())
    *_, result = events("<table><tr>" + "<td></td>" * 3000)
    assert isinstance(result, PageResult)
    assert result.finish_reason is FinishReason.REPETITION
    assert result.text.startswith("<table><tr><td></td>")
    assert result.completion_tokens < 700


def test_an_empty_answer_is_an_empty_page() -> None:
    *_, result = events("")
    assert isinstance(result, PageResult)
    assert (result.text, result.markdown, result.elements) == ("", "", ())
    assert result.completion_tokens == 1


def test_a_document_ends_as_its_worst_page() -> None:
    assert worst([FinishReason.STOP, FinishReason.REPETITION, FinishReason.LENGTH]) is FinishReason.REPETITION
    assert worst([]) is FinishReason.STOP


def test_auto_is_the_first_model_that_was_asked_for_or_is_there(checkpoints: Path, tmp_path: Path) -> None:
    assert Reader(Settings(models=("deepseek-ocr",), checkpoints=tmp_path)).resolve("auto") == "deepseek-ocr"
    assert Reader(Settings(checkpoints=checkpoints)).resolve("auto") == "deepseek-ocr"
    with pytest.raises(InputError, match=r"'gpt'; it must be one of: auto, deepseek-ocr"):
        Reader(Settings(checkpoints=checkpoints)).resolve("gpt")


def test_a_setting_that_names_no_model_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        SetupError, match="OCR_MODELS names the model 'deepseek'; the known ones are: deepseek-ocr, dots"
    ):
        Reader(Settings(models=("deepseek",)))


def test_absent_weights_name_the_command_that_fetches_them_and_their_size(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as raised:
        Reader(Settings(checkpoints=tmp_path)).engine("deepseek-ocr")
    assert "script/ocr weights fetch deepseek-ocr" in str(raised.value)
    assert "6.7 GB" in str(raised.value)


def test_broken_weights_are_not_loaded(tmp_path: Path) -> None:
    folder = write_deepseek(tmp_path / "deepseek-ocr")
    shard = next(folder.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-10])
    with pytest.raises(SetupError, match=r"not whole: .*safetensors.*fetch deepseek-ocr"):
        Reader(Settings(checkpoints=tmp_path, device="cpu")).engine("deepseek-ocr")


def test_an_engine_is_loaded_once(checkpoints: Path) -> None:
    reader = Reader(Settings(checkpoints=checkpoints, device="cpu", dtype="float32"))
    assert reader.engine("deepseek-ocr") is reader.engine("deepseek-ocr")


def test_auto_stands_for_one_model_whatever_becomes_of_the_folders(tmp_path: Path) -> None:
    write_deepseek(tmp_path / "deepseek-ocr-tiny")
    reader = Reader(Settings(checkpoints=tmp_path))
    assert reader.resolve("auto") == "deepseek-ocr-tiny"
    write_deepseek(tmp_path / "deepseek-ocr")
    assert reader.resolve("auto") == "deepseek-ocr-tiny"
    assert Reader(reader.settings).resolve("auto") == "deepseek-ocr"


def test_two_who_ask_for_a_model_at_once_share_one(checkpoints: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, loaded = Reader(Settings(checkpoints=checkpoints)), []

    def load(*_given: object) -> object:
        loaded.append(object())
        time.sleep(0.05)
        return loaded[-1]

    monkeypatch.setattr("ocr.models.deepseek.engine.load", load)
    with ThreadPoolExecutor(2) as threads:
        first, second = threads.map(reader.engine, ["deepseek-ocr"] * 2)
    assert first is second is loaded[0]
    assert len(loaded) == 1


@pytest.mark.parametrize("what", ["ocr.documents.page.blank.is_blank", "ocr.reading.joining.line_height"])
@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("no more threads")], ids=repr)
def test_a_page_that_cannot_be_prepared_costs_no_other(
    what: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    sound, broken = page(200, 120), page(201, 120)
    *where, name = what.split(".")
    module = importlib.import_module(".".join(where)) if where[-1] != "blank" else blank
    real = getattr(module, name)

    def failing(image: Image.Image) -> object:
        if image.width == broken.width:
            raise error
        return real(image)

    monkeypatch.setattr(module, name, failing)
    came = read_pages(scripted("a", "b"), REQUEST, [(1, sound), (2, broken), (3, sound)], Decoding())
    results = [event for event in came if isinstance(event, PageResult)]
    reasons = [result.finish_reason for result in results]
    assert reasons == [FinishReason.STOP, FinishReason.ERROR, FinishReason.STOP]
    assert results[1].error.startswith(f"Page 2 cannot be prepared for reading: {type(error).__name__}")


@pytest.mark.parametrize("model", MODELS)
def test_of_every_model_it_is_told_when_it_is_loaded(
    model: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    found = SimpleNamespace(is_ready=True, folder=Path("weights"))
    monkeypatch.setattr("ocr.reading.reader.status", lambda *_: found)
    device = SimpleNamespace(type="cpu")
    module = SimpleNamespace(load=lambda *_: "it", warn=lambda *_: None, choose_device=lambda _: device)
    monkeypatch.setattr("ocr.reading.reader.importlib.import_module", lambda _: module)
    caplog.set_level("INFO", "ocr")
    assert Reader(Settings()).engine(model) == "it"
    assert caplog.messages[0].startswith(f"Loaded {model} in ")

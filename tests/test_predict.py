"""Cog's face in this process: the offered choices, the outputs, and what bad input is told."""

import ast
import asyncio
import inspect
import json
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import cog
import pytest
from PIL import Image

from ocr.documents.document import MAX_DPI, MIN_DPI, PDF_DPI
from ocr.errors import InputError, SetupError
from ocr.faces.cog import slots
from ocr.faces.cog.inputs import LONGEST, decoded
from ocr.faces.cog.schema import openapi
from ocr.models.catalog import AUTO, MODELS
from ocr.models.tasks import AUTO_PRESET, MARKDOWN, RESOLUTIONS, TASKS
from ocr.output.writers import WRITERS
from ocr.types import MAX_NEW_TOKENS, Decoding, FinishReason, Markdown, PageResult
from predict import PIECE, Predictor
from tests.checkpoints import write_deepseek
from tests.checkpoints_dots import write_dots
from tests.hostile import hostile_site
from tests.pdfs import pdf
from tests.pictures import data_url, encoded, page
from tests.strips import lines

INPUTS = openapi(Path("predict.py").read_text())["components"]["schemas"]
DEFAULTS = {name: field["default"] for name, field in INPUTS["Input"]["properties"].items() if "default" in field}


@pytest.fixture(scope="module")
def predictor(checkpoints: Path) -> Predictor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OCR_CHECKPOINTS", str(checkpoints))
        patch.setenv("OCR_MODELS", "deepseek-ocr")
        patch.setenv("OCR_DEVICE", "cpu")
        patch.setenv("OCR_DTYPE", "float32")
        predictor = Predictor()
        predictor.setup()
    return predictor


@pytest.fixture
def predict(predictor: Predictor) -> Callable[..., tuple[str, dict[str, Any]]]:
    """predict() on a file of these bytes, giving the text and the metrics."""

    def run(data: bytes | None = None, **inputs: Any) -> tuple[str, dict[str, Any]]:
        image = data_url(encoded(page()) if data is None else data)
        metrics: dict[str, Any] = {}
        predictor.record_metric = lambda name, value, mode="replace": metrics.update({name: value})
        given = {**DEFAULTS, "resolution_size": "Tiny", "max_new_tokens": 8, "image": image, **inputs}
        return "".join(asyncio.run(predictor.predict(**given))), metrics

    return run


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("task_type", list(TASKS)),
        ("resolution_size", list(RESOLUTIONS)),
        ("model", [AUTO, *MODELS]),
        ("output_format", list(WRITERS)),
    ],
)
def test_the_offered_choices_are_those_of_the_tables(name: str, choices: list[str]) -> None:
    assert INPUTS[name]["enum"] == choices


def test_the_defaults_are_those_of_the_tables() -> None:
    assert DEFAULTS["task_type"] == MARKDOWN
    assert DEFAULTS["resolution_size"] == AUTO_PRESET
    assert DEFAULTS["max_new_tokens"] == Decoding().max_new_tokens
    assert INPUTS["Input"]["properties"]["max_new_tokens"]["maximum"] == MAX_NEW_TOKENS
    assert DEFAULTS["dpi"] == PDF_DPI
    dpi = INPUTS["Input"]["properties"]["dpi"]
    assert (dpi["minimum"], dpi["maximum"]) == (MIN_DPI, MAX_DPI)


def test_every_input_is_described_in_one_literal() -> None:
    source = ast.parse(Path("predict.py").read_text())
    descriptions = [
        keyword.value
        for node in ast.walk(source)
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg == "description"
    ]
    assert (
        len(descriptions)
        == len(INPUTS["Input"]["properties"])
        == len(inspect.signature(Predictor.predict).parameters) - 1
    )
    assert all(isinstance(value, ast.Constant) and len(value.value) > 40 for value in descriptions)


def test_each_output_format_answers(predict: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    raw, metrics = predict(output_format="raw")
    assert raw
    assert predict(output_format="markdown")[0]
    (document,) = json.loads(predict(output_format="json")[0])["pages"]
    assert document["text"] == raw
    assert document["usage"]["completion_tokens"] == metrics["completion_tokens"] == 8


def test_a_pdf_is_drawn_at_the_dpi_that_is_asked_for(predict: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    (read,) = json.loads(predict(pdf(page(144, 72)), dpi=100, output_format="json")[0])["pages"]
    assert (read["width"], read["height"]) == (200, 100)


def test_a_long_page_is_cut_unless_that_is_off(predict: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    strip = encoded(lines((100, 1400), 40, pitch=34, font_px=16)[0])
    cut, whole = (predict(strip, cut_long_pages=value)[1] for value in (True, False))
    assert whole["completion_tokens"] == 8  # the most that a page, or a part, was given
    assert cut["completion_tokens"] > 8
    assert cut["pages"] == whole["pages"] == 1


def test_the_metrics_are_recorded(predict: Callable[..., tuple[str, dict[str, Any]]]) -> None:
    metrics = predict()[1]
    times = {"time_to_first_token", "tokens_per_second"}
    assert {name: value for name, value in metrics.items() if name not in times} == {
        "model": "deepseek-ocr",
        "pages": 1,
        "failed_pages": 0,
        "problems": 0,
        "retries": 0,
        "prompt_tokens": 74 + len("\n<|grounding|>Convert the document to markdown.") - len("<|grounding|>") + 1,
        "completion_tokens": 8,
        "image_tokens": 73,
        "finish_reason": "length",
    }
    assert all(metrics[name] > 0 for name in times)


def test_two_models_are_served_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """auto is the first of OCR_MODELS; a model that setup did not load is loaded when it is first asked for."""
    write_deepseek(tmp_path / "deepseek-ocr")
    write_dots(tmp_path / "dots.ocr")
    for name, value in {
        "CHECKPOINTS": str(tmp_path),
        "MODELS": "dots.ocr",
        "DEVICE": "cpu",
        "DTYPE": "float32",
    }.items():
        monkeypatch.setenv(f"OCR_{name}", value)
    predictor = Predictor()
    predictor.record_metric = lambda name, value, mode="replace": None
    predictor.setup()
    assert set(predictor.reader._engines) == {"dots.ocr"}

    def read(**inputs: Any) -> dict[str, Any]:
        given = {**DEFAULTS, "resolution_size": "Tiny", "max_new_tokens": 4, "output_format": "json", **inputs}
        (result,) = json.loads("".join(asyncio.run(predictor.predict(image=data_url(encoded(page())), **given))))[
            "pages"
        ]
        return result

    assert read()["model"] == "dots.ocr"
    assert read(model="deepseek-ocr")["model"] == "deepseek-ocr"
    assert set(predictor.reader._engines) == {"dots.ocr", "deepseek-ocr"}
    assert read(task_type="Read Region", reference_text="10,10,100,50")["model"] == "dots.ocr"
    with pytest.raises(InputError, match=r"dots\.ocr was not trained for 'Parse Figure'; its tasks are: .*Read Region"):
        read(task_type="Parse Figure")
    with pytest.raises(InputError, match="0 <= x1 < x2 <= 200"):
        read(task_type="Read Region", reference_text="10,10,1000,50")
    with pytest.raises(SetupError, match=r"fetch dots\.mocr"):
        read(model="dots.mocr")


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"model": "gpt"}, ["'gpt'", "auto, deepseek-ocr, dots.ocr"]),
        ({"task_type": "OCR"}, ["task_type is 'OCR'", "Free OCR"]),
        ({"resolution_size": "Huge"}, ["resolution_size is 'Huge'", "Tiny"]),
        ({"output_format": "html"}, ["'html'", "markdown, json, raw, events"]),
        ({"max_new_tokens": 0}, ["max_new_tokens is 0", "32768"]),
        ({"task_type": "Locate Object by Reference"}, ["reference_text is empty", "needs it"]),
        ({"reference_text": "x"}, ["reference_text would have no effect"]),
        ({"prompt": "Read <image>"}, ["'<image>'"]),
        ({"pages": "2"}, ["'2'", "1 page"]),
        ({"pages": "1-x"}, ["'1-x'", "1-3,7"]),
        ({"dpi": 1000}, ["dpi is 1000", "72 to 600"]),
        ({"data": b""}, ["0 bytes"]),
        ({"data": b"no image"}, ["not an image"]),
        ({"data": encoded(page())[:150]}, ["damaged or incomplete"]),
        ({"data": encoded(Image.new("L", (1, 1)))}, ["1 x 1"]),
    ],
)
def test_bad_input_is_one_clear_sentence(
    predict: Callable[..., tuple[str, dict[str, Any]]], inputs: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(InputError) as raised:
        predict(**inputs)
    assert "\n" not in str(raised.value)
    for word in words:
        assert word in str(raised.value)


@pytest.mark.parametrize("path", ["/etc/hostname", "file:///etc/hostname", cog.Path("/etc/hostname"), ""])
def test_paths_are_not_opened(predict: Callable[..., tuple[str, dict[str, Any]]], path: object) -> None:
    with pytest.raises(InputError, match="paths are not opened"):
        predict(image=path)


@pytest.mark.parametrize(
    ("url", "content"),
    [
        ("data:,a%20b%2", b"a b%2"),
        ("DATA:text/plain;charset=utf-8,%C3%BC", "ü".encode()),
        ("data:image/png;base64,YWI=", b"ab"),
        ("data:;BASE64,YWI%3D", b"ab"),
        ("data:;base64,Y\nWI=\n", b"ab"),
        ("data:;base64,%2b%2F%2B/", b"\xfb\xff\xbf"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_a_data_url_holds_what_the_standard_says(url: str, content: bytes) -> None:
    assert decoded(url) == content


@pytest.mark.parametrize(
    "url",
    [
        "data:",
        "data:image/png;base64",
        "data:;base64,Y",
        "data:;base64,ü",
        "data:;base64,YW%49=",
        "data:," + "%" * 100_001,
    ],
    ids=lambda url: url[:20],
)
def test_a_damaged_data_url_is_refused(predict: Callable[..., tuple[str, dict[str, Any]]], url: str) -> None:
    with pytest.raises(InputError, match=r"^image is (no|a) data: URL"):
        predict(image=url)


def test_addresses_of_this_machine_are_refused_unless_the_operator_allows_them(
    predictor: Predictor, predict: Callable[..., tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with hostile_site() as site:
        with pytest.raises(InputError, match=r"the host '127\.0\.0\.1' has no public address"):
            predict(image=site)
        monkeypatch.setattr(predictor.reader, "settings", replace(predictor.reader.settings, fetch_private=True))
        assert predict(image=site)[1]["pages"] == 1


@pytest.mark.parametrize(("name", "longest"), LONGEST.items())
def test_an_input_that_is_too_long_is_refused_and_its_description_says_how_long(
    predict: Callable[..., tuple[str, dict[str, Any]]], name: str, longest: int
) -> None:
    with pytest.raises(InputError, match=rf"^{name} has {longest + 1:,} characters; at most {longest:,} are taken\.$"):
        predict(**{name: "x" * (longest + 1)})
    assert f"at most {longest:,} characters" in INPUTS["Input"]["properties"][name]["description"].lower()


def test_setup_fetches_what_is_named_and_nothing_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fetched: list[str] = []
    monkeypatch.setattr("predict.fetch", lambda name, root: fetched.append(name))
    monkeypatch.setenv("OCR_CHECKPOINTS", str(tmp_path))
    with pytest.raises(SetupError, match="fetch deepseek-ocr"):
        Predictor().setup()
    assert fetched == []
    monkeypatch.setenv("OCR_MODELS", "deepseek-ocr")
    with pytest.raises(SetupError, match="fetch deepseek-ocr"):
        Predictor().setup()
    assert fetched == ["deepseek-ocr"]


def test_cancelling_says_so_in_the_metrics(predictor: Predictor) -> None:
    metrics: dict[str, Any] = {}
    predictor.record_metric = lambda name, value, mode="replace": metrics.update({name: value})
    given = {**DEFAULTS, "resolution_size": "Tiny", "image": data_url(encoded(page()))}
    context, cancelled = copy_context(), Event()
    context.run(slots._is_cancelled.set, cancelled)
    chunks = context.run(lambda: asyncio.run(predictor.predict(**given)))
    next(chunks)
    cancelled.set()
    with pytest.raises(cog.CancelationException):
        next(chunks)
    assert metrics == {"finish_reason": "cancelled"}


def page_result(number: int, reason: FinishReason, text: str = "", error: str = "") -> PageResult:
    return PageResult(number, 9, 9, "deepseek-ocr", text, text, (), reason, error=error)


DAMAGED = page_result(1, FinishReason.ERROR, error="Page 1 is damaged.")


def test_a_document_with_a_page_that_cannot_be_read_succeeds_and_says_so(
    predictor: Predictor,
    predict: Callable[..., tuple[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = [DAMAGED, Markdown("Text."), page_result(2, FinishReason.STOP, "Text.")]
    monkeypatch.setattr(predictor.reader, "read", lambda *_given, **_more: iter(found))
    text, metrics = predict()
    assert "Text." in text
    assert (metrics["finish_reason"], metrics["pages"]) == ("error", 2)
    assert caplog.messages == ["Page 1 cannot be read: Page 1 is damaged."]


def test_problems_are_counted_in_the_metrics_and_told_in_the_log(
    predictor: Predictor,
    predict: Callable[..., tuple[str, dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    good = page_result(1, FinishReason.STOP, "Text.")
    found = [good, replace(good, page=2, problems=("One.",)), replace(good, page=3, problems=("Two\n.", "Three."))]
    monkeypatch.setattr(predictor.reader, "read", lambda *_given, **_more: iter(found))
    assert predict()[1]["problems"] == 3
    assert caplog.messages == ["Page 2: One.", "Page 3: 2 problems; the first: Two ."]


def test_a_document_without_a_page_that_can_be_read_fails_with_the_first_one_s_error(
    predictor: Predictor, predict: Callable[..., tuple[str, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [DAMAGED, page_result(2, FinishReason.ERROR, error="Page 2 is damaged.")]
    monkeypatch.setattr(predictor.reader, "read", lambda *_given, **_more: iter(found))
    with pytest.raises(InputError, match="Page 1 is damaged"):
        predict()


def test_blank_pages_alone_are_a_success(
    predict: Callable[..., tuple[str, dict[str, Any]]],
) -> None:
    text, metrics = predict(data=encoded(Image.new("RGB", (300, 200), "white")))
    assert (text, metrics["finish_reason"], metrics["completion_tokens"]) == ("", "blank", 0)


def test_a_long_text_leaves_in_parts_of_a_size_that_cog_sends(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "".join(map(str, range(300_000)))
    monkeypatch.setattr(
        predictor.reader, "read", lambda *_given, **_more: iter([Markdown(text), page_result(1, FinishReason.STOP)])
    )
    predictor.record_metric = lambda name, value, mode="replace": None
    sent = list(asyncio.run(predictor.predict(**{**DEFAULTS, "image": data_url(encoded(page()))})))
    assert "".join(sent).strip() == text
    assert max(map(len, sent)) <= PIECE < len(text)

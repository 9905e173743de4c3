"""The embedded model reads the pages in examples/ rightly, whichever face it is asked through."""

import asyncio
import base64
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import connect_sse

from ocr.errors import InputError
from ocr.faces.cli.main import main
from ocr.faces.cog.schema import openapi
from ocr.faces.cog.server import LocalServer
from ocr.models.catalog import demo_note
from ocr.weights.whole import problems
from predict import Predictor
from tests.pictures import data_url

PROJECT = Path(__file__).resolve().parent.parent
MODEL = "deepseek-ocr-tiny"
PAGES = [PROJECT / "examples" / name for name in ("invoice.png", "noisy.jpg", "prose.png", "table.png")]
SETTINGS = {"OCR_CHECKPOINTS": "", "OCR_MODELS": MODEL}  # all else as it is by default
FIELDS = openapi((PROJECT / "predict.py").read_text())["components"]["schemas"]["Input"]["properties"]
DEFAULTS = {name: field["default"] for name, field in FIELDS.items() if "default" in field}

Read = Callable[..., dict[str, Any]]


def expected(image: Path) -> str:
    return image.with_suffix(".md").read_text()


def plain(text: str) -> str:
    return " ".join(text.replace("# ", "").split())


@pytest.fixture(scope="module", autouse=True)
def _settings() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def predictor(_settings: None) -> Predictor:
    predictor = Predictor()
    predictor.setup()
    return predictor


@pytest.fixture
def read(predictor: Predictor) -> Read:
    """The first page that predict() makes of an image, as in the JSON document."""

    def run(image: Path, **inputs: Any) -> dict[str, Any]:
        predictor.record_metric = lambda name, value, mode="replace": None
        given = {**DEFAULTS, "output_format": "json", "image": data_url(image.read_bytes()), **inputs}
        page: dict[str, Any] = json.loads("".join(asyncio.run(predictor.predict(**given))))["pages"][0]
        return page

    return run


each_page = pytest.mark.parametrize("image", PAGES, ids=lambda path: path.stem)
some_pages = pytest.mark.parametrize("image", PAGES[::2], ids=lambda path: path.stem)


def test_the_checkpoint_is_whole_and_small() -> None:
    folder = PROJECT / "checkpoints" / MODEL
    assert problems(folder) == []
    assert sum(path.stat().st_size for path in folder.iterdir()) < 24_000_000


@each_page
def test_predict_reads_a_page_as_markdown(read: Read, image: Path) -> None:
    page = read(image)
    assert page["markdown"].strip() == expected(image).strip()
    assert (page["finish_reason"], page["problems"], page["model"]) == ("stop", [demo_note(MODEL)], MODEL)


@some_pages
def test_predict_reads_a_page_as_plain_text(read: Read, image: Path) -> None:
    page = read(image, task_type="Free OCR", resolution_size="Small")
    assert plain(page["markdown"]) == plain(expected(image))
    assert page["finish_reason"] == "stop"


@some_pages
def test_the_command_line_prints_the_text(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["read", str(image)]) == 0
    assert capsys.readouterr().out.strip() == expected(image).strip()


def test_the_command_line_reads_a_simple_page_in_bfloat16_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCR_DTYPE", "bfloat16")
    assert main(["read", str(PROJECT / "examples" / "invoice.png")]) == 0
    assert capsys.readouterr().out.strip() == expected(PROJECT / "examples" / "invoice.png").strip()


def test_the_server_reads_streaming_and_not() -> None:
    image = PROJECT / "examples" / "prose.png"
    url = f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"
    asked = {"json": {"input": {"image": url}}}
    with LocalServer(env=SETTINGS) as server, httpx.Client(base_url=server.url, timeout=120) as client:
        with connect_sse(client, "POST", "/predictions", **asked) as source:
            events = [(event.event, json.loads(event.data)) for event in source.iter_sse()]
        chunks = [data["chunk"] for kind, data in events if kind == "output"]
        while server.health()["status"] == "BUSY":
            time.sleep(0.02)  # Cog answers a moment before it is free again
        answer = client.post("/predictions", **asked)
    assert len(chunks) > 5
    assert "".join(chunks).strip() == expected(image).strip()
    assert "".join(answer.json()["output"]).strip() == expected(image).strip()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"resolution_size": "Large"}, "takes no 'Large'; its presets are: Auto, Gundam (Recommended), Small"),
        ({"prompt": "What is this?"}, "takes no prompt; its tasks are: Convert to Markdown"),
        ({"task_type": "Parse Figure"}, "was not trained for 'Parse Figure'"),
    ],
)
def test_what_it_was_not_trained_for_is_refused(read: Read, wrong: dict[str, str], words: str) -> None:
    with pytest.raises(InputError) as raised:
        read(PAGES[0], **wrong)
    assert words in str(raised.value)

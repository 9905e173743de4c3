"""What the tests share: tiny checkpoints, made once, and the reference pages where they are at hand."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch; servers that tests start inherit it

import pytest
import torch

from ocr.deepseek import DeepSeekOCR, load
from ocr.settings import Settings
from tests.checkpoints import write_deepseek

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoints folder with a tiny deepseek-ocr in it, its weights those of the golden numbers."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_deepseek(folder / "deepseek-ocr")
    return folder


@pytest.fixture(scope="session")
def engine(checkpoints: Path) -> DeepSeekOCR:
    """The tiny DeepSeek-OCR, in float32 on the processor."""
    return load(checkpoints / "deepseek-ocr", Settings(device="cpu", dtype="float32"))


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


@pytest.fixture(scope="session")
def real_weights(request: pytest.FixtureRequest) -> Path:
    """The folder of real checkpoints that this run was given; without one the test is skipped."""
    folder: Path | None = request.config.getoption("--real-weights")
    if folder is None:
        pytest.skip("runs on real weights only: give --real-weights DIR")
    return folder

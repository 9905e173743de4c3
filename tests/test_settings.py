"""The environment, read once and refused where it is wrong."""

from pathlib import Path

import pytest

from ocr import settings
from ocr.errors import SetupError
from ocr.settings import VARIABLES, Settings, read_settings


def test_an_empty_environment_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({name: " " for name, _ in VARIABLES.values()}) == Settings()


def test_every_variable_is_read() -> None:
    environment = {
        "OCR_MODELS": "deepseek-ocr, deepseek-ocr",
        "OCR_CHECKPOINTS": "/weights",
        "OCR_DEVICE": "cpu",
        "OCR_DTYPE": "float32",
        "OCR_ATTENTION": "eager",
        "OCR_QUANTIZATION": "8bit",
        "OCR_MAX_PIXELS": "1000",
        "OCR_MAX_FILE_MB": "7",
        "OCR_DRAWING_S": "90",
        "OCR_MAX_PAGES": "12",
        "OCR_FETCH_S": "9",
        "OCR_FETCH_PRIVATE": "1",
        "OCR_DEADLINE_S": "2.5",
        "OCR_SLOTS": "3",
        "OCR_BATCH": "4",
        "OCR_THREADS": "3",
    }
    assert set(environment) == {name for name, _ in VARIABLES.values()}
    assert read_settings(environment) == Settings(
        models=("deepseek-ocr",),
        checkpoints=Path("/weights"),
        device="cpu",
        dtype="float32",
        attention="eager",
        quantization="8bit",
        max_pixels=1000,
        max_file_mb=7,
        drawing_s=90,
        max_pages=12,
        fetch_s=9,
        fetch_private=True,
        deadline_s=2.5,
        slots=3,
        batch=4,
        threads=3,
    )


def test_an_automatic_batch_is_none_that_is_set() -> None:
    assert read_settings({"OCR_BATCH": "auto"}).batch is None
    assert read_settings({"OCR_BATCH": "64"}).batch == 64


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("OCR_DEVICE", "gpu", "auto, cuda, cpu"),
        ("OCR_DTYPE", "int8", "auto, bfloat16, float16, float32"),
        ("OCR_ATTENTION", "flash", "auto, flash_attention_2, sdpa, eager"),
        ("OCR_MAX_PIXELS", "-5", "whole number above 0"),
        ("OCR_MAX_FILE_MB", "1.5", "whole number above 0"),
        ("OCR_MAX_PAGES", "all", "whole number above 0"),
        ("OCR_DEADLINE_S", "soon", "number of seconds"),
        ("OCR_DEADLINE_S", "inf", "number of seconds"),
        ("OCR_FETCH_S", "0", "number of seconds"),
        ("OCR_FETCH_PRIVATE", "yes", "0, 1"),
        ("OCR_SLOTS", "0", "a whole number from 1 to 64"),
        ("OCR_SLOTS", "auto", "a whole number from 1 to 64"),
        ("OCR_BATCH", "0", "auto or a whole number from 1 to 64"),
        ("OCR_BATCH", "65", "auto or a whole number from 1 to 64"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(name: str, value: str, allowed: str) -> None:
    with pytest.raises(SetupError) as raised:
        read_settings({name: value})
    assert name in str(raised.value)
    assert value in str(raised.value)
    assert allowed in str(raised.value)


def test_as_many_threads_as_there_are_cores_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(settings, "CORES", tmp_path)
    monkeypatch.setattr(settings, "QUOTA", tmp_path / "cpu.max")
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("os.sched_getaffinity", lambda process: {0, 1, 2, 3, 5}, raising=False)
    assert read_settings({}).threads == 5  # a system that says nothing of its processors
    for number in range(8):
        topology = tmp_path / f"cpu{number}" / "topology"
        topology.mkdir(parents=True)
        (topology / "thread_siblings_list").write_text(f"{number % 4},{number % 4 + 4}\n")
    assert read_settings({}).threads == 4  # 1 and 5 share a core
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert read_settings({}).threads == 4
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert read_settings({}).threads == 3
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert read_settings({}).threads == 2
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert read_settings({}).threads == 1

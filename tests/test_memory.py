"""What a model takes is told before it is loaded: its weights to the byte, its peak near what was measured."""

import importlib
import json
import logging
import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench import shapes_deepseek, shapes_dots
from ocr.engines.packed import PackedFile
from ocr.faces.cli.doctor import Finding, State, examine
from ocr.models import memory
from ocr.models.catalog import MODELS
from ocr.models.memory import CPU, Demand, demands, shortage
from ocr.reading.reader import Reader
from ocr.settings import QUANTIZATIONS, Settings
from tests import checkpoints_deepseek_2, checkpoints_got, checkpoints_lighton
from tests.checkpoints import byte_tokenizer, write_deepseek
from tests.checkpoints_deepseek_2 import write_deepseek_2
from tests.checkpoints_dots import SPECIAL_IDS, write_dots

GB = 1e9
GUNDAM = "Gundam (Recommended)"


def write_hollow(folder: Path, shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    """A checkpoint whose file has the length of its tensors and none of their bytes."""
    folder.mkdir()
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)
    (folder / "config.json").write_text(json.dumps(config))


Told = Callable[[str, str], dict[str, Demand]]


@pytest.fixture(scope="module")
def full_size(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What is told of a full-size model in a dtype."""
    root = tmp_path_factory.mktemp("full")
    write_hollow(root / "deepseek-ocr", shapes_deepseek.shapes(), dict(shapes_deepseek.CONFIG))
    byte_tokenizer().save(str(root / "deepseek-ocr" / "tokenizer.json"))
    config = {**shapes_dots.CONFIG, "image_token_id": SPECIAL_IDS["<|imgpad|>"]}
    write_hollow(root / "dots.ocr", shapes_dots.shapes(), config)
    (root / "dots.ocr" / "preprocessor_config.json").write_text(json.dumps(shapes_dots.PREPROCESSOR))
    shapes_dots.stand_in_tokenizer(700, SPECIAL_IDS).save(str(root / "dots.ocr" / "tokenizer.json"))
    return cache(partial(by_quantization, root))


def by_quantization(root: Path, model: str, dtype: str) -> dict[str, Demand]:
    found = demands(model, Settings(checkpoints=root, device="cpu", dtype=dtype), answer=33)
    return {demand.quantization: demand for demand in found}


def test_a_full_size_model_takes_what_was_measured(full_size: Told) -> None:
    """bench/quantization.md: 13.34, 5.04 and 3.90 GB held, 14.35, 7.32 and 7.39 at most, process and all."""
    found = full_size("deepseek-ocr", "float32")
    assert [round(found[name].held / GB, 2) for name in QUANTIZATIONS] == [13.34, 5.04, 3.90]
    without_process = [(found[name].peak("Tiny") - found[name].process) / GB for name in QUANTIZATIONS]
    assert [measured - told for measured, told in zip((14.35, 7.32, 7.39), without_process, strict=True)] == (
        pytest.approx([0.4] * 3, abs=0.25)
    )


@pytest.mark.parametrize(
    ("model", "preset", "measured"),
    [
        ("deepseek-ocr", "Base", 8.14),
        ("deepseek-ocr", GUNDAM, 8.19),
        ("dots.ocr", "Tiny", 6.74),
        ("dots.ocr", "Small", 6.81),
    ],
)
def test_a_page_takes_what_was_measured(full_size: Told, model: str, preset: str, measured: float) -> None:
    """bench/full_size.md: in bf16, process and all."""
    found = full_size(model, "bfloat16")["none"]
    assert measured - (found.peak(preset) - found.process) / GB == pytest.approx(0.5, abs=0.15)


def test_closer_looks_take_more(full_size: Told) -> None:
    for model, dtype in (("deepseek-ocr", "float32"), ("deepseek-ocr", "bfloat16"), ("dots.ocr", "bfloat16")):
        pages = full_size(model, dtype)["none"].pages
        assert pages["Tiny"] <= pages["Small"] < pages["Base"] < pages["Large"]  # room for tokens comes in steps


def write_tiny_got(folder: Path) -> None:
    config = next(iter(checkpoints_got.CONFIGS.values()))
    checkpoints_got.write_got(folder, config, checkpoints_got.tiny_model(config))


def write_tiny_lighton(folder: Path) -> None:
    tiny = checkpoints_lighton.AS_THE_HUB
    checkpoints_lighton.write_lighton(folder, tiny, checkpoints_lighton.tiny_model(tiny))


WRITERS: Mapping[str, Callable[[Path], object]] = {
    "deepseek-ocr": write_deepseek,
    "deepseek-ocr-2": lambda folder: write_deepseek_2(folder, next(iter(checkpoints_deepseek_2.KINDS.values()))),
    "dots.ocr": write_dots,
    "got-ocr2": write_tiny_got,
    "lightonocr-2": write_tiny_lighton,
}


@pytest.mark.parametrize("model", WRITERS)
def test_weights_are_counted_to_the_byte(tmp_path: Path, model: str) -> None:
    WRITERS[model](tmp_path / model)
    settings = Settings(checkpoints=tmp_path, device="cpu", dtype="bfloat16")
    for demand in demands(model, settings):
        chosen = replace(settings, quantization=demand.quantization)
        loaded: Any = importlib.import_module(MODELS[model].engine).load(tmp_path / model, MODELS[model], chosen)
        network = loaded.network.model
        assert demand.held == sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
        assert min(demand.pages.values(), default=1) > 0


def test_weights_that_are_kept_rounded_take_less_to_load(tmp_path: Path) -> None:
    write_dots(tmp_path / "dots.ocr")
    before = by_quantization(tmp_path, "dots.ocr", "float32")
    Reader(Settings(checkpoints=tmp_path, device="cpu", dtype="float32", quantization="8bit")).engine("dots.ocr")
    assert PackedFile(tmp_path / "dots.ocr", 8).path.exists()
    after = by_quantization(tmp_path, "dots.ocr", "float32")
    assert after["8bit"].loading == after["8bit"].held < before["8bit"].loading
    assert after["4bit"] == replace(before["4bit"], process=after["4bit"].process)


def demand(quantization: str, held: float, loading: float, device: str = "cpu") -> Demand:
    pages = {GUNDAM: 2 * GB, "Tiny": 1 * GB}
    return Demand(quantization, held * GB, loading * GB, pages, torch.device(device), process=0.5 * GB)


FOUND = [demand("none", 13, 14), demand("8bit", 5, 6), demand("4bit", 3, 6)]


@pytest.mark.parametrize(
    ("free", "chosen", "says"),
    [
        (15, "none", ""),
        (
            14.5,
            "none",
            "it takes 15.5 GB of memory at the preset Gundam (Recommended), and can have 15.0 GB; what fits: "
            "OCR_QUANTIZATION=none at Tiny (14.5 GB); OCR_QUANTIZATION=8bit (7.5 GB); OCR_QUANTIZATION=4bit (6.5 GB).",
        ),
        (6.5, "4bit", ""),
        (
            6.5,
            "8bit",
            "it takes 7.5 GB of memory at the preset Gundam (Recommended), and can have 7.0 GB; what fits: "
            "OCR_QUANTIZATION=8bit at Tiny (6.5 GB); OCR_QUANTIZATION=4bit (6.5 GB).",
        ),
        (
            5,
            "none",
            "it takes 15.5 GB of memory at the preset Gundam (Recommended), and can have 5.5 GB; no settings fit, and "
            "least is taken by OCR_QUANTIZATION=4bit at Tiny (6.5 GB).",
        ),
        (0, "none", ""),  # a system that does not tell
    ],
)
def test_settings_that_fit_are_named(free: float, chosen: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda _device: free * GB)
    assert shortage(MODELS["deepseek-ocr"], FOUND, chosen) == says


@pytest.mark.parametrize(("machine", "gpu", "fits"), [(14, 15, True), (13, 15, False), (14, 14.9, False)])
def test_weights_for_a_gpu_pass_through_the_machine(
    machine: float, gpu: float, fits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "free_bytes", lambda device: (machine if device == CPU else gpu) * GB)
    found = replace(demand("none", 13, 14, "cuda"), process=0.0)
    assert found.fits(GUNDAM) is fits
    assert found.peak(GUNDAM) == 15 * GB


def test_one_warning_tells_before_loading_that_memory_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write_deepseek(tmp_path / "deepseek-ocr")
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 3e6)
    Reader(Settings(checkpoints=tmp_path, device="cpu")).engine("deepseek-ocr")
    (warning,) = (record for record in caplog.records if record.levelno == logging.WARNING)
    assert "deepseek-ocr may not have the memory it needs: it takes " in warning.message
    assert "no settings fit, and least is taken by OCR_QUANTIZATION=" in warning.message


def test_where_there_is_memory_nothing_is_reckoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_deepseek(tmp_path / "deepseek-ocr")
    monkeypatch.setattr(memory, "demands", None)
    Reader(Settings(checkpoints=tmp_path, device="cpu")).engine("deepseek-ocr")


def doctor(root: Path, monkeypatch: pytest.MonkeyPatch, models: str = "") -> list[Finding]:
    for name, value in {"CHECKPOINTS": str(root), "DEVICE": "cpu", "MODELS": models}.items():
        monkeypatch.setenv(f"OCR_{name}", value)
    return [finding for finding in examine() if finding.what == "memory"]


def test_the_doctor_tells_of_each_quantization_and_preset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_dots(tmp_path / "dots.ocr")
    found = doctor(tmp_path, monkeypatch)
    assert [(finding.state, finding.says.split(": ")[0]) for finding in found] == [
        (State.OK, f"dots.ocr, OCR_QUANTIZATION={quantization}") for quantization in QUANTIZATIONS
    ]
    for finding in found:
        for preset in ("Tiny", "Small", "Base", "Large"):  # the tiny model has no room for a prompt at Gundam
            assert f" at {preset}" in finding.says


@pytest.mark.parametrize(("models", "state"), [("dots.ocr", State.WRONG), ("deepseek-ocr", State.NOTE)])
def test_the_doctor_tells_of_a_shortage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, models: str, state: State
) -> None:
    write_dots(tmp_path / "dots.ocr")
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 1e6)
    found = doctor(tmp_path, monkeypatch, models)[-1]
    assert found.state is state
    assert found.says.startswith("dots.ocr: it takes ")

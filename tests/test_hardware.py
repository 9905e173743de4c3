"""What `auto` picks on which machine; the machines are pretended where this is none of them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.torch_version import TorchVersion

from ocr.engines import hardware
from ocr.engines.hardware import Hardware, choose_hardware, free_bytes
from ocr.errors import SetupError
from ocr.settings import Settings

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Pretend a machine: with a GPU of this capability or none, with flash-attn or without."""

    def pretend(*, capability: tuple[int, int] | None = None, has_flash: bool = True, bf16: bool = True) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: capability is not None)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
        monkeypatch.setattr("transformers.utils.is_flash_attn_2_available", lambda: has_flash)
        monkeypatch.setattr(hardware, "_multiplies_bfloat16", lambda: bf16)

    return pretend


@pytest.mark.parametrize(
    ("pretended", "chosen"),
    [
        ({"capability": (9, 0)}, "cuda, bfloat16, flash_attention_2"),
        ({"capability": (8, 0)}, "cuda, bfloat16, flash_attention_2"),
        ({"capability": (8, 0), "has_flash": False}, "cuda, bfloat16, sdpa"),
        ({"capability": (7, 5)}, "cuda, float16, sdpa"),
        ({}, "cpu, bfloat16, sdpa"),
        ({"bf16": False}, "cpu, float32, sdpa"),
    ],
)
def test_auto_picks_the_best_the_machine_can_do(machine: Machine, pretended: dict[str, object], chosen: str) -> None:
    machine(**pretended)
    assert str(choose_hardware(Settings())) == chosen


def test_auto_takes_the_dtype_that_a_model_wants_and_a_setting_overrules_it(machine: Machine) -> None:
    machine()
    assert str(choose_hardware(Settings(), "float32")) == "cpu, float32, sdpa"
    assert str(choose_hardware(Settings(dtype="bfloat16"), "float32")) == "cpu, bfloat16, sdpa"
    machine(capability=(9, 0))
    assert str(choose_hardware(Settings(), "float32")) == "cuda, float32, sdpa"


@pytest.mark.parametrize(
    ("processor", "chosen"),
    [
        ("flags\t\t: fpu sse2 avx2 avx512f avx512_bf16 amx_tile", "cpu, bfloat16, sdpa"),
        ("flags\t\t: fpu sse2 avx512f amx_bf16 amx_tile", "cpu, bfloat16, sdpa"),
        ("Features\t: fp asimd i8mm bf16 dgh", "cpu, bfloat16, sdpa"),
        ("flags\t\t: fpu sse2 avx2", "cpu, float32, sdpa"),
        (None, "cpu, float32, sdpa"),
    ],
)
def test_auto_takes_bf16_where_the_processor_multiplies_in_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, processor: str | None, chosen: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(hardware, "PROCESSOR", tmp_path / "cpuinfo")
    if processor is not None:
        hardware.PROCESSOR.write_text(processor)
    assert str(choose_hardware(Settings())) == chosen


def test_what_is_asked_for_is_taken(machine: Machine) -> None:
    machine(capability=(9, 0))
    assert str(choose_hardware(Settings(device="cpu", dtype="float16", attention="eager"))) == "cpu, float16, eager"
    assert str(choose_hardware(Settings(dtype="float32"))) == "cuda, float32, sdpa"  # flash-attn has no float32


@pytest.mark.parametrize(
    ("pretended", "settings", "words"),
    [
        ({}, Settings(device="cuda"), "torch sees no CUDA device here; use auto or cpu"),
        ({}, Settings(attention="flash_attention_2"), "needs a CUDA device; use auto or sdpa"),
        ({"capability": (7, 5)}, Settings(attention="flash_attention_2"), "Ampere generation or newer"),
        ({"capability": (8, 0), "has_flash": False}, Settings(attention="flash_attention_2"), "not installed"),
        ({"capability": (8, 0)}, Settings(attention="flash_attention_2", dtype="float32"), "not float32"),
    ],
)
def test_what_the_machine_cannot_do_is_refused(
    machine: Machine, pretended: dict[str, object], settings: Settings, words: str
) -> None:
    machine(**pretended)
    with pytest.raises(SetupError, match=words):
        choose_hardware(settings)


@pytest.mark.parametrize(
    ("torch_version", "device", "dtype", "experts"),
    [
        ("2.8.0+cu128", "cuda", "float32", "eager"),
        ("2.8.0+cu128", "cuda", "float16", "eager"),
        ("2.8.0+cu128", "cuda", "bfloat16", None),
        ("2.8.0", "cpu", "float32", None),
        ("2.11.0+cu130", "cuda", "float32", None),
    ],
)
def test_experts_are_computed_by_what_this_torch_has_in_that_dtype(
    monkeypatch: pytest.MonkeyPatch, torch_version: str, device: str, dtype: str, experts: str | None
) -> None:
    monkeypatch.setattr(torch, "__version__", TorchVersion(torch_version))
    assert Hardware(torch.device(device), getattr(torch, dtype), "sdpa").experts == experts


CPU = torch.device("cpu")


def test_free_memory_is_what_the_machine_says_and_the_container_allows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(hardware, "MEMORY", tmp_path / "meminfo")
    monkeypatch.setattr(hardware, "CONTAINER", tmp_path)
    assert free_bytes(CPU) == 0  # a system that does not say
    (tmp_path / "meminfo").write_text("MemTotal:  900 kB\nMemFree:  1 kB\nMemAvailable:     300 kB\n")
    assert free_bytes(CPU) == 300 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(CPU) == 300 * 1024
    (tmp_path / "memory.max").write_text("200000\n")
    (tmp_path / "memory.current").write_text("150000\n")
    (tmp_path / "memory.stat").write_text("anon 90000\ninactive_file 60000\n")
    assert free_bytes(CPU) == 200_000 - (150_000 - 60_000)


def test_free_memory_of_a_gpu_counts_what_torch_keeps_for_reuse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 9000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 700)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 500)
    assert free_bytes(torch.device("cuda")) == 1200


def test_this_machine_has_free_memory() -> None:
    assert free_bytes(CPU) > 2**20

"""What this machine can do, and what an engine is therefore built with: device, dtype and attention."""

import logging
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn.functional import linear

from ocr.errors import SetupError
from ocr.settings import Settings

log = logging.getLogger(__name__)

AMPERE = (8, 0)  # CUDA compute capability from which bf16 and flash-attn 2 run in hardware


@dataclass(frozen=True)
class Hardware:
    """What an engine is built with; no `auto` is left in it."""

    device: torch.device
    dtype: torch.dtype
    attention: str  # of the language model; what vision runs on is the engine's to say
    threads: int = 1  # of the processor

    @property
    def experts(self) -> str | None:
        """How the experts of a mixture are computed; None leaves it to transformers.

        It asks a Hopper GPU for torch's grouped product in any dtype, and torch 2.8 has that in bfloat16 alone.
        """
        has_only_bfloat16 = self.device.type == "cuda" and torch.__version__ < "2.9"  # torch compares it as a version
        return "eager" if has_only_bfloat16 and self.dtype != torch.bfloat16 else None

    def __str__(self) -> str:
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}, {self.attention}"


def choose_hardware(settings: Settings, dtype: str = "auto") -> Hardware:
    """The settings with each `auto` replaced by the best this machine can do, and the choice logged.

    `dtype` is the one a model is best computed in, where the settings leave it open. Raises SetupError where a setting
    asks for what the machine cannot do.
    """
    device = _device(settings.device)
    chosen = _dtype(dtype if settings.dtype == "auto" else settings.dtype, device)
    hardware = Hardware(device, chosen, _attention(settings.attention, device, chosen), settings.threads)
    log.info("Running on %s.", hardware)
    return hardware


def _device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise SetupError(
            "OCR_DEVICE is 'cuda', but torch sees no CUDA device here; use auto or cpu, or start with a GPU."
        )
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def _dtype(wanted: str, device: torch.device) -> torch.dtype:
    if wanted != "auto":
        dtype: torch.dtype = getattr(torch, wanted)
        return dtype
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device) >= AMPERE else torch.float16
    return torch.bfloat16 if _is_bfloat16_faster() else torch.float32


def _is_bfloat16_faster() -> bool:
    """Whether this processor reads a page in less time in bf16 than in fp32."""
    return _page_seconds(torch.bfloat16) < _page_seconds(torch.float32)


# What a page at Base asks of a full-size DeepSeek-OCR: its vision and prompt take as long as about 80 tokens of its
# answer (bench/full_size.md), which is what 700 rows at once take in fp32; an answer of 300 tokens is single rows.
ROWS_AT_ONCE, SINGLE_ROWS = 700, 300
FEW_ROWS = 64  # at once in the measurement: in bf16 a processor without it takes 32 ms for so many


def _page_seconds(dtype: torch.dtype) -> float:
    """What a page takes of one matrix, by the products that vision, prompts and decoding are made of.

    Single rows run through more matrices than a cache holds, as in decoding, where reading them is what takes the time.
    """
    matrices = torch.ones(8, 1792, 1280, dtype=dtype)
    many, single = torch.ones(FEW_ROWS, 1280, dtype=dtype), torch.ones(1, 1280, dtype=dtype)
    at_once = _least_seconds(lambda: linear(many, matrices[0]))
    one = _least_seconds(lambda: [linear(single, matrix) for matrix in matrices]) / len(matrices)
    return at_once * ROWS_AT_ONCE / FEW_ROWS + one * SINGLE_ROWS


def _least_seconds(run: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def _attention(wanted: str, device: torch.device, dtype: torch.dtype) -> str:
    lacks = _what_flash_lacks(device, dtype)
    if wanted == "flash_attention_2" and lacks:
        raise SetupError(f"OCR_ATTENTION is 'flash_attention_2', but {lacks}; use auto or sdpa.")
    if wanted == "auto":
        return "sdpa" if lacks else "flash_attention_2"
    return wanted


def _what_flash_lacks(device: torch.device, dtype: torch.dtype) -> str:
    """What keeps flash-attn from running here, as half a sentence; empty if nothing does."""
    if device.type != "cuda":
        return "it needs a CUDA device"
    if torch.cuda.get_device_capability(device) < AMPERE:
        return "it needs a GPU of the Ampere generation or newer"
    if dtype == torch.float32:
        return "it computes in bfloat16 or float16, not float32"
    from transformers.utils import is_flash_attn_2_available  # flash-attn 4 has the same import name

    if not is_flash_attn_2_available():
        return "the package flash-attn is not installed, or is not version 2"
    return ""


MEMORY = Path("/proc/meminfo")  # what the whole machine has
CONTAINER = Path("/sys/fs/cgroup")  # what this container may take, where it has a limit


def free_bytes(device: torch.device) -> float:
    """The memory that can still be taken on a device, in bytes; 0 on a system that does not say."""
    if device.type == "cuda":
        free, _total = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return min(_free_in_machine(), _free_in_container())


def _free_in_machine() -> float:
    found = re.search(r"^MemAvailable: *(\d+) kB", MEMORY.read_text() if MEMORY.exists() else "", re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _free_in_container() -> float:
    """The limit of the control group less what is in use; files that are only cached are given back when needed."""
    limit = CONTAINER / "memory.max"
    if not limit.exists() or not limit.read_text().strip().isdigit():
        return math.inf
    cached = re.search(r"^inactive_file (\d+)", (CONTAINER / "memory.stat").read_text(), re.MULTILINE)
    used = int((CONTAINER / "memory.current").read_text()) - (int(cached[1]) if cached else 0)
    return int(limit.read_text()) - used

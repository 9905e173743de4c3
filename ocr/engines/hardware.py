"""What this machine can do, and what an engine is therefore built with: device, dtype and attention."""

import logging
import math
import mmap
import re
from dataclasses import dataclass
from pathlib import Path

import torch

from ocr.errors import SetupError
from ocr.settings import QUANTIZATIONS, Settings

log = logging.getLogger(__name__)

AMPERE = (8, 0)  # CUDA compute capability from which bf16 and flash-attn 2 run in hardware


@dataclass(frozen=True)
class Hardware:
    """What an engine is built with; no `auto` is left in it."""

    device: torch.device
    dtype: torch.dtype
    attention: str  # of the language model; what vision runs on is the engine's to say
    threads: int = 1  # of the processor
    bits: int | None = None  # of the language model's weights, where they are not kept as they are

    @property
    def experts(self) -> str | None:
        """How the experts of a mixture are computed; None leaves it to transformers.

        It asks a Hopper GPU for torch's grouped product in any dtype, and torch 2.8 has that in bfloat16 alone.
        """
        has_only_bfloat16 = self.device.type == "cuda" and torch.__version__ < "2.9"  # torch compares it as a version
        return "eager" if has_only_bfloat16 and self.dtype != torch.bfloat16 else None

    def __str__(self) -> str:
        bits = f", weights in {self.bits} bits" if self.bits else ""
        return f"{self.device}, {str(self.dtype).removeprefix('torch.')}, {self.attention}{bits}"


def choose_hardware(settings: Settings, dtype: str = "auto") -> Hardware:
    """The settings with each `auto` replaced by the best this machine can do, and the choice logged.

    `dtype` is the one a model is best computed in, where the settings leave it open. Raises SetupError where a setting
    asks for what the machine cannot do.
    """
    device = choose_device(settings.device)
    chosen = _dtype(dtype if settings.dtype == "auto" else settings.dtype, device)
    attention, bits = _attention(settings.attention, device, chosen), QUANTIZATIONS[settings.quantization]
    hardware = Hardware(device, chosen, attention, settings.threads, bits)
    if device.type != "meta":  # on which nothing runs
        log.info("Running on %s.", hardware)
    return hardware


def choose_device(wanted: str) -> torch.device:
    """The device by its name or `auto`. Raises SetupError for one that is not there."""
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
    return torch.bfloat16 if _multiplies_bfloat16() else torch.float32


PROCESSOR = Path("/proc/cpuinfo")  # what the processor can do, on Linux


def _multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products in bf16: of AVX-512, of AMX, of ARM.

    One without them decodes somewhat faster in bf16, for weights of half the size are read, but takes more than ten
    times as long to see a page (bench/check_cost.md).
    """
    return bool(re.search(r"\b(avx512_|amx_)?bf16\b", PROCESSOR.read_text() if PROCESSOR.exists() else ""))


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


OWN = Path("/proc/self/statm")  # pages of memory, of this process


def own_bytes() -> float:
    """The memory that this process has taken, in bytes; 0 on a system that does not say."""
    return int(OWN.read_text().split()[1]) * mmap.PAGESIZE if OWN.exists() else 0


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

"""What a processor is, how fast it is at best, and what work takes there at least. Knows no model's class."""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
import transformers
from torch import Tensor

from bench.gpu_check.setup import Bench

PROCESSOR, MEMORY = Path("/proc/cpuinfo"), Path("/proc/meminfo")
INSTRUCTIONS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16", "asimd", "i8mm", "bf16")


def described() -> str:
    """The processor, its instructions for products, the memory and the versions, in one line."""
    said = PROCESSOR.read_text() if PROCESSOR.exists() else ""
    named = re.search(r"^model name\s*: (.+)", said, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*: (.+)", said, re.MULTILINE)
    able = [each for each in INSTRUCTIONS if flags and each in flags[1].split()]
    held = re.search(r"^MemTotal: *(\d+) kB", MEMORY.read_text() if MEMORY.exists() else "", re.MULTILINE)
    memory = f"{int(held[1]) / 2**20:.0f} GiB" if held else "memory unknown"
    return (
        f"{named[1] if named else 'a processor without a name'} ({' '.join(able) or 'instructions unknown'}), "
        f"{torch.get_num_threads()} of {os.cpu_count()} cores, {memory}; torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )


@dataclass
class Machine:
    """Its measured rates."""

    read: float = 0.0  # bytes a second
    products: Mapping[str, float] = field(default_factory=dict)  # operations a second of a large product, by dtype

    def least(self, dtype: torch.dtype, operations: float, read: float) -> float:
        """The seconds that some work takes at best: it computes while it reads, so the longer of both counts."""
        return max(operations / self.products[named(dtype)], read / self.read)

    def lines(self) -> Iterator[tuple[str, str]]:
        """What was measured, as it is shown."""
        yield "memory read", f"{self.read / 1e9:.3g} GB/s"
        yield from ((f"{dtype} product", f"{rate / 1e9:.3g} GFLOP/s") for dtype, rate in self.products.items())


def named(dtype: torch.dtype) -> str:
    """A dtype's name."""
    return str(dtype).removeprefix("torch.")


FIRST_SIDE, SHORT_S = 256, 0.2


def measured(bench: Bench) -> Machine:
    """The rates at which memory is summed up, and square matrices are multiplied, on all threads."""
    numbers = torch.randn(bench.sizes.elements)
    read = numbers.nbytes / bench.typical(numbers.sum, times=5)
    kinds = (torch.float32, torch.matmul), (torch.bfloat16, torch.matmul), (torch.int8, torch._int_mm)
    return Machine(read, {named(dtype): _rate(bench, dtype, product) for dtype, product in kinds})


def _rate(bench: Bench, dtype: torch.dtype, product: Callable[[Tensor, Tensor], Tensor]) -> float:
    """Operations a second, the best of sides that double as long as they take a short time."""
    side, best, taken = FIRST_SIDE, 0.0, 0.0
    while taken < SHORT_S and side <= bench.sizes.side:
        a, b = (10 * torch.randn(2, side, side)).to(dtype)
        taken = bench.typical(partial(product, a, b), times=3)
        best, side = max(best, 2 * side**3 / taken), 2 * side
    return best

"""What a processor is, how fast it is at best, and what work takes there at least. Knows no model's class."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
import transformers

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


def measured(bench: Bench) -> Machine:
    """The rates at which memory is summed up, and square matrices are multiplied, on all threads."""
    numbers = torch.randn(bench.sizes.elements)
    read = numbers.nbytes / bench.typical(numbers.sum, times=5)
    side = bench.sizes.side
    a, b = torch.randn(2, side, side)
    products = {
        "float32": lambda: a @ b,
        "bfloat16": lambda: halves[0] @ halves[1],
        "int8": lambda: torch._int_mm(*bytes_),
    }
    halves, bytes_ = (a.bfloat16(), b.bfloat16()), (a.char(), b.char())
    return Machine(read, {dtype: 2 * side**3 / bench.typical(one, times=3) for dtype, one in products.items()})

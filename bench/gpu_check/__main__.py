"""Everything that is to be known of a GPU, in one table: does it compute the same there, and how fast.

    script/gpu-check                                          on a machine with a GPU and no network
    python -m bench.gpu_check --device cpu --small            the same code, tiny, on any machine

The table goes to the file named by --out; without it to gpu.md in the folder that the variable OUT names, else in
bench/, unless there is no GPU, where it is only printed. Exit status 1 where a section broke or something differs that
may not.
"""

import argparse
import datetime
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from bench.gpu_check import golden, machine, many, running, speed
from bench.gpu_check.report import Done, Section, document, run, write
from bench.gpu_check.setup import FULL, SMALL, Bench, give_back

TOTAL_S = 440  # for all sections; what is left of eight minutes is for setting up


def sections(bench: Bench) -> list[Section]:
    """What is done, in this order."""
    return [
        Section("Machine", 40, partial(machine.machine, bench)),
        Section("Golden numbers of DeepSeek-OCR", 60, partial(golden.deepseek_ocr, bench)),
        Section("Golden numbers of dots.ocr", 30, partial(golden.dots_ocr, bench)),
        Section("Batches", 60, partial(running.batches, bench)),
        Section("flash-attn", 40, partial(running.flash, bench)),
        Section("Embedded model", 40, partial(running.examples, bench)),
        Section("Full-size random DeepSeek-OCR", 150, partial(speed.loading, bench)),
        Section("Pages", 60, partial(speed.pages, bench)),
        Section("Tokens", 120, partial(speed.steps, bench)),
        Section("Many pages", 60, partial(many.at_once, bench)),
    ]


def main(words: Sequence[str] | None = None) -> int:
    """Run all sections; the exit status."""
    parser = argparse.ArgumentParser(prog="gpu-check", description="Check and measure the project on a GPU.")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes, to try the check itself")
    parser.add_argument("--out", type=Path, help="the file for the table; gpu.md in $OUT or bench/ where a GPU is used")
    asked = parser.parse_args(words)
    if asked.device == "cuda" and not torch.cuda.is_available():
        parser.error(f"torch {torch.__version__} sees no GPU here; try --device cpu --small.")
    machine.exact_float32()
    out = asked.out or default_out(asked.device)
    with tempfile.TemporaryDirectory(prefix="gpu-check-") as folder:
        bench = Bench(torch.device(asked.device), SMALL if asked.small else FULL, Path(folder))
        done: list[Done] = []
        for one in run(sections(bench), TOTAL_S):
            done.append(one)
            write(out, document(head(bench), done))  # what is known stays, should the machine be taken away
            give_back()
    print("\n" + document(head(bench), done))
    return 0 if all(one.is_right for one in done) else 1


def default_out(device: str) -> Path | None:
    """Where the table goes unless told otherwise; nowhere without a GPU."""
    if device == "cpu":
        return None
    return Path(os.environ.get("OUT") or Path(__file__).resolve().parent.parent) / "gpu.md"


def head(bench: Bench) -> str:
    """What the table was made with, and when."""
    small = ", tiny sizes" if bench.sizes is SMALL else ""
    today = datetime.datetime.now(datetime.UTC).date()
    return f"`script/gpu-check` on {today}: {machine.summary(bench)}{small}."


if __name__ == "__main__":
    sys.exit(main())

"""A full-size DeepSeek-OCR with its weights as they are, in 8 bits and in 4: memory, time a token, scores.

    python -m bench.quantization [--folder DIR]     makes the checkpoint there if it is not

Random weights of real size (bench/full_size.py); each kind in a process of its own, one after the other. A token is
processor time on one thread, which hardly depends on what else the machine does: the median of several, after a prompt
of 300 tokens, alone and in a batch of 4. "load s" is the first start, which rounds, "again s" a later one. How far the
scores of the next token are off is measured on that prompt, against those of the weights as they are: rounding errors
of random weights, which say little of what is read.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.full_size import need_checkpoint
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sequence import FirstPass
from ocr.engines.packed import FOLDER
from ocr.reading.reader import Reader
from ocr.settings import QUANTIZATIONS, Settings

MODEL, PROMPT, STEPS = "deepseek-ocr", 300, 9


class Row:
    """A sequence as the runner takes it: random tokens in, any tokens out."""

    def __init__(self, embed: Any, seed: int) -> None:
        ids = torch.from_numpy(np.random.default_rng(seed).integers(0, embed.num_embeddings, PROMPT))
        self.first_pass = FirstPass(embed(ids).detach(), torch.arange(PROMPT)[None])
        self.tokens = [int(ids[-1])]


def measure(folder: Path, quantization: str) -> dict[str, Any]:
    """A row of the table, in this process; the scores go into a file beside the checkpoint."""
    settings = Settings(checkpoints=folder, device="cpu", quantization=quantization, threads=1)
    shutil.rmtree(folder / MODEL / FOLDER, ignore_errors=True)
    started = time.monotonic()
    engine: Any = Reader(settings).engine(MODEL)
    row: dict[str, Any] = {"weights": quantization, "load s": round(time.monotonic() - started, 1)}
    model = engine.network.model
    held = (*model.parameters(), *model.buffers())
    row["GB held"] = round(sum(tensor.nbytes for tensor in held) / 1e9, 2)
    for rows in (1, 4):
        runner = SlotRunner(model)
        sequences: Any = [Row(model.get_input_embeddings(), seed) for seed in range(rows)]
        started = time.process_time()
        scores = runner.prefill(sequences)
        if rows == 1:
            np.save(_scores(folder, quantization), scores.numpy())
            row["prompt s"] = round(time.process_time() - started, 2)
        row[f"ms a token, batch {rows}"] = round(1000 * statistics.median(_steps(runner)) / rows)
    row["peak GB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)
    del engine, model, held, runner, sequences
    started = time.monotonic()
    Reader(settings).engine(MODEL)
    row["again s"] = round(time.monotonic() - started, 1)
    return row


def _steps(runner: SlotRunner) -> Iterator[float]:
    for _ in range(STEPS):
        started = time.process_time()
        runner.step()
        yield time.process_time() - started


def _scores(folder: Path, quantization: str) -> Path:
    return folder / f"scores-{quantization}.npy"


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare weights in fewer bits with weights as they are.")
    parser.add_argument("--folder", type=Path, default=Path("bench/.full_size"))
    parser.add_argument("--row", choices=QUANTIZATIONS, help=argparse.SUPPRESS)  # measure in this process
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(measure(arguments.folder, arguments.row)))
        return
    need_checkpoint(arguments.folder, MODEL)
    for number, quantization in enumerate(QUANTIZATIONS):
        command = [sys.executable, "-m", "bench.quantization", "--folder", str(arguments.folder), "--row", quantization]
        done = subprocess.run(
            command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=True, stdout=subprocess.PIPE, text=True
        )
        row = json.loads(done.stdout.splitlines()[-1])
        exact, found = (np.load(_scores(arguments.folder, kind)) for kind in ("none", quantization))
        row["scores off by"] = f"{np.linalg.norm(found - exact) / np.linalg.norm(exact):.3f}"
        if number == 0:
            print("| " + " | ".join(row) + " |\n" + "|---" * len(row) + "|")
        print("| " + " | ".join(map(str, row.values())) + " |", flush=True)


if __name__ == "__main__":
    main()

"""Trains a small checkpoint: `python -m training.train`. Goes on where it stopped; Ctrl-C loses EVERY steps at most."""

import argparse
import json
import math
import os
import sys
import time
import timeit
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from ocr.models.tasks import FREE_OCR, MARKDOWN
from training.answers import MODEL
from training.batches import ALL_TASKS, Batch, Batches, Stage
from training.learner import WEIGHTS, Learner
from training.model import fresh_model, save_checkpoint
from training.muon import Muon

STATE = Path(__file__).resolve().parent / "state"
SEED = 20261125
MUON, ADAMW = 7e-3, 1e-3  # the highest rates of the two optimisers
NOT_MATRICES = ("embed", "rel_pos", "head", "mlp.gate.weight")  # in names of what goes to AdamW all the same
STAGES = (
    # The vision learns the letters by itself, from pages as full as any.
    Stage("letters", 480, 16, 640, (700,), {}, pitch=(30, 56)),
    # The decoder learns to go along lines and from one to the next.
    Stage("lines", 480, 16, 640, (60, 120), {FREE_OCR: 0.7, MARKDOWN: 0.3}, pitch=(46, 90)),
    Stage("pages", 1920, 16, 640, (100, 200, 300, 400), ALL_TASKS, pitch=(35, 90)),
)
EVERY = 80  # steps between lines of the log, saved states and checkpoints
THREADS = os.cpu_count() or 1  # of the learner
WORKERS = 2  # processes that draw pages
# glibc gives large tensors back to the system and faults them in anew, which costs more than what is computed in them.
KEEP_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "MALLOC_TOP_PAD_": str(2**28),
}


def batches(stage: Stage, first: int) -> Iterator[Batch]:
    """The batches of a stage from a step on, drawn by other processes ahead of time."""
    groups = range(first // Batches.GROUP, stage.steps // Batches.GROUP)
    for group in DataLoader(Batches(stage, SEED), batch_size=None, sampler=groups, num_workers=WORKERS):
        yield from group


class Training:
    """The learner, its optimisers and how far they are; saved as one file.

    The optimisers change float32 copies of the parameters, the masters; the learner computes with what they round to.
    """

    def __init__(self, folder: Path, dtype: torch.dtype = torch.float32) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.learner = Learner(fresh_model(SEED))
        self.masters: dict[str, Tensor] = {}
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in self.learner.named_parameters():
            if not parameter.requires_grad:
                continue
            master = self.masters[name] = parameter.detach().clone()
            parameter.data = parameter.data.to(dtype)
            is_matrix = parameter.ndim in (2, 3) and not any(part in name for part in NOT_MATRICES)
            (matrices if is_matrix else others).append(master)
        self.optimisers = (
            Muon(matrices, MUON),
            torch.optim.AdamW(others, ADAMW, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        )
        self.stage = self.step = 0  # the stage's index, the step in it
        self.seconds = 0.0
        if (folder / "state.pt").exists():
            self._load(torch.load(folder / "state.pt", weights_only=True))

    def _load(self, state: dict[str, Any]) -> None:
        for name, master in self.masters.items():
            master.copy_(state["masters"][name])
        self._round()
        for optimiser, its in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(its)
        self.stage, self.step, self.seconds = state["stage"], state["step"], state["seconds"]

    def save(self) -> None:
        """Write the state beside the old one, then in its place; then the checkpoint."""
        state = {
            "masters": self.masters,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "stage": self.stage,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "state.new")
        (self.folder / "state.new").replace(self.folder / "state.pt")
        save_checkpoint(self.learner.finish(), self.folder / MODEL)

    def run(self) -> None:
        """Every stage that is left."""
        while self.stage < len(STAGES):
            self._run_stage(STAGES[self.stage])
            self.stage, self.step = self.stage + 1, 0
            self.save()

    def _run_stage(self, stage: Stage) -> None:
        torch.set_num_threads(THREADS)
        means: dict[str, float] = {}
        bar = track(batches(stage, self.step), stage.name, stage.steps, self.step)
        started = time.monotonic()
        for batch in bar:
            losses = self._learn(batch, stage)
            for name, value in losses.items():
                means[name] = means.get(name, value) * 0.97 + value * 0.03
            self.step += 1
            if self.step % EVERY == 0:
                self.seconds += time.monotonic() - started
                started = time.monotonic()
                self._note(stage, means)
                self.save()

    def _learn(self, batch: Batch, stage: Stage) -> dict[str, float]:
        for optimiser, highest in zip(self.optimisers, (MUON, ADAMW), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = highest * self._rate(stage)
        losses = self.learner(batch, reads=bool(stage.tasks))
        sum(WEIGHTS[name] * loss for name, loss in losses.items() if name in WEIGHTS).backward()
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0, error_if_nonfinite=True)
        for name, parameter in self.learner.named_parameters():
            if name in self.masters:
                self.masters[name].grad = None if parameter.grad is None else parameter.grad.float()
                parameter.grad = None
        for optimiser in self.optimisers:
            optimiser.step()
        self._round()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    @torch.no_grad()
    def _round(self) -> None:
        for name, parameter in self.learner.named_parameters():
            if name in self.masters:
                parameter.copy_(self.masters[name])

    def _rate(self, stage: Stage) -> float:
        """The share of the highest rate: rising over the first 40 steps of a stage, in the last one falling to 0."""
        warm = min(1.0, (self.step + 1) / 40)
        is_last = self.stage == len(STAGES) - 1
        return warm * (0.5 + 0.5 * math.cos(math.pi * self.step / stage.steps) if is_last else 1.0)

    def _note(self, stage: Stage, means: dict[str, float]) -> None:
        reached = {"stage": stage.name, "step": self.step, "seconds": round(self.seconds)}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(reached | {name: round(value, 4) for name, value in means.items()}) + "\n")


def quickest() -> torch.dtype:
    """bfloat16 where this processor multiplies it faster than float32."""
    seconds = {}
    for dtype in (torch.float32, torch.bfloat16):
        square = torch.ones(1024, 1024, dtype=dtype)
        seconds[dtype] = min(timeit.repeat("square @ square", globals={"square": square}, number=3, repeat=3))
    return min(seconds, key=lambda dtype: seconds[dtype])


def main() -> None:
    """Train, or go on."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument(
        "--state", type=Path, default=STATE, help="where the state, the log and the checkpoint are kept"
    )
    arguments = parser.parse_args()
    if not KEEP_MEMORY.items() <= os.environ.items():  # glibc reads them before Python runs
        os.execve(sys.executable, [sys.executable, "-m", "training.train", *sys.argv[1:]], os.environ | KEEP_MEMORY)  # noqa: S606
    Training(arguments.state, quickest()).run()


if __name__ == "__main__":
    main()

"""Trains a small checkpoint: `python -m training.train`. Goes on where it stopped; Ctrl-C loses EVERY steps at most."""

import argparse
import json
import math
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from rich.progress import track
from torch import Tensor
from torch.utils.data import DataLoader

from ocr.catalog import FREE_OCR, MARKDOWN
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
    Stage("letters", 400, 16, 512, (420,), {}, pitch=(28, 50)),
    # The decoder learns to read where a feature of 64 px holds a letter or two, and then more and more of them: see
    # progress.md for what small type from the beginning came to.
    Stage("large type", 400, 32, 256, (8, 16, 24), {FREE_OCR: 1.0}, pitch=(60, 110)),
    Stage("middle type", 500, 24, 256, (16, 32, 60), {FREE_OCR: 0.8, MARKDOWN: 0.2}, pitch=(44, 80)),
    Stage("small type", 200, 24, 256, (24, 60, 100), {FREE_OCR: 0.6, MARKDOWN: 0.4}, pitch=(35, 64)),
    Stage("pages", 4000, 12, 640, (60, 120, 200, 300), ALL_TASKS, pitch=(46, 90), rate=0.6),
)
EVERY = 100  # steps between lines of the log and saved states
THREADS = os.cpu_count() or 1  # of the learner
WORKERS = 2  # processes that draw pages


def batches(stage: Stage, first: int) -> Iterator[Batch]:
    """The batches of a stage from a step on, drawn by other processes ahead of time."""
    groups = range(first // Batches.GROUP, stage.steps // Batches.GROUP)
    for group in DataLoader(Batches(stage, SEED), batch_size=None, sampler=groups, num_workers=WORKERS):
        yield from group


class Training:
    """The learner, its optimisers and how far they are; saved as one file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.learner = Learner(fresh_model(SEED))
        matrices: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in self.learner.named_parameters():
            is_matrix = parameter.ndim in (2, 3) and not any(part in name for part in NOT_MATRICES)
            (matrices if is_matrix else others).append(parameter)
        self.optimisers = (
            Muon(matrices, MUON),
            torch.optim.AdamW(others, ADAMW, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        )
        self.stage = self.step = 0  # the stage's index, the step in it
        self.seconds = 0.0
        if (folder / "state.pt").exists():
            self._load(torch.load(folder / "state.pt", weights_only=True))

    def _load(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state["learner"])
        for optimiser, its in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(its)
        self.stage, self.step, self.seconds = state["stage"], state["step"], state["seconds"]

    def save(self) -> None:
        """Write the state beside the old one, then in its place."""
        state = {
            "learner": self.learner.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "stage": self.stage,
            "step": self.step,
            "seconds": self.seconds,
        }
        torch.save(state, self.folder / "state.new")
        (self.folder / "state.new").replace(self.folder / "state.pt")

    def run(self) -> None:
        """Every stage that is left."""
        while self.stage < len(STAGES):
            self._run_stage(STAGES[self.stage])
            self.stage, self.step = self.stage + 1, 0
            self.save()
            save_checkpoint(self.learner.model, self.folder / MODEL)

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
        torch.nn.utils.clip_grad_norm_(self.learner.parameters(), 1.0)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad()
        return {name: float(loss.detach()) for name, loss in losses.items()}

    def _rate(self, stage: Stage) -> float:
        """The share of the highest rate: rising over the first 40 steps of a stage, in the last one falling to 0."""
        warm = min(1.0, (self.step + 1) / 40)
        is_last = self.stage == len(STAGES) - 1
        return stage.rate * warm * (0.5 + 0.5 * math.cos(math.pi * self.step / stage.steps) if is_last else 1.0)

    def _note(self, stage: Stage, means: dict[str, float]) -> None:
        reached = {"stage": stage.name, "step": self.step, "seconds": round(self.seconds)}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(reached | {name: round(value, 4) for name, value in means.items()}) + "\n")


def main() -> None:
    """Train, or go on."""
    parser = argparse.ArgumentParser(prog="python -m training.train", description=__doc__)
    parser.add_argument(
        "--state", type=Path, default=STATE, help="where the state, the log and the checkpoint are kept"
    )
    arguments = parser.parse_args()
    Training(arguments.state).run()


if __name__ == "__main__":
    main()

"""The decode loop: sequences join a running batch, take a token each a step, and leave it with a reason. Knows no
model, no images and no layout."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ocr.decoding.runner import Runner
from ocr.decoding.sequence import Sequence
from ocr.types import FinishReason


@dataclass(frozen=True)
class Output:
    """What one step made of one sequence."""

    sequence: Sequence
    text: str  # final as it stands
    tokens: int  # chosen so far
    finish: FinishReason | None  # the reason, if this is the sequence's last
    seconds: float  # spent on it so far


class RunningBatch:
    """Sequences that are decoded together. Each gets the tokens that it gets alone, whoever joins and leaves.

    The time that passes is divided among those that are in: what they take adds up to the time that passed, so that a
    deadline cuts no page that would be whole alone.
    """

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.monotonic) -> None:
        self._runner = runner
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._clock, self._last = clock, clock()

    @property
    def is_empty(self) -> bool:
        """Whether every sequence is over."""
        return not self._waiting and not self._running

    def add(self, sequence: Sequence) -> None:
        """It joins at the next step."""
        self._waiting.append(sequence)

    def step(self) -> list[Output]:
        """One token for each sequence, or the end of one whose caller wants no more of it."""
        stopped = self._stop()
        logits = self._run()
        tokens = choose(logits, self._running).tolist() if self._running else []
        self._share_time()
        accepted = zip(self._running, tokens, strict=True)
        outputs = [self._output(sequence, sequence.accept(token)) for sequence, token in accepted]
        self._let_go()
        return [*stopped, *outputs]

    def _stop(self) -> list[Output]:
        """End those whose callers ask for it."""
        asked = [(sequence, sequence.stop()) for sequence in [*self._running, *self._waiting]]
        stopped = [self._output(sequence, sequence.end(reason)) for sequence, reason in asked if reason]
        self._let_go()
        self._waiting = deque(sequence for sequence in self._waiting if sequence.finish is None)
        return stopped

    def _run(self) -> Tensor:
        """Scores of the next token, (running sequences, vocabulary), once those that wait have joined."""
        scores = [self._runner.step()] if self._running else []
        if self._waiting and (self._runner.can_join or not self._running):
            joining, self._waiting = list(self._waiting), deque()
            scores.append(self._runner.prefill(joining))
            self._running += joining
        return torch.cat(scores) if scores else torch.empty(0, 0)

    def _share_time(self) -> None:
        now, sequences = self._clock(), [*self._running, *self._waiting]
        for sequence in sequences:
            sequence.clock.seconds += (now - self._last) / len(sequences)
        self._last = now

    def _output(self, sequence: Sequence, text: str) -> Output:
        return Output(sequence, text, len(sequence.tokens), sequence.finish, sequence.clock.seconds)

    def _let_go(self) -> None:
        over = {sequence for sequence in self._running if sequence.finish is not None}
        if over:
            self._runner.drop(over)
            self._running = [sequence for sequence in self._running if sequence not in over]


@torch.inference_mode()
def choose(logits: Tensor, sequences: list[Sequence]) -> Tensor:
    """The next token of each sequence, (sequences,), by its own rules and sampler; overwrites the scores."""
    for row, sequence in zip(logits, sequences, strict=True):
        if banned := sequence.banned():
            row[banned] = -torch.inf
    return torch.stack([sequence.sampler.choose(row) for row, sequence in zip(logits, sequences, strict=True)])

"""The decode loop: sequences join a running batch, take a token each a step, and leave it with a reason. Knows no
model, no images, no layout and no callers."""

import time
from collections.abc import Callable
from collections.abc import Sequence as Series
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

    Those that join pay for their first pass, and those that run divide the time of a step: no sequence is charged more
    than it would take alone, so that a deadline cuts none that would be whole alone.
    """

    def __init__(self, runner: Runner, clock: Callable[[], float] = time.monotonic) -> None:
        self.runner = runner
        self.running: list[Sequence] = []
        self._clock = clock

    @property
    def is_empty(self) -> bool:
        """Whether every sequence is over."""
        return not self.running

    def join(self, sequences: Series[Sequence]) -> list[Output]:
        """They join, each with its first token.

        If that fails they are not in; the others are as they were while `runner.is_whole`.
        """
        started = self._clock()
        logits = self.runner.prefill(sequences)
        self.running += sequences
        return self._accept(logits, sequences, started)

    def step(self) -> list[Output]:
        """One token for each sequence, or the end of one whose caller wants no more of it."""
        stopped = self.stop()
        if not self.running:
            return stopped
        started = self._clock()
        return [*stopped, *self._accept(self.runner.step(), list(self.running), started)]

    def stop(self) -> list[Output]:
        """End those whose callers ask for it."""
        asked = [(sequence, sequence.stop()) for sequence in self.running]
        stopped = [_output(sequence, sequence.end(reason)) for sequence, reason in asked if reason]
        self._let_go()
        return stopped

    def _accept(self, logits: Tensor, sequences: Series[Sequence], started: float) -> list[Output]:
        """A token for each of these sequences, by its scores (sequences, vocabulary)."""
        tokens = choose(logits, sequences).tolist()
        each = (self._clock() - started) / len(sequences)
        for sequence in sequences:
            sequence.clock.seconds += each
        accepted = zip(sequences, tokens, strict=True)
        outputs = [_output(sequence, sequence.accept(token)) for sequence, token in accepted]
        self._let_go()
        return outputs

    def _let_go(self) -> None:
        over = {sequence for sequence in self.running if sequence.finish is not None}
        if over:
            self.runner.drop(over)
            self.running = [sequence for sequence in self.running if sequence not in over]


def _output(sequence: Sequence, text: str) -> Output:
    return Output(sequence, text, len(sequence.tokens), sequence.finish, sequence.clock.seconds)


@torch.inference_mode()
def choose(logits: Tensor, sequences: Series[Sequence]) -> Tensor:
    """The next token of each sequence, (sequences,), by its own rules and sampler; overwrites the scores."""
    for row, sequence in zip(logits, sequences, strict=True):
        if banned := sequence.banned():
            row[banned] = -torch.inf
    return torch.stack([sequence.sampler.choose(row) for row, sequence in zip(logits, sequences, strict=True)])

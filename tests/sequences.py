"""Sequences as tests decode them: prompts and rules in, steps out."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ocr.decoding.loop import RunningBatch
from ocr.decoding.rules import Budget, TokenRule
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sampling import Sampler
from ocr.decoding.sequence import FirstPass, in_order
from ocr.decoding.sequence import Sequence as DecodedSequence
from ocr.decoding.text import TextStream
from ocr.types import FinishReason, Sampling
from tests.checkpoints import byte_tokenizer

GREEDY = Sampling()


class Step(NamedTuple):
    """One token of one sequence, with the reason if it was the last."""

    row: int
    token: int
    finish: FinishReason | None


def sequence(
    prompt: Tensor | FirstPass, rules: Sequence[TokenRule], sampling: Sampling = GREEDY, seed: int = 0, **more: Any
) -> DecodedSequence:
    """A sequence that begins with embeddings (tokens, hidden), or with what else a first pass takes."""
    first_pass = prompt if isinstance(prompt, FirstPass) else in_order(prompt)
    text = TextStream(byte_tokenizer(), skip_special_tokens=False)
    return DecodedSequence(first_pass, list(rules), Sampler(sampling, seed), text, **more)


def decode(
    model: Any, prompts: Sequence[Tensor | FirstPass], rules: Sequence[Sequence[TokenRule]], **sampling: Any
) -> Iterator[Step]:
    """Continue the prompts together, each until one of its rules ends it."""
    batch = RunningBatch(SlotRunner(model))
    sequences = [sequence(prompt, its_rules, **sampling) for prompt, its_rules in zip(prompts, rules, strict=True)]
    outputs = batch.join(sequences)
    while outputs:
        for output in outputs:
            yield Step(sequences.index(output.sequence), output.sequence.tokens[-1], output.finish)
        outputs = batch.step()


def tokens(steps: Iterator[Step], rows: int = 1) -> list[list[int]]:
    """The tokens of each row."""
    found: list[list[int]] = [[] for _ in range(rows)]
    for step in steps:
        found[step.row].append(step.token)
    return found


class NoEnd(Budget):
    """A budget that keeps the tiny models from ending, as the runs did that are compared with."""

    def banned(self) -> list[int]:
        return [1]


A, END = byte_tokenizer().encode("ab", add_special_tokens=False).ids
EMPTY = torch.zeros(1, 1)


class Counting:
    """A runner whose sequences want an A for ever; notes how many run in each step."""

    is_whole = True
    held_bytes = 0.0

    def __init__(self) -> None:
        self.running: list[Any] = []
        self.sizes: list[int] = []

    def prefill(self, sequences: Sequence[Any]) -> torch.Tensor:
        self.running += sequences
        return self._scores(len(sequences))

    def step(self) -> torch.Tensor:
        return self._scores(len(self.running))

    def drop(self, sequences: Any) -> None:
        self.running = [each for each in self.running if each not in sequences]

    def _scores(self, rows: int) -> torch.Tensor:
        self.sizes.append(rows)
        return torch.nn.functional.one_hot(torch.full((rows,), A), 300).float()


class Watched(SlotRunner):
    """Notes the scores of each step, row by row."""

    def __init__(self, model: Any, window: int | None = None) -> None:
        super().__init__(model, window)
        self.scores: dict[Any, list[Tensor]] = {}

    def prefill(self, sequences: Sequence[Any]) -> Tensor:
        return self._noted(super().prefill(sequences), sequences)

    def step(self) -> Tensor:
        return self._noted(super().step(), [row.sequence for row in self._rows])

    def _noted(self, logits: Tensor, sequences: Sequence[Any]) -> Tensor:
        for row, each in zip(logits, sequences, strict=True):
            self.scores.setdefault(each, []).append(row.clone())
        return logits


def read(
    model: Any,
    pages: Sequence[Any],
    plan: Sequence[tuple[int, int]],
    window: int | None = None,
    budget: Callable[[int], TokenRule] = Budget,
) -> list[tuple[list[int], Tensor]]:
    """Tokens and scores of the pages, each of which joins at a step and takes so many tokens."""
    runner = Watched(model, window)
    batch = RunningBatch(runner)
    sequences = [sequence(one.first_pass, [budget(count)]) for one, (_, count) in zip(pages, plan, strict=True)]
    for step in range(3 * max(count for _, count in plan)):
        for each, (start, _) in zip(sequences, plan, strict=True):
            if start == step:
                batch.join([each])
        batch.step()
    assert batch.is_empty
    return [(each.tokens, torch.stack(runner.scores[each])) for each in sequences]


def apart(ours: Tensor, theirs: Tensor) -> float:
    """The largest difference, as a part of the largest score."""
    return float((ours - theirs).abs().max() / theirs.abs().max())

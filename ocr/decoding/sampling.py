"""The next token out of a model's scores: greedily, or drawn. Knows no model and no sequence."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ocr.types import Sampling


class Sampler:
    """Chooses the tokens of one sequence, the same ones for the same seed.

    The order is the one that transformers has: repetition penalty, temperature, nucleus. Where nothing of it was asked
    for, the likeliest token is taken.
    """

    def __init__(self, sampling: Sampling, seed: int, prompt_ids: Iterable[int] = ()) -> None:
        self._sampling, self._seed = sampling, seed
        self._prompt_ids = list(prompt_ids)
        self._seen: Tensor | None = None  # (vocabulary,), whether a token was in the prompt or was chosen
        self._generator: torch.Generator | None = None

    def choose(self, logits: Tensor) -> Tensor:
        """The id () of the next token, of scores (vocabulary,) in which banned tokens are at -inf."""
        if self._sampling.repetition_penalty != 1:
            logits = self._penalised(logits)
        if not self._sampling.temperature:
            return self._noted(logits.argmax(dim=-1))
        if self._generator is None:
            self._generator = torch.Generator(logits.device).manual_seed(self._seed)
        likelihoods = nucleus((logits / self._sampling.temperature).softmax(dim=-1), self._sampling.top_p)
        return self._noted(torch.multinomial(likelihoods, 1, generator=self._generator)[0])

    def _penalised(self, logits: Tensor) -> Tensor:
        """Scores of tokens that were there before are made smaller, whichever their sign (arXiv 1909.05858, 4.1)."""
        if self._seen is None:
            self._seen = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
            self._seen[self._prompt_ids] = True
        penalty = self._sampling.repetition_penalty
        return torch.where(self._seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)

    def _noted(self, token: Tensor) -> Tensor:
        if self._seen is not None:
            self._seen[token] = True
        return token


def nucleus(likelihoods: Tensor, top_p: float) -> Tensor:
    """The likeliest tokens (vocabulary,) that make up `top_p` together, the others at 0 (arXiv 1904.09751, 3.1)."""
    if top_p >= 1:
        return likelihoods
    ordered, indices = likelihoods.sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered  # what the likelier ones make up
    kept = ordered.masked_fill(before >= top_p, 0.0)
    return torch.zeros_like(likelihoods).scatter(0, indices, kept)

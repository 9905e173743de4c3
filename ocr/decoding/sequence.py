"""One text in the making: what it begins with, what rules it, what came of it so far. Knows no forward pass."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ocr.decoding.rules import Clock, TokenRule
from ocr.decoding.sampling import Sampler
from ocr.decoding.text import TextStream
from ocr.types import FinishReason


@dataclass(frozen=True)
class DeepStack:
    """Features of the image that are added to what comes out of the first layers, as in Qwen3-VL."""

    at: Tensor  # (tokens,), where the image's tokens are
    features: tuple[Tensor, ...]  # for each of those layers (image tokens, hidden)


@dataclass(frozen=True)
class FirstPass:
    """What a model's first pass over a prompt takes."""

    embeds: Tensor  # (tokens, hidden), the image's features in their places
    positions: Tensor  # (axes, tokens): one axis, or three and four where a model places an image's tokens in a plane
    deepstack: DeepStack | None = None


def in_order(embeds: Tensor) -> FirstPass:
    """The first pass of a model whose positions count the tokens."""
    return FirstPass(embeds, torch.arange(len(embeds), device=embeds.device)[None])


@dataclass(eq=False)
class Sequence:
    """One sequence on its way through a running batch."""

    first_pass: FirstPass
    rules: list[TokenRule]  # of which at least one must end it; where several do with one token, the first is told
    sampler: Sampler
    text: TextStream
    clock: Clock = field(default_factory=Clock)
    stop: Callable[[], FinishReason | None] = lambda: None  # asked before every token; a reason ends it there
    tokens: list[int] = field(default_factory=list)  # chosen so far, the end-of-text token counted
    finish: FinishReason | None = None  # why it is over; None while it is not

    def banned(self) -> list[int]:
        """The ids that may not be chosen next."""
        return [token for rule in self.rules for token in rule.banned()]

    def accept(self, token: int) -> str:
        """Take in the token that was chosen, and give the text that it makes final; the end of text shows nothing."""
        self.tokens.append(token)
        reasons = [rule.accept(token) for rule in self.rules]  # every rule takes note, whichever ends it
        self.finish = next((reason for reason in reasons if reason is not None), None)
        text = "" if self.finish is FinishReason.STOP else self.text.feed(token)
        return text if self.finish is None else text + self.text.close()

    def end(self, reason: FinishReason) -> str:
        """End it where it is, and give the text that was held back."""
        self.finish = reason
        return self.text.close()

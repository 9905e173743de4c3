"""What a class's own generate() makes of pages, and whether a running batch gives each of them the same."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ocr.decoding.rules import Budget, TokenRule
from ocr.decoding.sequence import FirstPass
from ocr.engines.native import NativeEngine
from tests.sequences import apart, read


class Reference(NamedTuple):
    """A page as our engine begins with it, and what generate() makes of it alone."""

    first_pass: FirstPass
    tokens: list[int]
    logits: Tensor  # (steps, vocabulary)


def generated(model: Any, ids: Tensor, tokens: int, **inputs: Any) -> tuple[list[int], Tensor]:
    """So many greedy tokens after a prompt (1, tokens), and their scores (steps, vocabulary)."""
    with torch.inference_mode():
        theirs = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=tokens,
            pad_token_id=2,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            **inputs,
        )
    return theirs.sequences[0, ids.shape[1] :].tolist(), torch.cat(theirs.logits)


def reference(engine: NativeEngine[Any], model: Any, ready: Any, tokens: int, **inputs: Any) -> Reference:
    """A page that is ready to run, with what the class makes of the pixels and whatever else it is given."""
    found = generated(model, torch.tensor([ready.ids]), tokens, **inputs)
    return Reference(engine.network.first_pass(ready), *found)


def check_together(
    model: Any,
    references: Sequence[Reference],
    plan: Sequence[tuple[int, int]],
    window: int | None = None,
    budget: Callable[[int], TokenRule] = Budget,
) -> None:
    """Pages that each join at a step and take so many tokens get the tokens and the scores that they get alone."""
    together = read(model, references, plan, window, budget)
    for (tokens, scores), one, (_, count) in zip(together, references, plan, strict=True):
        assert tokens == one.tokens[:count]
        assert apart(scores, one.logits[:count]) < 2e-5


def check_alone(
    model: Any,
    references: Sequence[Reference],
    window: int | None = None,
    budget: Callable[[int], TokenRule] = Budget,
) -> None:
    """Each page by itself is what its class makes of it."""
    for one in references:
        ((tokens, scores),) = read(model, [one], [(0, len(one.tokens))], window, budget)
        assert tokens == one.tokens
        assert apart(scores, one.logits) < 1e-5


def are_varied(references: Sequence[Reference], most_alike: int = 6) -> bool:
    """Whether more than so many tokens occur, so that equal ones say something."""
    return len({token for one in references for token in one.tokens}) > most_alike

"""The decode loop and its cache on the tiny model, and the release of text."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import DynamicCache

from ocr.decoding.loop import GrowingLayer, Step, TextStream, decode, pad_left, read_text, sampler
from ocr.decoding.rules import Budget, Cancellation, Deadline, EndOfText, SharedClock, TokenRule
from ocr.models.deepseek.engine import DeepSeekOCR
from ocr.types import FinishReason


class NoEnd(Budget):
    """A budget that also keeps the model from ending, as the golden runs did."""

    def banned(self) -> list[int]:
        return [1]


@pytest.fixture(scope="module")
def prompts(engine: DeepSeekOCR) -> list[torch.Tensor]:
    """Three prompts of different lengths as embeddings."""
    random = torch.Generator().manual_seed(0)
    ids = [torch.randint(3, 250, (length,), generator=random) for length in (5, 23, 11)]
    return [engine.merge(row.tolist(), torch.zeros(0, 80)) for row in ids]


def tokens(steps: Iterator[Step], rows: int = 1) -> list[list[int]]:
    found: list[list[int]] = [[] for _ in range(rows)]
    for step in steps:
        found[step.row].append(step.token)
    return found


def test_a_batch_gives_each_prompt_the_tokens_it_gets_alone(engine: DeepSeekOCR, prompts: list[torch.Tensor]) -> None:
    lengths = (40, 12, 27)  # rows leave the batch one after the other
    together = tokens(decode(engine.model, prompts, [[NoEnd(length)] for length in lengths]), rows=3)
    alone = [
        tokens(decode(engine.model, [prompt], [[NoEnd(length)]]))[0]
        for prompt, length in zip(prompts, lengths, strict=True)
    ]
    assert together == alone
    assert tuple(map(len, together)) == lengths


def test_the_growing_cache_gives_the_logits_of_transformers_own(
    engine: DeepSeekOCR, prompts: list[torch.Tensor]
) -> None:
    own = tokens(decode(engine.model, prompts[:1], [[NoEnd(300)]]))[0]
    cache, ids = DynamicCache(), []
    embeds = prompts[0][None]
    with torch.inference_mode():
        for _ in range(300):
            logits = engine.model(inputs_embeds=embeds, past_key_values=cache, logits_to_keep=1).logits[0, -1]
            logits[1] = -torch.inf
            ids.append(int(logits.argmax()))
            embeds = engine.model.get_input_embeddings()(torch.tensor([ids[-1:]]))
    assert own == ids


def test_the_growing_cache_holds_what_was_put_in() -> None:
    layer, reference = GrowingLayer(), []
    random = torch.Generator().manual_seed(1)
    for length in (3, 1, 400, 1, 1):
        new = torch.randn(2, 4, length, 8, generator=random)
        reference.append(new)
        keys, values = layer.update(new, -new)
        whole = torch.cat(reference, dim=-2)
        assert torch.equal(keys, whole)
        assert torch.equal(values, -whole)
        assert layer.get_seq_length() == whole.shape[-2]


def test_a_step_copies_nothing_while_there_is_room() -> None:
    layer = GrowingLayer()
    keys, _ = layer.update(torch.zeros(1, 1, 10, 4), torch.zeros(1, 1, 10, 4))
    place = keys.data_ptr()
    for _ in range(200):
        keys, _ = layer.update(torch.ones(1, 1, 1, 4), torch.ones(1, 1, 1, 4))
        assert keys.data_ptr() == place


class Never:
    """A rule that ends and bans nothing, and counts what it sees."""

    def __init__(self) -> None:
        self.seen = 0

    def banned(self) -> tuple[int, ...]:
        return ()

    def accept(self, _token: int) -> None:
        self.seen += 1


@pytest.mark.parametrize(
    ("rule", "reason", "count"),
    [
        (Budget(4), FinishReason.LENGTH, 4),
        (Deadline(3.0, clock=itertools.count(1.0).__next__), FinishReason.DEADLINE, 3),
        (Cancellation(iter([False, True]).__next__), FinishReason.CANCELLED, 2),
        (EndOfText(range(300)), FinishReason.STOP, 1),
    ],
    ids=["budget", "deadline", "cancellation", "end of text"],
)
def test_each_rule_ends_a_sequence_with_its_reason(
    engine: DeepSeekOCR, prompts: list[torch.Tensor], rule: TokenRule, reason: FinishReason, count: int
) -> None:
    watcher = Never()
    steps = list(decode(engine.model, prompts[:1], [[rule, watcher]]))
    assert [step.finish for step in steps] == [None] * (count - 1) + [reason]
    assert watcher.seen == count


def test_the_first_of_two_rules_gives_the_reason(engine: DeepSeekOCR, prompts: list[torch.Tensor]) -> None:
    (step,) = decode(engine.model, prompts[:1], [[EndOfText(range(300)), Budget(1)]])
    assert step.finish is FinishReason.STOP


def test_closing_the_loop_stops_the_model_at_once(engine: DeepSeekOCR, prompts: list[torch.Tensor]) -> None:
    calls = 0

    def counted(*_args: Any) -> None:
        nonlocal calls
        calls += 1

    handle = engine.model.register_forward_pre_hook(counted)
    steps = decode(engine.model, prompts[:1], [[NoEnd(100)]])
    next(steps)
    next(steps)
    steps.close()
    handle.remove()
    assert calls == 2


def test_the_callers_code_runs_outside_of_inference_mode(engine: DeepSeekOCR, prompts: list[torch.Tensor]) -> None:
    for _ in decode(engine.model, prompts[:1], [[NoEnd(2)]]):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_banned_tokens_are_never_chosen(engine: DeepSeekOCR, prompts: list[torch.Tensor]) -> None:
    class OnlySeven(Budget):
        def banned(self) -> list[int]:
            return [token for token in range(300) if token != 7]

    assert tokens(decode(engine.model, prompts[:1], [[OnlySeven(5)]])) == [[7] * 5]


def test_a_temperature_draws_the_same_for_the_same_seed(engine: DeepSeekOCR, prompts: list[torch.Tensor]) -> None:
    def run(seed: int) -> list[int]:
        return tokens(decode(engine.model, prompts[:1], [[NoEnd(20)]], [sampler(1.5, seed)]))[0]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert run(1) != tokens(decode(engine.model, prompts[:1], [[NoEnd(20)]], [sampler(0, 1)]))[0]


def test_prompts_are_padded_on_the_left() -> None:
    embeds, mask = pad_left([torch.ones(1, 2), torch.ones(3, 2)])
    assert mask.tolist() == [[0, 0, 1], [1, 1, 1]]
    assert embeds[:, :, 0].tolist() == [[0, 0, 1], [1, 1, 1]]


def utf8(ids: Sequence[int]) -> str:
    return bytes(ids).decode("utf-8", errors="replace")


@given(st.text(max_size=40))
def test_text_comes_out_in_whole_characters(text: str) -> None:
    stream = TextStream(utf8)
    pieces = [stream.feed(byte) for byte in text.encode()]
    assert "".join(pieces) + stream.close() == text
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces) or "\N{REPLACEMENT CHARACTER}" in text
    assert all(len(piece) <= 1 or "\N{REPLACEMENT CHARACTER}" in text for piece in pieces)


def test_half_a_character_is_shown_at_the_end_rather_than_lost() -> None:
    stream = TextStream(utf8)
    assert [stream.feed(byte) for byte in b"a\xc3"] == ["a", ""]
    assert stream.close() == "\N{REPLACEMENT CHARACTER}"
    assert stream.close() == ""


def test_the_end_token_is_counted_and_not_shown() -> None:
    steps = [Step(0, 97, None), Step(1, 98, None), Step(0, 1, FinishReason.STOP), Step(1, 99, FinishReason.LENGTH)]
    pieces = list(read_text(iter(steps), utf8, SharedClock(2)))
    assert [(piece.page, piece.text, piece.tokens, piece.finish) for piece in pieces] == [
        (0, "a", 1, None),
        (1, "b", 1, None),
        (0, "", 2, FinishReason.STOP),
        (1, "c", 2, FinishReason.LENGTH),
    ]

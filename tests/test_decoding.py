"""The decode loop, its runner, cache and sampling on the tiny model, and the release of text."""

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models
from torch import Tensor
from transformers import (
    DynamicCache,
    LlamaConfig,
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from ocr.decoding.cache import SlotCache, rounded, rounded_rows, row_bytes
from ocr.decoding.loop import RunningBatch
from ocr.decoding.rules import Budget, Clock, Deadline, EndOfText, TokenRule
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sampling import Sampler, nucleus
from ocr.decoding.text import MOST_HELD, TextStream
from ocr.engines.native import NativeEngine
from ocr.errors import ModelError
from ocr.types import FinishReason, Sampling
from tests.checkpoints import byte_tokenizer
from tests.sequences import EMPTY, END, A, Counting, NoEnd, decode, sequence, tokens


@pytest.fixture(scope="module")
def model(engine: NativeEngine[Any]) -> Any:
    return engine.network.model


@pytest.fixture(scope="module")
def prompts(engine: NativeEngine[Any]) -> list[torch.Tensor]:
    """Three prompts of different lengths as embeddings."""
    random = torch.Generator().manual_seed(0)
    ids = [torch.randint(3, 250, (length,), generator=random) for length in (5, 23, 11)]
    return [engine.network.merge(row.tolist(), torch.zeros(0, 80), 299) for row in ids]


# --- The loop ---------------------------------------------------------------------------------------------------


def test_a_batch_gives_each_prompt_the_tokens_it_gets_alone(model: Any, prompts: list[torch.Tensor]) -> None:
    lengths = (40, 12, 27)  # rows leave the batch one after the other
    together = tokens(decode(model, prompts, [[NoEnd(length)] for length in lengths]), rows=3)
    alone = [
        tokens(decode(model, [prompt], [[NoEnd(length)]]))[0] for prompt, length in zip(prompts, lengths, strict=True)
    ]
    assert together == alone
    assert tuple(map(len, together)) == lengths


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
        (Deadline(0.0, Clock()), FinishReason.DEADLINE, 1),
        (EndOfText(range(300)), FinishReason.STOP, 1),
    ],
    ids=["budget", "deadline", "end of text"],
)
def test_each_rule_ends_a_sequence_with_its_reason(
    model: Any, prompts: list[torch.Tensor], rule: TokenRule, reason: FinishReason, count: int
) -> None:
    watcher = Never()
    steps = list(decode(model, prompts[:1], [[rule, watcher]]))
    assert [step.finish for step in steps] == [None] * (count - 1) + [reason]
    assert watcher.seen == count


def test_the_first_of_two_rules_gives_the_reason(model: Any, prompts: list[torch.Tensor]) -> None:
    (step,) = decode(model, prompts[:1], [[EndOfText(range(300)), Budget(1)]])
    assert step.finish is FinishReason.STOP


def test_the_callers_code_runs_outside_of_inference_mode(model: Any, prompts: list[torch.Tensor]) -> None:
    for _ in decode(model, prompts[:1], [[NoEnd(2)]]):
        assert not torch.is_inference_mode_enabled()
        assert torch.is_grad_enabled()


def test_banned_tokens_are_never_chosen(model: Any, prompts: list[torch.Tensor]) -> None:
    class OnlySeven(Budget):
        def banned(self) -> list[int]:
            return [token for token in range(300) if token != 7]

    assert tokens(decode(model, prompts[:1], [[OnlySeven(5)]])) == [[7] * 5]


def test_those_that_join_pay_for_their_first_pass_and_those_that_run_divide_a_step() -> None:
    moment = 100.0

    class Slow(Counting):
        def prefill(self, sequences: Sequence[Any]) -> torch.Tensor:
            nonlocal moment
            moment += 4
            return super().prefill(sequences)

        def step(self) -> torch.Tensor:
            nonlocal moment
            moment += 6
            return super().step()

    batch = RunningBatch(Slow(), clock=lambda: moment)
    first, second, third = (sequence(EMPTY, [Budget(count)]) for count in (4, 3, 2))
    assert [output.seconds for output in batch.join([first, second])] == [2, 2]
    moment += 50  # nobody asks for a step
    assert [output.seconds for output in batch.step()] == [5, 5]
    assert [output.seconds for output in batch.join([third])] == [4]
    outputs = batch.step()
    assert [output.seconds for output in outputs] == [7, 7, 6]
    assert [output.finish for output in outputs] == [None, FinishReason.LENGTH, FinishReason.LENGTH]
    (last,) = batch.step()
    assert (last.seconds, last.finish, batch.is_empty) == (13, FinishReason.LENGTH, True)


def test_a_sequence_that_its_caller_stops_leaves_with_its_text_before_the_next_token() -> None:
    runner, wanted = Counting(), iter([None, FinishReason.CANCELLED])
    batch = RunningBatch(runner)
    stopped = sequence(EMPTY, [Budget(9)], stop=lambda: next(wanted))
    other = sequence(EMPTY, [Budget(9)])
    outputs = [batch.join([stopped, other]), batch.step(), batch.step()]
    assert [(output.text, output.tokens, output.finish) for output in outputs[2]] == [
        ("", 2, FinishReason.CANCELLED),
        ("a", 3, None),
    ]
    assert (runner.running, runner.sizes) == ([other], [2, 2, 1])


# --- Joining and leaving ----------------------------------------------------------------------------------------


def ragged(
    model: Any, prompts: Sequence[Any], plan: Sequence[tuple[int, int, int]], **sampling: Any
) -> list[list[int]]:
    """The tokens of sequences that each join a running batch at a step of their own: (step, prompt, tokens)."""
    batch = RunningBatch(SlotRunner(model))
    sequences = [sequence(prompts[prompt], [NoEnd(count)], **sampling) for _, prompt, count in plan]
    for step in itertools.count():
        for (start, *_), each in zip(plan, sequences, strict=True):
            if start == step:
                batch.join([each])
        batch.step()
        if batch.is_empty and step >= max(start for start, *_ in plan):
            return [each.tokens for each in sequences]
    raise AssertionError


PLANS = {
    "a short prompt joins a long one": [(0, 1, 20), (5, 0, 20)],
    "a long prompt joins a short one": [(0, 0, 20), (3, 1, 20)],
    "one leaves as another comes": [(0, 0, 6), (0, 1, 30), (6, 2, 10)],
    "all leave and one comes later": [(0, 2, 4), (9, 1, 5)],
    "many come and go": [(0, 0, 3), (1, 1, 40), (2, 2, 8), (2, 0, 30), (9, 1, 4), (11, 2, 12), (12, 0, 1)],
    "the longest leaves first": [(0, 1, 5), (1, 0, 40), (2, 2, 40)],
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("sampling", [Sampling(), Sampling(temperature=1.5, top_p=0.9)], ids=["greedy", "sampled"])
def test_whoever_joins_and_leaves_gets_the_tokens_it_gets_alone(
    model: Any, prompts: list[torch.Tensor], plan: list[tuple[int, int, int]], sampling: Sampling
) -> None:
    alone = [
        tokens(decode(model, [prompts[prompt]], [[NoEnd(count)]], sampling=sampling))[0] for _, prompt, count in plan
    ]
    assert ragged(model, prompts, plan, sampling=sampling) == alone


def test_what_a_long_sequence_took_goes_with_it(model: Any, prompts: list[torch.Tensor]) -> None:
    runner = SlotRunner(model)
    batch = RunningBatch(runner)
    batch.join([sequence(prompts[1], [NoEnd(2)]), sequence(prompts[0], [NoEnd(9)])])
    batch.step()
    batch.step()
    assert runner._cache.layers[0].width == 5 + 2  # of 23 before
    while not batch.is_empty:
        batch.step()
    assert runner.held_bytes == 0


# --- The cache --------------------------------------------------------------------------------------------------


def test_the_cache_gives_the_logits_of_transformers_own(model: Any, prompts: list[torch.Tensor]) -> None:
    own = tokens(decode(model, prompts[:1], [[NoEnd(300)]]))[0]
    cache, ids = DynamicCache(), []
    embeds = prompts[0][None]
    with torch.inference_mode():
        for _ in range(300):
            logits = model(inputs_embeds=embeds, past_key_values=cache, logits_to_keep=1).logits[0, -1]
            logits[1] = -torch.inf
            ids.append(int(logits.argmax()))
            embeds = model.get_input_embeddings()(torch.tensor([ids[-1:]]))
    assert own == ids


LAYERS, HEADS, SIZE = 2, 4, 8
CONFIG = LlamaConfig(num_hidden_layers=LAYERS)


def prompt_cache(length: int, value: float) -> DynamicCache:
    """What a prompt of so many tokens leaves, in numbers that tell whose they are and where."""
    cache = DynamicCache(config=CONFIG)
    for layer in range(LAYERS):
        keys = value + torch.arange(float(length))[:, None].expand(1, HEADS, length, SIZE)
        cache.update(keys, -keys, layer)
    return cache


def step(cache: SlotCache, columns: list[int], value: float) -> list[tuple[Tensor, Tensor]]:
    """What each layer has of the rows once each has its next token, (rows, heads, columns, head size)."""
    cache.place(torch.tensor(columns), max(columns) + 1)
    new = torch.full((len(columns), HEADS, 1, SIZE), value)
    return [cache.update(new, -new, layer) for layer in range(LAYERS)]


def test_rows_begin_together_and_end_where_they_end() -> None:
    cache = SlotCache(CONFIG)
    cache.put(prompt_cache(2, 10.0))
    cache.put(prompt_cache(4, 20.0))
    cache.make_room(2, 5)
    for keys, values in step(cache, [2, 4], 7.0):
        assert keys[:, 1, :, 2].tolist() == [[10, 11, 7, 0, 0], [20, 21, 22, 23, 7]]
        assert torch.equal(values, -keys)


def test_rows_that_stay_keep_their_order_and_what_is_theirs() -> None:
    cache = SlotCache(CONFIG)
    for value in (10.0, 20.0, 30.0):
        cache.put(prompt_cache(3, value))
    cache.keep([0, 2])
    cache.put(prompt_cache(1, 40.0))
    cache.make_room(3, 4)
    for keys, _ in step(cache, [3, 3, 1], 7.0):
        assert keys[:, 0, :, 0].tolist() == [[10, 11, 12, 7], [30, 31, 32, 7], [40, 7, 32, 0]]


def test_a_step_copies_nothing_while_there_is_room() -> None:
    cache = SlotCache(CONFIG)
    cache.put(prompt_cache(10, 1.0))
    cache.make_room(1, 300)
    before = step(cache, [10], 7.0)[0][0].data_ptr()
    for length in range(11, 300):
        assert not cache.make_room(1, length + 1)
        assert step(cache, [length], 7.0)[0][0].data_ptr() == before


def test_rows_that_are_held_for_nobody_go_when_the_others_must_move() -> None:
    cache = SlotCache(CONFIG)
    for _ in range(3):
        cache.put(prompt_cache(3, 1.0))
    held = cache.held_bytes
    cache.keep([0])
    assert not cache.make_room(1, 4)
    assert cache.held_bytes == held
    assert cache.make_room(1, 1000)
    assert cache.held_bytes == 2 * LAYERS * HEADS * SIZE * 4 * rounded(1500)


@pytest.mark.parametrize(("prompt", "new"), [(1, 1), (100, 10), (300, 500), (900, 2100)])
def test_a_row_never_takes_more_than_is_claimed_for_it(prompt: int, new: int) -> None:
    cache = SlotCache(CONFIG)
    cache.put(prompt_cache(prompt, 1.0))
    for more in range(new + 1):
        cache.make_room(1, prompt + more)
        assert cache.held_bytes <= row_bytes(prompt_cache(1, 1.0), prompt, new)


def test_a_kind_of_layer_that_rows_cannot_share_is_refused() -> None:
    config = LlamaConfig(num_hidden_layers=2, sliding_window=8, layer_types=["sliding_attention"] * 2)
    with pytest.raises(ModelError, match="DynamicSlidingWindowLayer"):
        SlotCache(config)


def test_there_are_few_shapes_of_a_step() -> None:
    assert [rounded(columns) for columns in (1, 256, 257)] == [256, 256, 512]
    assert [rounded_rows(rows) for rows in (1, 2, 3, 5, 8, 9, 17)] == [1, 2, 4, 8, 8, 16, 24]


# --- Sampling ---------------------------------------------------------------------------------------------------


def test_a_temperature_draws_the_same_for_the_same_seed(model: Any, prompts: list[torch.Tensor]) -> None:
    def run(seed: int, temperature: float = 1.5) -> list[int]:
        drawn = decode(model, prompts[:1], [[NoEnd(20)]], sampling=Sampling(temperature), seed=seed)
        return tokens(drawn)[0]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert run(1) != run(1, 0)


@pytest.mark.parametrize(
    "sampling",
    [Sampling(0.7), Sampling(1.3, top_p=0.5), Sampling(0.2, 0.9, 1.1), Sampling(repetition_penalty=1.3)],
    ids=["temperature", "nucleus", "all", "penalty"],
)
def test_tokens_are_drawn_from_the_likelihoods_of_transformers_own_processors(sampling: Sampling) -> None:
    random = torch.Generator().manual_seed(3)
    prompt, sampler = [5, 9, 9, 40], Sampler(sampling, seed=11, prompt_ids=[5, 9, 9, 40])
    processors = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty)])
    if sampling.temperature:
        processors += [TemperatureLogitsWarper(sampling.temperature), TopPLogitsWarper(sampling.top_p)]
    theirs, seen = torch.Generator().manual_seed(11), list(prompt)
    for _ in range(50):
        logits = torch.randn(50, generator=random) * 2
        processed = processors(torch.tensor([seen]), logits[None].clone())[0]
        drawn = torch.multinomial(processed.softmax(dim=-1), 1, generator=theirs)[0]
        expected = drawn if sampling.temperature else processed.argmax()
        seen.append(int(sampler.choose(logits)))
        assert seen[-1] == int(expected)


def test_the_nucleus_keeps_the_token_that_crosses_its_bound() -> None:
    assert nucleus(torch.tensor([0.1, 0.5, 0.4]), 0.6).tolist() == pytest.approx([0, 0.5, 0.4])
    assert nucleus(torch.tensor([0.1, 0.5, 0.4]), 0.01).tolist() == pytest.approx([0, 0.5, 0])


# --- The release of text ----------------------------------------------------------------------------------------


def metaspace_tokenizer(decoder: Any) -> Tokenizer:
    """Words that begin with a mark for the blank before them, and a token for every byte."""
    words = ["▁the", "▁total", "▁is", "12", "▁", "caf", "<|ref|>"]
    names = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.decoder = decoder
    return tokenizer


LLAMA = decoders.Sequence(
    [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
)


def released(tokenizer: Tokenizer, ids: Sequence[int]) -> list[str]:
    stream = TextStream(tokenizer, skip_special_tokens=False)
    return [*map(stream.feed, ids), stream.close()]


@pytest.mark.parametrize("decoder", [decoders.Metaspace(), LLAMA], ids=["metaspace", "llama"])
def test_words_keep_the_blanks_between_them(decoder: Any) -> None:
    tokenizer = metaspace_tokenizer(decoder)
    ids = [tokenizer.token_to_id(name) for name in ("▁the", "▁total", "▁is", "12", "<|ref|>", "▁the", "▁", "▁the")]
    assert released(tokenizer, ids) == ["the", " total", " is", "12", "<|ref|>", " the", " ", " the", ""]


def test_characters_come_whole_however_they_are_split() -> None:
    tokenizer = metaspace_tokenizer(LLAMA)
    ids = [tokenizer.token_to_id(f"<0x{byte:02X}>") for byte in "é中😀".encode()]
    assert released(tokenizer, ids) == ["", "é", "", "", "中", "", "", "", "😀", ""]


@given(st.text(max_size=40))
def test_text_comes_out_in_whole_characters(text: str) -> None:
    tokenizer = byte_tokenizer()
    pieces = released(tokenizer, tokenizer.encode(text, add_special_tokens=False).ids)
    assert "".join(pieces) == text
    assert "\N{REPLACEMENT CHARACTER}" not in "".join(pieces) or "\N{REPLACEMENT CHARACTER}" in text


@given(st.lists(st.integers(0, 262), max_size=120))
def test_whatever_the_tokens_are_text_comes_out_and_nothing_raises(ids: list[int]) -> None:
    tokenizer = metaspace_tokenizer(LLAMA)
    pieces = released(tokenizer, ids)
    assert len(pieces) == len(ids) + 1
    words = [index for index in ids if index > 256 and tokenizer.id_to_token(index) != "▁"]
    assert sum(map(len, pieces)) >= len(words)  # no word vanishes; a blank may, at the start


def test_half_a_character_is_shown_at_the_end_rather_than_lost() -> None:
    tokenizer = byte_tokenizer()
    ids = tokenizer.encode("aé", add_special_tokens=False).ids[:-1]
    stream = TextStream(tokenizer, skip_special_tokens=False)
    assert [stream.feed(token) for token in ids] == ["a", ""]
    assert stream.close() == "\N{REPLACEMENT CHARACTER}"
    assert stream.close() == ""


def test_bytes_that_make_no_character_are_not_held_for_ever() -> None:
    tokenizer = byte_tokenizer()
    broken = tokenizer.encode("é", add_special_tokens=False).ids[:1]
    pieces = released(tokenizer, broken * (3 * MOST_HELD))
    assert max(map(len, pieces)) <= MOST_HELD
    assert "".join(pieces) == "\N{REPLACEMENT CHARACTER}" * 3 * MOST_HELD


def test_the_end_token_is_counted_and_not_shown() -> None:
    one = sequence(EMPTY, [EndOfText([END])])
    assert [(one.accept(A), one.finish), (one.accept(END), one.finish)] == [("a", None), ("", FinishReason.STOP)]
    assert one.tokens == [A, END]


def test_other_ends_show_what_was_held_back() -> None:
    one = sequence(EMPTY, [Budget(2)])
    half = byte_tokenizer().encode("é", add_special_tokens=False).ids[0]
    assert [one.accept(A), one.accept(half)] == ["a", "\N{REPLACEMENT CHARACTER}"]
    assert one.finish is FinishReason.LENGTH

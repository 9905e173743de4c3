"""What is timed of DeepSeek-OCR: each piece of work as the engine does it, as transformers does it by itself, and the
least that the machine takes for it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import pairwise
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from transformers import UnlimitedOcrForConditionalGeneration
from transformers.cache_utils import Cache, DynamicCache

from bench.compare.machine import Machine
from bench.gpu_check import speed
from bench.gpu_check.setup import Bench, Sizes
from bench.gpu_check.speed import Engine, Page
from ocr.decoding.cache import GROWTH
from ocr.decoding.loop import RunningBatch
from ocr.decoding.rules import Budget
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sequence import FirstPass, in_order
from ocr.engines.few_rows import FewRowsLinear
from ocr.engines.whole_view import WholeViewAttention
from ocr.models.deepseek.engine import DeepSeekNetwork
from ocr.types import Decoding, Piece
from tests.sequences import sequence

ROOM = GROWTH + 0.5  # times the keys and values of a row of the table: what must be free for it


@dataclass(frozen=True)
class Amounts:
    """How much is done."""

    sizes: Sizes  # of the model, of pages and of what measures the machine
    prompts: Sequence[int]  # tokens of a first pass
    contexts: Sequence[int]  # tokens before the ones that are timed
    batches: Sequence[int]
    steps: int  # of a turn; the first warms up
    preset: str  # of the whole page
    tokens: int  # of the whole page


@dataclass(frozen=True)
class Work:
    """A row of the table. Either side does it, and gives the seconds of each of its parts that are alike."""

    what: str
    ours: Callable[[], list[float]]
    theirs: Callable[[], list[float]]
    least: float  # seconds that the machine takes
    room: float = 0.0  # bytes that must be free


def prefill_name(tokens: int) -> str:
    """What the row of a first pass is called."""
    return f"prefill, {tokens:,} tokens"


def token_name(context: int, rows: int) -> str:
    """What the row of a token is called."""
    return f"token, context {context:,}, batch {rows}"


class Comparison:
    """One engine, and what is done with it."""

    def __init__(self, bench: Bench, amounts: Amounts, engine: Engine, machine: Machine) -> None:
        self.bench, self.amounts, self.engine, self.machine = bench, amounts, engine, machine
        self.model = engine.network.model
        self.view_operations = cache(partial(view_operations, self.model.config))

    def works(self) -> Iterator[Work]:
        """All rows, those that hold the most at the end."""
        yield from map(self.vision, self.amounts.sizes.presets)
        yield from map(self.prefill, self.amounts.prompts)
        yield self.whole_page()
        for context in self.amounts.contexts:
            yield from (self.token(context, rows) for rows in self.amounts.batches)

    def vision(self, preset: str) -> Work:
        """The features of a page's image."""
        page = speed.prepared(self.engine, self.bench, preset)
        inputs = speed.generate_inputs(self.engine, page)
        what = f"vision, {preset} ({page.ready.image_tokens} tokens, {len(page.ready.views.tiles)} tiles)"
        return Work(
            what,
            lambda: [self.bench.seconds(lambda: speed.see(self.engine, page))],
            lambda: [self.bench.seconds(lambda: speed.see_theirs(self.engine, inputs))],
            self.least_of_vision(page),
        )

    def prefill(self, tokens: int) -> Work:
        """The first pass over a prompt."""
        (prompt,) = self.prompts(rows=1, tokens=tokens)
        return Work(
            prefill_name(tokens),
            lambda: [self.bench.seconds(lambda: self.begin(SlotRunner(self.model), [prompt], 1))],
            lambda: [self.bench.seconds(lambda: self.generate(1, input_ids=prompt[None]))],
            self.least_of_prefill(tokens),
        )

    def token(self, context: int, rows: int) -> Work:
        """A token of each row."""
        kept = speed.step_bytes(self.engine, rows, context) - speed.step_bytes(self.engine, rows, 0)
        return Work(
            token_name(context, rows),
            lambda: self.own_steps(context, rows),
            lambda: self.their_steps(context, rows),
            self.least_of_step(context, rows),
            ROOM * kept,
        )

    def whole_page(self) -> Work:
        """From a decoded image to the last of so many tokens."""
        preset, tokens = self.amounts.preset, self.amounts.tokens
        page = speed.prepared(self.engine, self.bench, preset)
        length = len(page.ready.ids)
        steps = sum(self.least_of_step(length + step, 1) for step in range(1, tokens))
        return Work(
            f"whole page, {preset}, {tokens} tokens",
            lambda: [self.bench.seconds(lambda: self.read(page))],
            lambda: [self.bench.seconds(lambda: speed.first_text_theirs(self.engine, page, tokens))],
            self.least_of_vision(page) + self.least_of_prefill(length) + steps,
        )

    def read(self, page: Page) -> None:
        """Read the page by the engine's one way."""
        tokens = self.amounts.tokens
        *_, last = self.engine.read([page.given], Decoding(tokens, together=1))
        if not isinstance(last, Piece) or last.tokens != tokens:
            raise RuntimeError(f"the page was to end after {tokens} tokens; it ended with {last}")

    def prompts(self, rows: int, tokens: int) -> Tensor:
        """Ids (rows, tokens) of ordinary tokens."""
        return torch.randint(3, 256, (rows, tokens), generator=torch.Generator().manual_seed(rows))

    def begin(self, runner: SlotRunner, prompts: Sequence[Tensor], tokens: int) -> RunningBatch:
        """A batch of prompts after their first passes, one after the other as pages come."""
        batch = RunningBatch(runner)
        with torch.inference_mode():
            embeds = [self.model.get_input_embeddings()(prompt) for prompt in prompts]
        for row in embeds:
            batch.join([sequence(in_order(row), [Budget(tokens)])])
        return batch

    def generate(self, tokens: int, **inputs: Any) -> list[float]:
        """When each of so many greedy tokens came, by transformers' own loop."""
        inputs = {"attention_mask": torch.ones_like(inputs["input_ids"]), **inputs}
        return speed.generate(self.model, tokens, **inputs)

    def own_steps(self, context: int, rows: int) -> list[float]:
        """Seconds of each step of our loop but the first."""
        batch = self.begin(FilledRunner(self.model, context, rows), [*self.prompts(rows, 1)], self.amounts.steps + 1)
        return [self.bench.seconds(batch.step) for _ in range(self.amounts.steps)][1:]

    def their_steps(self, context: int, rows: int) -> list[float]:
        """Seconds between tokens of generate(), from the same place on."""
        cache = DynamicCache(config=self.model.config.text_config)
        fill(cache, self.model, rows, context)
        times = self.generate(self.amounts.steps, input_ids=self.prompts(rows, context + 1), past_key_values=cache)
        if cache.get_seq_length() != context + self.amounts.steps:
            raise RuntimeError(f"generate() did not go on from {context} tokens: it kept {cache.get_seq_length()}")
        return [after - before for before, after in pairwise(times)]

    def least_of_vision(self, page: Page) -> float:
        """The products, convolutions and attention of a page's views, and the encoders' weights once."""
        views = [page.whole, *(page.tiles if page.tiles is not None else ())]
        model = self.model.model
        weights = [*model.vision_tower.parameters(), *model.multi_modal_projector.parameters()]
        operations = sum(self.view_operations(view.shape[-1]) for view in views)
        return self.least(operations, sum(weight.nbytes for weight in weights))

    def least_of_prefill(self, tokens: int) -> float:
        """Each token's weights and attention to the ones before it, the last one's scores; all weights once."""
        attention = tokens * self.attention(tokens / 2)
        head = self.model.lm_head.weight.numel()
        operations = 2 * tokens * (self.active() - head) + 2 * head + attention
        return self.least(operations, speed.read_bytes(self.engine))

    def least_of_step(self, context: int, rows: int) -> float:
        """The weights of a token and its attention, for each row; see `speed.step_bytes` for what is read."""
        operations = rows * (2 * self.active() + self.attention(context))
        return self.least(operations, speed.step_bytes(self.engine, rows, context))

    def least(self, operations: float, read: float) -> float:
        """See `Machine.least`."""
        return self.machine.least(self.model.dtype, operations, read)

    def active(self) -> float:
        """The weights by which each token is multiplied."""
        always, some = speed.language_bytes(self.engine)
        text = self.model.config.text_config
        return (always + some * text.num_experts_per_tok / text.num_experts) / self.model.dtype.itemsize

    def attention(self, context: float) -> float:
        """The operations of a token's attention to so many, in all layers: scores and their sums of values."""
        text = self.model.config.text_config
        return 4 * context * text.hidden_size * text.num_hidden_layers


def view_operations(config: Any, side: int) -> int:
    """The operations of one view of so many px, counted on a model without weights, which computes nothing."""
    with torch.device("meta"):
        network = DeepSeekNetwork(UnlimitedOcrForConditionalGeneration(config))
        view = torch.zeros(1, 3, side, side)
    return speed.operations(lambda: network.image_features(view, None, 1))


class FilledRunner(SlotRunner):
    """A runner whose sequences begin with so many keys and values of chance, in place of a first pass.

    It has room for as many rows as will come from the first on: what others leave free when they move would be counted.
    """

    def __init__(self, model: Any, context: int, rows: int) -> None:
        super().__init__(model)
        self._model, self._context, self._most = model, context, rows

    @torch.inference_mode()
    def prefill(self, sequences: Any) -> Tensor:
        """See `Runner`; the scores are of chance."""
        scores = super().prefill(sequences)
        self._cache.make_room(self._most, self._context)
        for row in self._rows:
            row.prompt = row.position = self._context
        return scores

    def _first(self, _first: FirstPass) -> tuple[Cache, Tensor]:
        cache = DynamicCache(config=self._decoder.config)
        fill(cache, self._model, 1, self._context)
        return cache, torch.randn(1, self._model.config.text_config.vocab_size)


@torch.inference_mode()
def fill(cache: Cache, model: Any, rows: int, context: int) -> None:
    """Put keys and values of chance into all layers of a cache."""
    text = model.config.text_config
    heads, size = text.num_key_value_heads, text.hidden_size // text.num_attention_heads
    chance = torch.randn(rows, heads, context, size, dtype=model.dtype)
    for layer in range(text.num_hidden_layers):
        cache.update(chance, chance, layer)


@contextmanager
def as_transformers_computes(model: Any) -> Iterator[None]:
    """Within the block, vision encoders, linear layers and experts compute as their classes do by themselves."""
    layers = [each for each in model.model.vision_tower.sam_encoder.layers if isinstance(each.attn, WholeViewAttention)]
    ours, experts = [layer.attn for layer in layers], model.get_experts_implementation()
    for layer in layers:
        layer.attn = layer.attn.given
    model.set_experts_implementation(None)  # transformers' own choice
    try:
        with patch.object(FewRowsLinear, "forward", nn.Linear.forward):
            yield
    finally:
        model.set_experts_implementation(experts)
        for layer, attention in zip(layers, ours, strict=True):
            layer.attn = attention

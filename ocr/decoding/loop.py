"""The decode loop: merged embeddings in, token ids out one step at a time, with the reason each sequence ended, and its
cache. Knows any transformers causal language model; knows no images, prompts or layout."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from ocr.decoding.rules import SharedClock, TokenRule
from ocr.errors import ModelError
from ocr.types import FinishReason, Piece

Sampler = Callable[[Tensor], Tensor]  # logits (vocabulary,), banned ones at -inf, to an id ()


def greedy(logits: Tensor) -> Tensor:
    """The likeliest token."""
    return logits.argmax(dim=-1)


def sampler(temperature: float, seed: int) -> Sampler:
    """Greedy at temperature 0, else draws from softmax(logits / temperature), the same for the same seed."""
    if temperature == 0:
        return greedy
    generators: dict[torch.device, torch.Generator] = {}

    def draw(logits: Tensor) -> Tensor:
        device = logits.device
        generator = generators.setdefault(device, torch.Generator(device).manual_seed(seed))
        return torch.multinomial((logits / temperature).softmax(dim=-1), 1, generator=generator)[0]

    return draw


@dataclass(frozen=True)
class Step:
    """One token of one sequence, with the reason if it was the last."""

    row: int  # index into the sequences that `decode` was given
    token: int
    finish: FinishReason | None


def decode(
    model: Any,
    prompts: Sequence[Tensor],
    rules: Sequence[Sequence[TokenRule]],
    samplers: Sequence[Sampler] | None = None,
) -> Iterator[Step]:
    """Continue each prompt until one of its rules ends it, yielding every token as it is chosen.

    `model` is a causal language model of transformers; `prompts` are merged embeddings, each (tokens, hidden);
    `rules` has a list for each prompt, of which at least one must end it, `samplers` one for each; without them the
    likeliest tokens are chosen. The prompts are run together, left-padded, and a finished one leaves the batch; each
    gets the tokens that it would get alone. Where several rules end a
    sequence with one token, the first listed gives the reason. Closing the iterator stops the work and frees the cache.
    """
    cache = Cache(layers=[GrowingLayer() for _ in range(model.config.get_text_config().num_hidden_layers)])
    samplers = samplers or [greedy] * len(prompts)
    rows = list(range(len(prompts)))
    embeds, mask = pad_left(prompts)  # (rows, tokens, hidden), (rows, tokens)

    logits = _forward(model, embeds, mask, cache)
    while True:
        tokens = _choose(logits, [rules[row] for row in rows], [samplers[row] for row in rows])  # (rows,)
        steps = [_accept(row, token, rules[row]) for row, token in zip(rows, tokens.tolist(), strict=True)]
        yield from steps

        keep = [index for index, step in enumerate(steps) if step.finish is None]
        if not keep:
            return
        if len(keep) < len(rows):
            rows = [rows[index] for index in keep]
            kept = torch.tensor(keep, device=tokens.device)
            tokens, mask = tokens[kept], mask[kept]
            cache.batch_select_indices(kept)

        mask = torch.cat([mask, mask.new_ones(len(rows), 1)], dim=1)
        logits = _forward(model, _embed(model, tokens), mask, cache)


def _accept(row: int, token: int, rules: Sequence[TokenRule]) -> Step:
    reasons = [rule.accept(token) for rule in rules]  # every rule takes note, whichever ends it
    return Step(row, token, next((reason for reason in reasons if reason is not None), None))


def pad_left(prompts: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Prompts of (tokens, hidden) as one batch (rows, longest, hidden), and its mask (rows, longest), 1 where real."""
    longest = max(len(prompt) for prompt in prompts)
    embeds = prompts[0].new_zeros(len(prompts), longest, prompts[0].shape[-1])
    mask = torch.zeros(len(prompts), longest, dtype=torch.long, device=embeds.device)
    for row, prompt in enumerate(prompts):
        embeds[row, longest - len(prompt) :] = prompt
        mask[row, longest - len(prompt) :] = 1
    return embeds, mask


@torch.inference_mode()
def _forward(model: Any, embeds: Tensor, mask: Tensor, cache: Cache) -> Tensor:
    """The logits of each row's last position, (rows, vocabulary) in float32; the cache takes in the embeddings.

    Inference mode is entered for one step at a time: held across a `yield` it would leak into the caller's code.
    """
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -embeds.shape[1] :]
    out = model(
        inputs_embeds=embeds,
        # A mask without padding says nothing, and without one attention takes its fast causal path.
        attention_mask=None if bool(mask.all()) else mask,
        position_ids=positions,
        past_key_values=cache,
        use_cache=True,
        logits_to_keep=1,
    )
    logits: Tensor = out.logits[:, -1].float()
    return logits


@torch.inference_mode()
def _embed(model: Any, tokens: Tensor) -> Tensor:
    embeds: Tensor = model.get_input_embeddings()(tokens[:, None])  # (rows, 1, hidden)
    return embeds


@torch.inference_mode()
def _choose(logits: Tensor, rules: Sequence[Sequence[TokenRule]], samplers: Sequence[Sampler]) -> Tensor:
    for row, row_rules in enumerate(rules):
        banned = [token for rule in row_rules for token in rule.banned()]
        if banned:
            logits[row, banned] = -torch.inf
    return torch.stack([sample(row) for sample, row in zip(samplers, logits, strict=True)])


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, (rows, heads, tokens, head size), in buffers with room to grow.

    A step writes its token into the room left and hands out views, so that nothing is copied but at the rare growth;
    transformers' own dynamic layer copies everything at every step, and its static one has attention read its empty
    end each time.
    """

    GROWTH = 1.5

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        super().lazy_initialization(key_states, value_states)
        self._buffers = tuple(
            states.new_empty(*states.shape[:2], 0, states.shape[3]) for states in (key_states, value_states)
        )

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        if end > self._buffers[0].shape[-2]:
            self._grow(start, max(end + 256, int(end * self.GROWTH)))
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, start:end] = states
        self.keys, self.values = (buffer[:, :, :end] for buffer in self._buffers)
        return self.keys, self.values

    def batch_select_indices(self, indices: Tensor) -> None:
        self._buffers = tuple(buffer[indices] for buffer in self._buffers)
        length = self.get_seq_length()
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)

    def _grow(self, length: int, capacity: int) -> None:
        grown = []
        for buffer in self._buffers:
            larger = buffer.new_empty(*buffer.shape[:2], capacity, buffer.shape[3])
            larger[:, :, :length] = buffer[:, :, :length]
            grown.append(larger)
        self._buffers = tuple(grown)


@torch.inference_mode()
def merged_embeddings(model: Any, ids: Sequence[int], features: Tensor, image_token: int) -> Tensor:
    """The embeddings of these ids, (tokens, hidden), with the features (image tokens, hidden) at each image token.

    Raises ModelError unless there are as many features as image tokens: one too few would shift all that follow.
    """
    all_ids = torch.tensor(ids, device=model.device)
    embeds: Tensor = model.get_input_embeddings()(all_ids)
    is_image = all_ids == image_token
    if int(is_image.sum()) != len(features):
        raise ModelError(f"The image has {len(features)} features for {int(is_image.sum())} tokens in the prompt.")
    embeds[is_image] = features
    return embeds


class TextStream:
    """Ids to text, released only when it can no longer change: a token may end in the middle of a UTF-8 character."""

    INCOMPLETE = "\N{REPLACEMENT CHARACTER}"  # what decoders show for bytes that make no character (yet)

    def __init__(self, decode_ids: Callable[[Sequence[int]], str]) -> None:
        self._decode_ids = decode_ids
        self._held: list[int] = []

    def feed(self, token: int) -> str:
        """The text that this token makes certain; often empty."""
        self._held.append(token)
        text = self._decode_ids(self._held)
        if text.endswith(self.INCOMPLETE):
            return ""
        self._held.clear()
        return text

    def close(self) -> str:
        """The text held back, incomplete as it is."""
        text = self._decode_ids(self._held) if self._held else ""
        self._held.clear()
        return text


def read_text(steps: Iterator[Step], decode_ids: Callable[[Sequence[int]], str], clock: SharedClock) -> Iterator[Piece]:
    """The steps of `decode` as pieces of text; the end-of-text token is counted and not shown."""
    streams = [TextStream(decode_ids) for _ in range(clock.pages)]
    counts = [0] * clock.pages
    for step in steps:
        counts[step.row] += 1
        stream = streams[step.row]
        text = "" if step.finish is FinishReason.STOP else stream.feed(step.token)
        if step.finish is not None:
            text += stream.close()
        seconds = clock.spent(step.row) if step.finish is None else clock.leave(step.row)
        yield Piece(step.row, text, counts[step.row], step.finish, seconds)

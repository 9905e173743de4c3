"""The forward pass over the sequences of a running batch, with its cache and positions. Knows any causal language
model of transformers; knows no rules, no sampling, no text and no images."""

from collections.abc import Collection
from collections.abc import Sequence as Series
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from ocr.decoding import cache as caches
from ocr.decoding.sequence import Sequence


class Runner(Protocol):
    """Who computes the next scores of sequences that run together. How it lays them out in memory is its own matter."""

    can_join: bool  # whether sequences may be given a first pass while others are running
    is_whole: bool  # whether those that run are as they were, after a first pass of others failed

    @property
    def held_bytes(self) -> float:
        """What those that run take of memory."""
        ...

    def prefill(self, sequences: Series[Sequence]) -> Tensor:
        """Run these through their prompts; from then on they run along.

        Scores of their next tokens, (sequences, vocabulary) in float32.
        """
        ...

    def step(self) -> Tensor:
        """Run all that are running through their last tokens.

        Scores of their next tokens, (sequences, vocabulary) in float32, in the order in which they came.
        """
        ...

    def drop(self, sequences: Collection[Sequence]) -> None:
        """Let go of these; what they took is free."""
        ...


class PaddedRunner:
    """A `Runner` whose cache holds the sequences as rows that end together, the shorter ones padded on the left.

    One product serves all rows. A joiner's prompt runs by itself, and is then put beside the others; when a sequence
    leaves, the padding that no other needs goes with it.
    """

    def __init__(self, model: Any, window: int | None = None) -> None:
        """With a window, a token sees of those before it the prompt and the last so many, itself counted."""
        # Not the model itself: some classes take no features for later layers, or put their own positions in.
        self._decoder, self._head = model.get_decoder(), model.get_output_embeddings()
        self._embed, self._device = model.get_input_embeddings(), model.device
        self._window = window
        self._sequences: list[Sequence] = []
        self._cache = self._new_cache()
        self.can_join = caches.can_join(self._cache)
        self.is_whole = True

    @property
    def held_bytes(self) -> float:
        """See `Runner`."""
        return caches.held_bytes(self._cache)

    def _new_cache(self) -> Cache:
        return caches.new_cache(self._decoder.config, self._window)

    @torch.inference_mode()
    def prefill(self, sequences: Series[Sequence]) -> Tensor:
        """See `Runner`."""
        passes = [sequence.first_pass for sequence in sequences]
        embeds = pad_left([each.embeds for each in passes])  # (rows, tokens, hidden)
        mask = pad_left([torch.ones_like(each.positions[0]) for each in passes])  # (rows, tokens), 1 where real
        positions = pad_left([each.positions.T for each in passes]).movedim(-1, 0)  # (axes, rows, tokens)
        cache = self._new_cache()
        logits = self._forward(embeds, mask if _is_padded(mask) else None, positions, cache, **_deepstack(sequences))
        # The next position follows the largest on any axis: an image of h by w tokens takes max(h, w) positions.
        self._take_in(sequences, cache, mask, positions.amax(dim=(0, 2)) + 1)
        return logits

    def _take_in(self, sequences: Series[Sequence], cache: Cache, mask: Tensor, following: Tensor) -> None:
        if not self._sequences:
            self._cache, self._mask, self._next = cache, mask, following
        else:
            joined = caches.joined_mask(self._cache, cache, self._mask, mask)
            self.is_whole = False  # layers that have joined are not as they were
            caches.join(self._cache, cache)
            self._mask = joined
            self._next = torch.cat([self._next, following])
            self.is_whole = True
        self._sequences += sequences
        self._is_padded = _is_padded(self._mask)

    @torch.inference_mode()
    def step(self) -> Tensor:
        """See `Runner`."""
        tokens = torch.tensor([sequence.tokens[-1] for sequence in self._sequences], device=self._device)
        self._mask = caches.extended(self._cache, self._mask)
        axes = len(self._sequences[0].first_pass.positions)
        positions = self._next[None, :, None].expand(axes, -1, 1)
        self._next = self._next + 1
        return self._forward(
            self._embed(tokens[:, None]), self._mask if self._is_padded else None, positions, self._cache
        )

    @torch.inference_mode()
    def drop(self, sequences: Collection[Sequence]) -> None:
        """See `Runner`."""
        kept = [row for row, sequence in enumerate(self._sequences) if sequence not in sequences]
        self._sequences = [self._sequences[row] for row in kept]
        if not kept:
            self._cache = self._new_cache()
            return
        rows = torch.tensor(kept, device=self._device)
        mask = self._mask[rows]
        first = int(mask.amax(dim=0).argmax()) if self.can_join else 0  # the columns before it are padding in every row
        caches.select(self._cache, rows, first)
        self._mask, self._next = mask[:, first:], self._next[rows]
        self._is_padded = _is_padded(self._mask)

    def _forward(self, embeds: Tensor, mask: Tensor | None, positions: Tensor, cache: Cache, **extra: Any) -> Tensor:
        out = self._decoder(
            inputs_embeds=embeds,
            attention_mask=mask,
            position_ids=positions[0] if len(positions) == 1 else positions,
            past_key_values=cache,
            use_cache=True,
            **extra,
        )
        logits: Tensor = self._head(out.last_hidden_state[:, -1]).float()
        return logits

    @torch.inference_mode()
    def one_token(self) -> Cache:
        """A cache that holds one token of one sequence: what it takes tells what others take."""
        cache = self._new_cache()
        embeds = self._embed(torch.zeros(1, 1, dtype=torch.long, device=self._device))
        self._decoder(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
        return cache


def pad_left(rows: Series[Tensor]) -> Tensor:
    """Tensors (tokens, …) of different lengths as one, (rows, longest, …), with zeros on the left."""
    longest = max(map(len, rows))
    padded = rows[0].new_zeros(len(rows), longest, *rows[0].shape[1:])
    for place, row in zip(padded, rows, strict=True):
        place[longest - len(row) :] = row
    return padded


def _is_padded(mask: Tensor) -> bool:
    """A mask without padding says nothing, and without one attention takes its fast causal path."""
    return not bool(mask.all())


def _deepstack(sequences: Series[Sequence]) -> dict[str, Any]:
    """The features for later layers, as the decoders of transformers take them; nothing for a model without."""
    stacks = [sequence.first_pass.deepstack for sequence in sequences if sequence.first_pass.deepstack]
    if not stacks:
        return {}
    return {
        "visual_pos_masks": pad_left([stack.at for stack in stacks]),
        "deepstack_visual_embeds": [torch.cat(layer) for layer in zip(*(s.features for s in stacks), strict=True)],
    }

"""The forward pass over the sequences of a running batch, with its cache and positions. Knows any causal language
model of transformers; knows no rules, no sampling, no text and no images."""

from collections.abc import Collection, Iterator
from collections.abc import Sequence as Series
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache

from ocr.decoding.cache import SlotCache, rounded, rounded_rows
from ocr.decoding.recording import Record, Recordings
from ocr.decoding.sequence import FirstPass, Sequence


class Runner(Protocol):
    """Who computes the next scores of sequences that run together. How it lays them out in memory is its own matter."""

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


class State(NamedTuple):
    """What the next step of a row takes."""

    token: int
    position: int
    column: int  # where its keys and values go
    used: int  # columns that it then has


IDLE = State(0, 0, 0, 1)  # of a row that no sequence has


@dataclass
class Row:
    """A running sequence: how far it is."""

    sequence: Sequence
    prompt: int  # tokens
    position: int  # of its next token
    steps: int = 0  # taken since the prompt

    def state(self, window: int | None) -> State:
        """Its state before the next step.

        With a window, what follows the prompt goes round and round in as many columns: keys have their positions in
        them, so that the order of columns says nothing.
        """
        column, used = self.steps, self.steps + 1
        if window is not None:
            column, used = column % window, min(used, window)
        return State(self.sequence.tokens[-1], self.position, self.prompt + column, self.prompt + used)


class SlotRunner:
    """A `Runner` whose sequences each have a row of the cache, the first to come the first.

    A joiner's prompt runs by itself, then its keys and values are put beside the others'. From then on one product
    serves all rows. Shorter rows are masked where they end.
    """

    def __init__(self, model: Any, window: int | None = None, record: Record | None = None) -> None:
        """With a window, a token sees of those before it the prompt and the last so many, itself counted.

        With `record`, steps are recorded where the cache lets them be, in a few shapes: `ocr.decoding.recording`.
        """
        # Not the model itself: some classes take no features for later layers, or put their own positions in.
        self._decoder, self._head = model.get_decoder(), model.get_output_embeddings()
        self._embed, self._device = model.get_input_embeddings(), model.device
        self._window = window
        self._rows: list[Row] = []
        self._cache = self._new_cache()
        self._recordings = Recordings(record) if record and self._cache.is_of_slots else None
        self.is_whole = True

    @property
    def held_bytes(self) -> float:
        """See `Runner`."""
        return self._cache.held_bytes

    def _new_cache(self) -> SlotCache:
        return SlotCache(self._decoder.config)

    @torch.inference_mode()
    def prefill(self, sequences: Series[Sequence]) -> Tensor:
        """See `Runner`."""
        passes = [self._first(sequence.first_pass) for sequence in sequences]
        self.is_whole = False  # rows that are to grow may have moved in some layers alone
        for sequence, (cache, _) in zip(sequences, passes, strict=True):
            if self._cache.put(cache) and self._recordings is not None:
                self._recordings.forget()
            self._rows.append(Row(sequence, *_extent(sequence.first_pass.positions)))
        self.is_whole = True
        return torch.cat([logits for _, logits in passes])

    def _first(self, first: FirstPass) -> tuple[Cache, Tensor]:
        """What a prompt leaves in a cache of its own, and the scores (1, vocabulary) of what follows it."""
        cache = DynamicCache(config=self._decoder.config)
        return cache, self._forward(first.embeds[None], None, first.positions[:, None], cache, **_deepstack(first))

    @torch.inference_mode()
    def step(self) -> Tensor:
        """See `Runner`."""
        states = [row.state(self._window) for row in self._rows]
        for row in self._rows:
            row.steps, row.position = row.steps + 1, row.position + 1
        if self._recordings is not None:
            return self._recorded(self._recordings, states)
        used = [state.used for state in states]
        self._cache.make_room(len(states), max(used))
        return self._next(self._given(states), max(used), is_ragged=len(set(used)) > 1)

    def _recorded(self, recordings: Recordings, states: Series[State]) -> Tensor:
        """A step in one of a few shapes, so that most were recorded before."""
        rows, width = rounded_rows(len(states)), rounded(max(state.used for state in states))
        if self._cache.make_room(rows, width):
            recordings.forget()
        given = self._given([*states, *[IDLE] * (rows - len(states))])
        with _attention(self._decoder.config, "sdpa"):  # flash-attn looks at a mask before it computes
            logits = recordings.run((rows, width), given, lambda given: self._next(given, width, is_ragged=True))
        return logits[: len(states)]

    def _given(self, states: Series[State]) -> Tensor:
        """What the rows' states say as one tensor, (4, rows)."""
        return torch.tensor(states, device=self._device).T

    def _next(self, given: Tensor, width: int, *, is_ragged: bool) -> Tensor:
        """The scores of what follows the rows' last tokens, (rows, vocabulary)."""
        tokens, positions, columns, used = given
        self._cache.place(columns, width)
        axes = len(self._rows[0].sequence.first_pass.positions)
        mask = torch.arange(width, device=self._device) < used[:, None] if is_ragged else None
        if mask is not None and self._decoder.config._attn_implementation == "sdpa":
            mask = mask[:, None, None]  # as attention takes it, so that nothing is asked of what is in it
        embeds = self._embed(tokens[:, None])
        return self._forward(embeds, mask, positions[None, :, None].expand(axes, -1, 1), self._cache)

    @torch.inference_mode()
    def drop(self, sequences: Collection[Sequence]) -> None:
        """See `Runner`."""
        kept = [at for at, row in enumerate(self._rows) if row.sequence not in sequences]
        self._rows = [self._rows[at] for at in kept]
        if kept or self._recordings is not None:  # what was recorded knows where the rows lie
            self._cache.keep(kept)
        else:
            self._cache = self._new_cache()

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
        cache = DynamicCache(config=self._decoder.config)
        embeds = self._embed(torch.zeros(1, 1, dtype=torch.long, device=self._device))
        self._decoder(inputs_embeds=embeds, past_key_values=cache, use_cache=True)
        return cache


def _extent(positions: Tensor) -> tuple[int, int]:
    """How many tokens have these positions, (axes, tokens), and the position after them.

    It follows the largest on any axis: an image of h by w tokens takes max(h, w) positions.
    """
    return positions.shape[1], int(positions.max()) + 1


def _deepstack(first: FirstPass) -> dict[str, Any]:
    """The features for later layers, as the decoders of transformers take them; nothing for a model without."""
    stack = first.deepstack
    if stack is None:
        return {}
    return {"visual_pos_masks": stack.at[None], "deepstack_visual_embeds": list(stack.features)}


@contextmanager
def _attention(config: Any, how: str) -> Iterator[None]:
    before = config._attn_implementation
    config._attn_implementation = how
    try:
        yield
    finally:
        config._attn_implementation = before

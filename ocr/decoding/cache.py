"""What a model keeps of the tokens that it has seen, a layer at a time. Knows no model and no sequence."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, LinearAttentionLayer


def new_cache(config: Any) -> Cache:
    """An empty cache of the kinds of layer that a text config asks for, those of full attention as `GrowingLayer`."""
    layers = DynamicCache(config=config).layers
    return Cache(layers=[GrowingLayer() if type(layer) is DynamicLayer else layer for layer in layers])


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, (rows, heads, tokens, head size), in buffers with room to grow.

    A step writes its token into the space left and hands out views, so that nothing is copied but at the rare growth;
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
        return self._show(end)

    def select(self, rows: Tensor, first: int) -> None:
        """Keep these rows alone, and of their tokens those from `first` on."""
        length = self.get_seq_length() - first
        self._buffers = tuple(buffer[rows, :, first:] for buffer in self._buffers)
        self._show(length)

    def join(self, other: "GrowingLayer") -> None:
        """Take in the rows of another layer below one's own; the shorter ones are padded with zeros on the left."""
        lengths = self.get_seq_length(), other.get_seq_length()
        longest, joined = max(lengths), []
        for mine, theirs in zip(self._buffers, other._buffers, strict=True):
            rows, heads, _, size = mine.shape
            buffer = mine.new_zeros(rows + len(theirs), heads, max(longest + 256, mine.shape[-2]), size)
            buffer[:rows, :, longest - lengths[0] : longest] = mine[:, :, : lengths[0]]
            buffer[rows:, :, longest - lengths[1] : longest] = theirs[:, :, : lengths[1]]
            joined.append(buffer)
        self._buffers = tuple(joined)
        self._show(longest)

    @property
    def held_bytes(self) -> int:
        """What the buffers take, their empty ends included."""
        return sum(buffer.nbytes for buffer in self._buffers) if self.is_initialized else 0

    def _show(self, length: int) -> tuple[Tensor, Tensor]:
        self.keys, self.values = (buffer[:, :, :length] for buffer in self._buffers)
        return self.keys, self.values

    def _grow(self, length: int, capacity: int) -> None:
        grown = []
        for buffer in self._buffers:
            larger = buffer.new_empty(*buffer.shape[:2], capacity, buffer.shape[3])
            larger[:, :, :length] = buffer[:, :, :length]
            grown.append(larger)
        self._buffers = tuple(grown)


def can_join(cache: Cache) -> bool:
    """Whether rows of another such cache can be taken in: a layer with a window counts from its own first token."""
    return all(isinstance(layer, GrowingLayer | LinearAttentionLayer) for layer in cache.layers)


def join(cache: Cache, other: Cache) -> None:
    """Take in the rows of another cache of the same model, below one's own; see `can_join`."""
    for mine, theirs in zip(cache.layers, other.layers, strict=True):
        if isinstance(mine, GrowingLayer):
            mine.join(theirs)
        else:
            for kind in ("conv_states", "recurrent_states"):
                states, more = getattr(mine, kind), getattr(theirs, kind)
                states.update({at: torch.cat([states[at], more[at]]) for at in states if states[at] is not None})


def select(cache: Cache, rows: Tensor, first: int) -> None:
    """Keep these rows alone, and where the layers can tell tokens apart, those from `first` on; see `can_join`."""
    for layer in cache.layers:
        if isinstance(layer, GrowingLayer):
            layer.select(rows, first)
        else:
            layer.reorder_cache(rows)


def held_bytes(cache: Cache) -> float:
    """What a cache takes at present; layers that do not grow with the text are few enough to leave out."""
    return float(sum(layer.held_bytes for layer in cache.layers if isinstance(layer, GrowingLayer)))


def row_bytes(cache: Cache, tokens: int) -> float:
    """What a row of so many tokens takes at most, in bytes, judged by a cache of one row with one token."""
    return sum(_layer_bytes(layer, tokens) for layer in cache.layers)


def _layer_bytes(layer: Any, tokens: int) -> float:
    if isinstance(layer, LinearAttentionLayer):
        states = [*layer.conv_states.values(), *layer.recurrent_states.values()]
        return float(sum(state.nbytes for state in states if state is not None))
    token_bytes: float = layer.keys[:, :, :1].nbytes + layer.values[:, :, :1].nbytes
    if isinstance(layer, GrowingLayer):
        return token_bytes * tokens * layer.GROWTH
    return token_bytes * min(tokens, getattr(layer, "sliding_window", tokens))

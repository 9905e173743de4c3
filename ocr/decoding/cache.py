"""What a model keeps of the tokens that it has seen, a layer at a time. Knows no model and no sequence."""

from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, LinearAttentionLayer


def new_cache(config: Any, window: int | None = None) -> Cache:
    """An empty cache of the kinds of layer that a text config asks for, those of full attention as `GrowingLayer`.

    With a window, those forget all but a prompt and its last so many tokens: `WindowLayer`.
    """
    layers = DynamicCache(config=config).layers
    return Cache(layers=[_growing(window) if type(layer) is DynamicLayer else layer for layer in layers])


def _growing(window: int | None) -> "GrowingLayer":
    return GrowingLayer() if window is None else WindowLayer(window)


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
        """Take in the rows of another layer below one's own; the columns that one lacks are zeros."""
        lengths = self.get_seq_length(), other.get_seq_length()
        first, their_first, width = self.side_by_side(other)
        joined = []
        for mine, theirs in zip(self._buffers, other._buffers, strict=True):
            rows, heads, _, size = mine.shape
            buffer = mine.new_zeros(rows + len(theirs), heads, max(width + 256, mine.shape[-2]), size)
            buffer[:rows, :, first : first + lengths[0]] = mine[:, :, : lengths[0]]
            buffer[rows:, :, their_first : their_first + lengths[1]] = theirs[:, :, : lengths[1]]
            joined.append(buffer)
        self._buffers = tuple(joined)
        self._show(width)

    def side_by_side(self, other: "GrowingLayer") -> tuple[int, int, int]:
        """Where the columns of either layer begin once they are joined, and how many there are: they end together."""
        mine, theirs = self.get_seq_length(), other.get_seq_length()
        width = max(mine, theirs)
        return width - mine, width - theirs, width

    @property
    def next_column(self) -> int:
        """Where the next token goes."""
        return int(self.get_seq_length())

    def most_tokens(self, prompt: int, new: int) -> int:
        """How many tokens of a row are held at most."""
        return prompt + new

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


class WindowLayer(GrowingLayer):
    """A layer that keeps prompts whole and of what follows the last `window` tokens: Unlimited-OCR's.

    What follows goes round and round in as many columns, the same for all rows: keys have their positions in them, so
    that the order of columns says nothing. A row that joins has nothing in the columns of the tokens before it, which
    its mask must say, and has filled them all by the time its own first token is overwritten.
    """

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window
        self._prompt = 0  # columns of prompts
        self._steps = 0  # tokens that each row took since the first prompt

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self._prompt = key_states.shape[-2]
            return super().update(key_states, value_states)
        column, self._steps = self.next_column, self._steps + 1
        if column == self.get_seq_length():
            return super().update(key_states, value_states)
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[:, :, column : column + 1] = states
        return self.keys, self.values

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """How many columns the next step sees, and where they begin."""
        length = self.get_seq_length() + query_length
        return min(length, self._prompt + self.window) if self.is_initialized else length, 0

    def select(self, rows: Tensor, first: int) -> None:
        super().select(rows, first)
        self._prompt -= first

    def join(self, other: GrowingLayer) -> None:
        """As in `GrowingLayer`; the other has seen prompts alone."""
        first = self.side_by_side(other)[0]
        super().join(other)
        self._prompt += first

    def side_by_side(self, other: GrowingLayer) -> tuple[int, int, int]:
        """As in `GrowingLayer`, but the prompts end together."""
        theirs = other.get_seq_length()
        longest = max(self._prompt, theirs)
        return longest - self._prompt, longest - theirs, longest - self._prompt + self.get_seq_length()

    @property
    def next_column(self) -> int:
        return self._prompt + self._steps % self.window

    def most_tokens(self, prompt: int, new: int) -> int:
        return prompt + min(new, self.window)


def extended(cache: Cache, mask: Tensor) -> Tensor:
    """The mask (rows, columns), 1 where a row has a token, once each row has its next one."""
    layer = _telling(cache)
    if layer is None or layer.next_column == mask.shape[1]:
        return torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
    mask[:, layer.next_column] = 1
    return mask


def joined_mask(cache: Cache, other: Cache, mask: Tensor, theirs: Tensor) -> Tensor:
    """The mask of two caches that are about to be joined."""
    mine, more = _telling(cache), _telling(other)
    if mine is None or more is None:
        raise TypeError("no layer of these caches tells where tokens are, so they cannot be joined")
    first, their_first, width = mine.side_by_side(more)
    return torch.cat([_at(first, mask, width), _at(their_first, theirs, width)])


def _at(first: int, mask: Tensor, width: int) -> Tensor:
    return torch.nn.functional.pad(mask, (first, width - first - mask.shape[1]))


def _telling(cache: Cache) -> GrowingLayer | None:
    """A layer that tells where each token is, as all of its kind do alike."""
    return next((layer for layer in cache.layers if isinstance(layer, GrowingLayer)), None)


def can_join(cache: Cache) -> bool:
    """Whether rows of another such cache can be taken in; transformers' own layers with a window cannot."""
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


def row_bytes(cache: Cache, prompt: int, new: int) -> float:
    """What a row of so many tokens takes at most, in bytes, judged by a cache of one row with one token."""
    return sum(_layer_bytes(layer, prompt, new) for layer in cache.layers)


def _layer_bytes(layer: Any, prompt: int, new: int) -> float:
    if isinstance(layer, LinearAttentionLayer):
        states = [*layer.conv_states.values(), *layer.recurrent_states.values()]
        return float(sum(state.nbytes for state in states if state is not None))
    token_bytes: float = layer.keys[:, :, :1].nbytes + layer.values[:, :, :1].nbytes
    if isinstance(layer, GrowingLayer):
        return token_bytes * layer.most_tokens(prompt, new) * layer.GROWTH
    return token_bytes * min(prompt + new, getattr(layer, "sliding_window", prompt + new))

"""What a model keeps of the tokens that it has seen, a layer at a time. Knows no model and no sequence."""

from collections.abc import Sequence as Series
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer, LinearAttentionLayer

from ocr.errors import ModelError

GROWTH = 1.5  # how much longer rows are made than they must be, so that they rarely have to move
ROUND = 256  # columns that are added at least, and of which there is a whole number


def rounded(columns: int) -> int:
    """So many columns, and those that complete the last `ROUND` of them."""
    return -(-columns // ROUND) * ROUND


def rounded_rows(rows: int) -> int:
    """So many rows, and a few more: 1, 2, 4, or a multiple of 8."""
    return next((few for few in (1, 2, 4) if rows <= few), -(-rows // 8) * 8)


class SlotCache(Cache):  # type: ignore[misc]
    """The rows of a running batch, which come and go one by one. Each begins at column 0 and is as long as it is.

    A step writes each row's token where `place` says, so that nothing is copied but where rows must grow, and has of
    each layer as many columns as the longest row.
    """

    def __init__(self, config: Any) -> None:
        """Empty, of the kinds of layer that a text config asks for.

        Raises ModelError for a kind that rows of different lengths cannot share.
        """
        self._rows = 0
        super().__init__(layers=[_shared(layer) for layer in DynamicCache(config=config).layers])
        self._slots = [layer for layer in self.layers if isinstance(layer, SlotLayer)]

    @property
    def is_of_slots(self) -> bool:
        """Whether all of it stays where it is in a step."""
        return len(self._slots) == len(self.layers)

    @property
    def held_bytes(self) -> float:
        """What the rows take at present; layers that do not grow with the text are few enough to leave out."""
        return float(sum(layer.held_bytes for layer in self._slots))

    def put(self, cache: Cache) -> bool:
        """Take in the one row of another cache of the same model as the last; whether the others had to move for it."""
        has_moved = False
        for mine, theirs in zip(self.layers, cache.layers, strict=True):
            if isinstance(mine, SlotLayer):
                has_moved |= mine.put(self._rows, theirs)
            else:
                _put_states(self._rows, mine, theirs)
        self._rows += 1
        return has_moved

    def keep(self, rows: Series[int]) -> None:
        """Let go of all rows but these, given in their order."""
        for layer in self.layers:
            if isinstance(layer, SlotLayer):
                layer.keep(rows)
            else:
                layer.reorder_cache(torch.tensor(rows, device=layer.device))
        self._rows = len(rows)

    def make_room(self, rows: int, columns: int) -> bool:
        """Have room for so many rows of so many columns; whether the rows had to move for it."""
        moved = [layer.make_room(rows, columns) for layer in self._slots]
        return any(moved)

    def place(self, columns: Tensor, width: int) -> None:
        """Say where the next token of each row goes, (rows,), and how many columns the longest row then has."""
        rows = torch.arange(len(columns), device=columns.device)
        for layer in self._slots:
            layer.rows, layer.columns, layer.width = rows, columns, width


class SlotLayer(DynamicLayer):  # type: ignore[misc]
    """One layer's keys and values, (rows, heads, columns, head size), with room for rows to grow.

    transformers' own dynamic layer copies everything at every step, and its static one has all rows be equally long.
    Where nothing was written there are zeros: attention gives it no weight, but no weight times what is no number
    would be none either.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffers: tuple[Tensor, ...] = ()
        self.rows, self.columns, self.width = _NOWHERE, _NOWHERE, 1  # see `SlotCache.place`

    def update(self, key_states: Tensor, value_states: Tensor, *_args: Any, **_kwargs: Any) -> tuple[Tensor, Tensor]:
        for buffer, states in zip(self._buffers, (key_states, value_states), strict=True):
            buffer[self.rows, :, self.columns] = states[:, :, 0]
        keys, values = (buffer[: len(key_states), :, : self.width] for buffer in self._buffers)
        return keys, values

    def get_seq_length(self) -> int:
        """How many columns the longest row has before the step."""
        return self.width - 1

    def put(self, row: int, layer: DynamicLayer) -> bool:
        """Take in another layer's one row as this one; see `SlotCache`."""
        held = layer.keys, layer.values
        if not self._buffers:
            self._buffers = tuple(states[:, :, :0] for states in held)
        has_moved = self.make_room(row + 1, held[0].shape[-2])
        for buffer, states in zip(self._buffers, held, strict=True):
            buffer[row, :, : states.shape[-2]] = states[0]
        return has_moved

    def keep(self, rows: Series[int]) -> None:
        """See `SlotCache`."""
        for buffer in self._buffers:
            for to, row in enumerate(rows):
                if to != row:
                    buffer[to] = buffer[row]

    def make_room(self, rows: int, columns: int) -> bool:
        """See `SlotCache`; rows that were held for more sequences are let go of with a move."""
        held, heads, width, size = self._buffers[0].shape
        if rows <= held and columns <= width:
            return False
        if columns > width:
            width = room_to_grow(columns)
        shape = rounded_rows(rows), heads, width, size
        self._buffers = tuple(_enlarged(buffer, shape) for buffer in self._buffers)
        return True

    @property
    def held_bytes(self) -> int:
        """What the buffers take, their empty ends included."""
        return sum(buffer.nbytes for buffer in self._buffers)


_NOWHERE = torch.zeros(0, dtype=torch.long)


def _enlarged(buffer: Tensor, shape: tuple[int, ...]) -> Tensor:
    """A buffer of this shape with what was in the other, as far as it has room for it, and zeros."""
    larger = buffer.new_zeros(shape)
    kept = buffer[: shape[0]]
    larger[: len(kept), :, : kept.shape[2]] = kept
    return larger


def _shared(layer: Any) -> Any:
    if type(layer) is DynamicLayer:
        return SlotLayer()
    if isinstance(layer, LinearAttentionLayer) and not isinstance(layer, DynamicLayer):
        return layer
    raise ModelError(f"Rows of a batch cannot share a layer of the kind {type(layer).__name__}.")


def _put_states(row: int, mine: LinearAttentionLayer, theirs: LinearAttentionLayer) -> None:
    """Take another layer's one row into one that keeps a state of all that went before."""
    if not row:
        mine.__dict__.update(theirs.__dict__)
        return
    for kind in ("conv_states", "recurrent_states"):
        states, more = getattr(mine, kind), getattr(theirs, kind)
        states.update({at: torch.cat([states[at], more[at]]) for at in states if states[at] is not None})


def room_to_grow(columns: int) -> int:
    """How many columns rows are given that must have so many."""
    return rounded(max(columns + ROUND, int(columns * GROWTH)))


def row_bytes(cache: Cache, prompt: int, new: int) -> float:
    """What a row of so many tokens takes at most, in bytes, judged by a cache of one row with one token."""
    return sum(_layer_bytes(layer, prompt + new) for layer in cache.layers)


def _layer_bytes(layer: Any, tokens: int) -> float:
    if isinstance(layer, LinearAttentionLayer):
        states = [*layer.conv_states.values(), *layer.recurrent_states.values()]
        return float(sum(state.nbytes for state in states if state is not None))
    token_bytes: float = layer.keys[:, :, :1].nbytes + layer.values[:, :, :1].nbytes
    return token_bytes * room_to_grow(tokens)

"""SAM's attention over a whole view on a processor: some queries at a time, so that their scores stay in its cache.

Source of what is computed: transformers' UnlimitedOcrSamVisionAttention and GotOcr2VisionAttention. They build a bias
of all queries by all keys for each head, 800 MB at 1024 px, and read it once; here the two parts of it are added where
the scores are.
"""

from collections.abc import Iterable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from ocr.engines.hardware import Hardware

SCORES = 2**21  # at a time, 8 MiB


def attends_in_parts(hardware: Hardware) -> bool:
    """Whether SAM's layers without windows attend as is fastest on a processor in float32.

    In bf16 scores would be rounded where transformers' own product keeps them exact.
    """
    return hardware.device.type == "cpu" and hardware.dtype == torch.float32


def attend_to_whole_views(layers: Iterable[Any]) -> None:
    """Have those of SAM's layers that have no windows attend to some of a view's places at a time."""
    for layer in layers:
        if layer.window_size == 0:
            layer.attn = WholeViewAttention(layer.attn)


class WholeViewAttention(nn.Module):
    """Takes the place of the attention whose weights it is given."""

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.given = attention

    def forward(self, hidden_states: Tensor) -> tuple[Tensor, None]:
        """(views, height, width, hidden) to the same, and no weights of the attention."""
        views, height, _width, _hidden = hidden_states.shape
        given = self.given
        queries, keys, values = rearrange(
            given.qkv(hidden_states),
            "views h w (kind heads d) -> kind (views heads) (h w) d",
            kind=3,
            heads=given.num_attention_heads,
        )
        by_height, by_width = self._positions(rearrange(queries, "all (h w) d -> all h w d", h=height))
        attended = torch.empty_like(queries)
        for head in range(len(queries)):
            biases = by_height[head].flatten(0, 1), by_width[head].flatten(0, 1)
            _attend(queries[head] * given.scale, keys[head], values[head], *biases, out=attended[head])
        merged = rearrange(attended, "(views heads) (h w) d -> views h w (heads d)", views=views, h=height)
        return given.proj(merged), None

    def _positions(self, queries: Tensor) -> tuple[Tensor, Tensor]:
        """What the distance in each direction adds to the scores of queries (heads, h, w, d): (heads, h, w, h or w)."""
        given, (_, height, width, _) = self.given, queries.shape
        by_height = given.get_rel_pos(height, height, given.rel_pos_h)  # (query, key, d)
        by_width = given.get_rel_pos(width, width, given.rel_pos_w)
        return (
            torch.einsum("bhwc,hkc->bhwk", queries, by_height),
            torch.einsum("bhwc,wkc->bhwk", queries, by_width),
        )


def _attend(queries: Tensor, keys: Tensor, values: Tensor, by_height: Tensor, by_width: Tensor, out: Tensor) -> None:
    """One head's queries, keys and values, (places, d); what is added to scores, (places, height), (places, width)."""
    height, width = by_height.shape[1], by_width.shape[1]
    some = max(1, SCORES // (height * width))
    for start in range(0, len(queries), some):
        here = slice(start, start + some)
        scores = torch.mm(queries[here], keys.T)
        grid = scores.view(-1, height, width)
        grid += by_height[here, :, None]
        grid += by_width[here, None, :]
        torch.mm(scores.softmax(dim=-1), values, out=out[here])

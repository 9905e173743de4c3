"""What vision towers compute with to see a page, at most, in bytes: what stands beside each other where it is most."""

import math
from typing import Any

import torch


def tower_bytes(patches: int, width: int, inner: int, dtype: torch.dtype) -> float:
    """Of layers that attend without a mask: a feed-forward layer multiplies two (patches, inner) into a third.

    Or queries and keys, (patches, width), are turned in float32.
    """
    turned = 4 * width * dtype.itemsize + 6 * width * torch.float32.itemsize
    return float(patches * max((4 * width + 3 * inner) * dtype.itemsize, turned))


def sam_bytes(side: int, sam: Any, dtype: torch.dtype, score_bytes: int) -> float:
    """Of SAM for a square view of so many px, by its config.

    Scores within windows stand beside what positions add to them and copies of both; over the whole view they and
    what stands beside them take `score_bytes` for each query, key and head.
    """
    heads, width, item = sam.num_attention_heads, sam.hidden_size, dtype.itemsize
    places, place = (side // sam.patch_size) ** 2, sam.window_size**2
    windows = math.ceil(side / sam.patch_size / sam.window_size) ** 2
    return float(
        max(
            windows * place * (4 * heads * place + 3 * width) * item,
            places * (5 * width * item + heads * places * score_bytes),
            places * (2 * sam.mlp_dim + 3 * width) * item,
        )
    )

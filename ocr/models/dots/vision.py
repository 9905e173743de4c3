"""The vision tower of dots.ocr in plain PyTorch: patches in, image features out. Knows no files, pixels, text or
language model; its parameters bear the checkpoint's names below `vision_tower.`."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from einops import rearrange, repeat
from torch import Tensor, nn
from torch.nn import functional

Grid = tuple[int, int]  # patches of one image: rows, columns; both multiples of the merge
Turn = tuple[Tensor, Tensor]  # cosines and sines of the rotary angles, each (patches, 1, head size), float32

ROPE_THETA = 10000.0  # the makers' constant; no config has it
MERGER_EPS = 1e-6  # likewise; the config's epsilon is that of the other norms


@dataclass(frozen=True)
class VisionShape:
    """The dimensions of a tower."""

    embed: int  # of one patch's embedding
    hidden: int  # of one feature: the language model's embedding
    intermediate: int  # of the feed-forward layers
    layers: int
    heads: int
    eps: float  # of the RMS norms
    patch: int = 14  # px, side of one patch
    merge: int = 2  # patches per side that become one feature
    channels: int = 3

    @property
    def head(self) -> int:
        """The dimension of one attention head."""
        return self.embed // self.heads


class RMSNorm(nn.Module):
    """Root mean square norm, computed in float32 and rounded before the weight is applied, as in training."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return functional.rms_norm(x.float(), x.shape[-1:], eps=self.eps).to(x.dtype) * self.weight


class Patchifier(nn.Module):
    """Rows of patch pixels (patches, channels * patch * patch) to embeddings (patches, embed)."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.proj = nn.Conv2d(shape.channels, shape.embed, shape.patch, stride=shape.patch)
        self.norm = RMSNorm(shape.embed, shape.eps)

    def forward(self, rows: Tensor) -> Tensor:
        # The kernel covers a patch exactly, so the convolution is one matrix product.
        embedded: Tensor = self.norm(functional.linear(rows, self.proj.weight.flatten(1), self.proj.bias))
        return embedded


class PatchEmbed(nn.Module):
    """The level of nesting that the checkpoint's names have."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.patchifier = Patchifier(shape)

    def forward(self, rows: Tensor) -> Tensor:
        embedded: Tensor = self.patchifier(rows)
        return embedded


class Attention(nn.Module):
    """Every patch attends to every patch of its own image."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.qkv = nn.Linear(shape.embed, 3 * shape.embed, bias=False)
        self.proj = nn.Linear(shape.embed, shape.embed, bias=False)

    def forward(self, x: Tensor, turn: Turn, lengths: Sequence[int], use_flash: bool) -> Tensor:
        q, k, v = rearrange(self.qkv(x), "n (qkv h d) -> qkv n h d", qkv=3, h=self.heads)
        q, k = rotate(q, turn), rotate(k, turn)
        attend = attend_varlen if use_flash else attend_each
        attended: Tensor = self.proj(attend(q, k, v, lengths).flatten(1))
        return attended


def attend_each(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """Attention within each image, (patches, heads, head size); `lengths` are the images' patches.

    One call for each image without a mask: a mask over the 57,600 patches of a large page would take gigabytes.
    """
    images = zip(*(torch.split(rearrange(x, "n h d -> 1 h n d"), list(lengths), dim=2) for x in (q, k, v)), strict=True)
    attended = [functional.scaled_dot_product_attention(*image) for image in images]
    merged: Tensor = rearrange(torch.cat(attended, dim=2), "1 h n d -> n h d")
    return merged


def attend_varlen(q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
    """The same as `attend_each` by flash-attn's kernel, all images in one call."""
    from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]  # only CUDA images have it

    ends = torch.tensor([0, *accumulate(lengths)], dtype=torch.int32, device=q.device)
    longest = max(lengths)
    attended: Tensor = flash_attn_varlen_func(q, k, v, ends, ends, longest, longest, causal=False)
    return attended


class MLP(nn.Module):
    """The gated feed-forward layer."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.fc1 = nn.Linear(shape.embed, shape.intermediate, bias=False)
        self.fc2 = nn.Linear(shape.intermediate, shape.embed, bias=False)
        self.fc3 = nn.Linear(shape.embed, shape.intermediate, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(functional.silu(self.fc1(x)) * self.fc3(x))
        return out


class Block(nn.Module):
    """One layer of the tower."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.norm1 = RMSNorm(shape.embed, shape.eps)
        self.attn = Attention(shape)
        self.norm2 = RMSNorm(shape.embed, shape.eps)
        self.mlp = MLP(shape)

    def forward(self, x: Tensor, turn: Turn, lengths: Sequence[int], use_flash: bool) -> Tensor:
        x = x + self.attn(self.norm1(x), turn, lengths, use_flash)
        out: Tensor = x + self.mlp(self.norm2(x))
        return out


class Merger(nn.Module):
    """Each block of merge by merge patches, which stand together, becomes one feature of the language model's size."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.wide = shape.embed * shape.merge**2
        self.ln_q = nn.LayerNorm(shape.embed, eps=MERGER_EPS)
        self.mlp = nn.Sequential(nn.Linear(self.wide, self.wide), nn.GELU(), nn.Linear(self.wide, shape.hidden))

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.mlp(self.ln_q(x).view(-1, self.wide))
        return features


class VisionTower(nn.Module):
    """Patches of any number of images to their features."""

    def __init__(self, shape: VisionShape) -> None:
        super().__init__()
        self.shape = shape
        self.patch_embed = PatchEmbed(shape)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.post_trunk_norm = RMSNorm(shape.embed, shape.eps)
        self.merger = Merger(shape)

    def forward(self, rows: Tensor, grids: Sequence[Grid], use_flash: bool = False) -> Tensor:
        """Features (patches / merge**2, hidden) of the images whose patches are `rows`, one image after another.

        `rows` is (patches, channels * patch * patch), normalised, in the order of `ocr.documents.images.patch_rows`.
        """
        turn = rotation(rotary_angles(grids, self.shape.head, self.shape.merge).to(rows.device))
        lengths = [height * width for height, width in grids]
        x = self.patch_embed(rows)  # (patches, embed)
        for block in self.blocks:
            x = block(x, turn, lengths, use_flash)
        features: Tensor = self.merger(self.post_trunk_norm(x))
        return features


def rotary_angles(grids: Sequence[Grid], head: int, merge: int) -> Tensor:
    """The angles by which positions turn queries and keys, (patches, head / 2) in float32: the row's, the column's.

    They are computed when they are used. Kept in a buffer they would be rounded along with the model's dtype, or
    come back uninitialised from a load, since no checkpoint holds them.
    """
    steps = torch.arange(0, head // 2, 2, dtype=torch.float32) / (head // 2)
    frequencies = 1.0 / ROPE_THETA**steps
    return torch.cat([(positions(grid, merge)[:, :, None] * frequencies).flatten(1) for grid in grids])


def positions(grid: Grid, merge: int) -> Tensor:
    """The row and column of each patch, (patches, 2), block by block of merge by merge patches."""
    rows, columns = torch.meshgrid(*map(torch.arange, grid), indexing="ij")
    ordered: Tensor = rearrange(
        torch.stack([rows, columns], dim=-1), "(h y) (w x) place -> (h w y x) place", y=merge, x=merge
    )
    return ordered


def rotation(angles: Tensor) -> Turn:
    """Angles (patches, head size / 2) as what `rotate` takes: one half of a head turns with the other."""
    doubled = repeat(angles, "n d -> n 1 (two d)", two=2)
    return doubled.cos(), doubled.sin()


def rotate(x: Tensor, turn: Turn) -> Tensor:
    """Queries or keys (patches, heads, head size) turned by their positions' angles, in float32."""
    cos, sin = turn
    wide = x.float()
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat([-second, first], dim=-1) * sin).to(x.dtype)

"""Weights of a language model in 8 or 4 bits: half or a quarter of the memory, and less to read for each token.

Vision, norms, embeddings and routers stay as they are. A processor has products of its own for a few rows, as decoding
asks for; many rows at once, and a GPU, take the weights as they come out again. Numbers are rounded to the nearest: in
8 bits by row of a matrix, in 4 bits by groups of a row's neighbours.
"""

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

FEW_ROWS = 64  # the most pages of a batch: whether a page runs alone or beside others must not choose its products
GROUP_SIZES = (64, 32)  # neighbours that share a scale in 4 bits; the first that divides a row
OUTPUTS_TOGETHER = 64  # what a processor's product of 4 bits takes at a time, at most


class Matrix8(nn.Module):
    """A matrix (outputs, inputs) as whole numbers from -127 to 127, and a scale for each row."""

    numbers: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        whole = weight.detach().float()
        scales = (whole.abs().amax(dim=1) / 127).clamp_min(1e-30).bfloat16()
        self.register_buffer("numbers", (whole / scales[:, None].float()).round_().clamp_(-127, 127).to(torch.int8))
        self.register_buffer("scales", scales)

    def few(self, x: Tensor) -> Tensor:
        """The product of a few rows in bf16, (rows, inputs) to (rows, outputs), on a processor."""
        product: Tensor = torch._weight_int8pack_mm(x, self.numbers, self.scales)
        return product

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The matrix as it comes out again, (outputs, inputs)."""
        return self.numbers.to(dtype) * self.scales[:, None].to(dtype)


class Matrix4(nn.Module):
    """A matrix (outputs, inputs) as whole numbers from 0 to 15, and a scale and a middle for each group of a row.

    Two numbers share a byte, in the order that this processor's own product takes.
    """

    packed: Tensor
    scales: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        outputs, inputs = weight.shape
        self.group = _group_size(inputs)
        groups = weight.detach().float().view(outputs, -1, self.group)
        low, high = groups.aminmax(dim=-1, keepdim=True)
        scale = ((high - low) / 15).clamp_min(1e-30).bfloat16()
        middle = (low + 8 * scale.float()).bfloat16()
        numbers = ((groups - middle.float()) / scale.float() + 8).round_().clamp_(0, 15)
        self.register_buffer("packed", _pack(numbers.to(torch.int32).view(outputs, inputs)))
        self.register_buffer("scales", torch.cat([scale, middle], dim=-1).transpose(0, 1).contiguous())

    @staticmethod
    def fits(weight: Tensor) -> bool:
        """Whether its rows divide into groups, and its outputs into what a processor takes together."""
        return _group_size(weight.shape[1]) > 0 and weight.shape[0] % OUTPUTS_TOGETHER == 0

    def few(self, x: Tensor) -> Tensor:
        """The product of a few rows in bf16, (rows, inputs) to (rows, outputs), on a processor."""
        product: Tensor = torch.ops.aten._weight_int4pack_mm_for_cpu(x, self.packed, self.group, self.scales)
        return product

    def weight(self, dtype: torch.dtype) -> Tensor:
        """The matrix as it comes out again, (outputs, inputs)."""
        groups, outputs, _ = self.scales.shape
        places = _places(self.packed.device)
        block = len(places)
        pairs = self.packed.view(outputs // block, groups * self.group, block // 2)
        held = torch.cat([pairs & 15, pairs >> 4], dim=-1)[..., places]  # (blocks, inputs, outputs of a block)
        numbers = held.transpose(1, 2).reshape(outputs, groups, self.group).to(dtype)
        scale, middle = self.scales.to(dtype).transpose(0, 1).chunk(2, dim=-1)
        whole: Tensor = (numbers - 8) * scale + middle
        return whole.view(outputs, -1)


def _group_size(inputs: int) -> int:
    return next((size for size in GROUP_SIZES if inputs % size == 0), 0)


def _pack(numbers: Tensor) -> Tensor:
    packed: Tensor = torch.ops.aten._convert_weight_to_int4pack_for_cpu(numbers, 1)
    return packed


@cache
def _places(device: torch.device) -> Tensor:
    """Where in the bytes of an input the outputs of a block stand: those in lower halves come first.

    Blocks and their order are the processor's own, so they are seen from how it packs known numbers.
    """
    outputs = torch.arange(OUTPUTS_TOGETHER, dtype=torch.int32)[:, None].repeat(1, GROUP_SIZES[-1])
    second = torch.zeros_like(outputs)
    second[:, 1] = 1
    input_bytes = int(_pack(second).flatten().nonzero()[0])

    def held(numbers: Tensor) -> Tensor:
        pairs = _pack(numbers).flatten()[:input_bytes].int()
        return torch.cat([pairs & 15, pairs >> 4])

    held_outputs: Tensor = held(outputs % 16) + 16 * held(outputs // 16)
    return held_outputs.argsort().to(device)


Matrix = Matrix8 | Matrix4


def matrix(weight: Tensor, bits: int) -> Matrix:
    """A matrix (outputs, inputs) in 8 bits, or in 4 where it divides as that needs."""
    kind = Matrix4 if bits == 4 and Matrix4.fits(weight) else Matrix8
    return copy.deepcopy(_without_numbers(kind, weight.shape)) if weight.is_meta else kind(weight)


@cache
def _without_numbers(kind: type[Matrix], shape: tuple[int, int]) -> Matrix:
    """What becomes of a matrix that has a shape and no memory; worked out once for all experts, which takes seconds."""
    return kind(torch.empty(shape, device="meta"))


def product(x: Tensor, weights: Matrix, bias: Tensor | None = None) -> Tensor:
    """What `torch.nn.functional.linear` gives for the matrix, (…, inputs) to (…, outputs), in the dtype of `x`."""
    rows = x.flatten(0, -2)
    if x.device.type != "cpu" or len(rows) > FEW_ROWS:
        return linear(x, weights.weight(x.dtype), bias)
    found = weights.few(rows.bfloat16()).to(x.dtype).view(*x.shape[:-1], -1)
    return found if bias is None else found + bias


class QuantizedLinear(nn.Module):
    """A linear layer with its matrix in fewer bits."""

    def __init__(self, layer: nn.Linear, bits: int) -> None:
        super().__init__()
        self.matrix, self.bias = matrix(layer.weight, bits), layer.bias

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.matrix, self.bias)


class QuantizedExperts(nn.Module):
    """The experts of a mixture, with their matrices in fewer bits; called as transformers calls its own."""

    def __init__(self, experts: Any, bits: int) -> None:
        super().__init__()
        self.gate_up: Any = nn.ModuleList(matrix(weight, bits) for weight in experts.gate_up_proj)
        self.down: Any = nn.ModuleList(matrix(weight, bits) for weight in experts.down_proj)
        self.act = experts.act_fn

    def forward(self, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """See `mixture`."""
        return mixture(x, chosen, weights, self._made)

    def _made(self, number: int, rows: Tensor) -> Tensor:
        gate, up = product(rows, self.gate_up[number]).chunk(2, dim=-1)
        return product(self.act(gate) * up, self.down[number])


def mixture(x: Tensor, chosen: Tensor, weights: Tensor, made: Callable[[int, Tensor], Tensor]) -> Tensor:
    """The sum of what the chosen experts make of each row of (rows, hidden), `weights` (rows, chosen) of each.

    `made` gives what the expert of a number makes of some rows, (n, hidden) to the same.
    """
    summed = torch.zeros_like(x)
    experts, order = chosen.flatten().sort()
    rows, shares = order // chosen.shape[1], weights.flatten()[order, None]
    for number, here in _runs(experts.tolist()):
        parts = made(number, x[rows[here]]) * shares[here]
        summed.index_add_(0, rows[here], parts.to(summed.dtype))
    return summed


def _runs(values: list[int]) -> Iterator[tuple[int, slice]]:
    """Each value of a sorted list, with where it stands."""
    start = 0
    for end in range(1, len(values) + 1):
        if end == len(values) or values[end] != values[start]:
            yield values[start], slice(start, end)
            start = end


def quantize(model: Any, bits: int) -> None:
    """Put the layers of a model's decoder, experts among them, into so many bits, and its last layer into 8.

    One after the other: each is freed as its few bits are there.
    """
    places = [
        (parent, name)
        for parent in model.get_decoder().modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.Linear) or _is_experts(child)
    ]
    for parent, name in places:
        child = getattr(parent, name)
        kind = QuantizedExperts if _is_experts(child) else QuantizedLinear
        setattr(parent, name, kind(child, bits))
    model.set_output_embeddings(QuantizedLinear(model.get_output_embeddings(), 8))


def _is_experts(module: nn.Module) -> bool:
    """Whether it holds the matrices of many experts in one, as transformers' classes do."""
    weights = getattr(module, "gate_up_proj", None)
    return isinstance(weights, Tensor) and weights.dim() == 3

"""Products of a few rows with float32 weights on a processor, as the steps of decoding ask for.

They should take as long as the weights take to be read. On a machine whose memory gives 20 GB/s torch's `linear` reads
at 11 to 13 for one row and at 3 to 7 for two to sixteen; oneDNN's product reads at 13 to 22 for one row, and the
library behind `linear` at 6 to 13 for more if the weights stand on its left (two cores of an AMD EPYC with AVX2). For
whole prompts all are as fast.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

from ocr.engines.quantization import mixture

MOST_ROWS = 16  # with more `linear` is as fast
EXPERTS = "few_rows"  # the name of these products among transformers' ways to compute experts


def quicken(model: Any) -> None:
    """Have a language model's decoder and its last layer compute with these products, where they are of use."""
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or head.weight.device.type != "cpu" or head.weight.dtype != torch.float32:
        return
    for parent in list(model.get_decoder().modules()):
        for name, child in parent.named_children():
            if type(child) is nn.Linear:
                setattr(parent, name, FewRowsLinear(child))
    model.set_output_embeddings(FewRowsLinear(head))
    ALL_EXPERTS_FUNCTIONS.register(EXPERTS, few_rows_experts)
    model.set_experts_implementation(EXPERTS)


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """What `torch.nn.functional.linear` gives in float32, (…, inputs) to (…, outputs); of one row without gradients."""
    rows = x.flatten(0, -2)
    if len(rows) > MOST_ROWS:
        return linear(x, weight, bias)
    if len(rows) == 1 and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        alone: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
        return alone
    found = torch.mm(weight, rows.T).T.contiguous().view(*x.shape[:-1], -1)  # contiguous as attention wants it
    return found if bias is None else found + bias


class FewRowsLinear(nn.Linear):
    """A linear layer with the weights of the one it is given."""

    def __init__(self, given: nn.Linear) -> None:
        super().__init__(given.in_features, given.out_features, given.bias is not None, device="meta")
        self.weight, self.bias = given.weight, given.bias

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bias)


def few_rows_experts(experts: Any, x: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
    """What transformers' experts make of rows; see `mixture`."""

    def made(number: int, rows: Tensor) -> Tensor:
        gate, up = product(rows, experts.gate_up_proj[number]).chunk(2, dim=-1)
        return product(experts.act_fn(gate) * up, experts.down_proj[number])

    return mixture(x, chosen, weights, made)

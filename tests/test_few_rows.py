"""Products of a few rows on a processor: the same as torch's own and transformers' own."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from ocr.engines.few_rows import MOST_ROWS, FewRowsLinear, few_rows_experts, product, quicken
from ocr.engines.native import NativeEngine
from tests.sequences import apart
from tests.test_positions import qwen3_5


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(len(shape)))


@pytest.mark.parametrize("shape", [(1, 96), (1, 1, 96), (2, 96), (3, 1, 96), (MOST_ROWS, 96), (MOST_ROWS + 1, 96)])
@pytest.mark.parametrize("has_bias", [False, True])
def test_a_layer_gives_what_torch_s_own_gives(shape: tuple[int, ...], has_bias: bool) -> None:
    layer, x = nn.Linear(96, 130, bias=has_bias), random(*shape)
    found = FewRowsLinear(layer)(x)
    assert found.shape == (*shape[:-1], 130)
    assert found.is_contiguous()  # or attention computes in another way
    assert apart(found.detach(), layer(x).detach()) < 1e-6


@pytest.mark.parametrize("rows", [1, 2, 40])
def test_experts_sum_what_each_makes_of_a_row(rows: int) -> None:
    experts = SimpleNamespace(gate_up_proj=random(6, 128, 64), down_proj=random(6, 64, 64), act_fn=silu)
    x, shares = random(rows, 64), torch.rand(rows, 3)
    chosen = torch.stack([torch.randperm(6)[:3] for _ in range(rows)])
    wanted = torch.zeros_like(x)
    for row in range(rows):
        for expert, share in zip(chosen[row].tolist(), shares[row], strict=True):
            gate, up = linear(x[row], experts.gate_up_proj[expert]).chunk(2)
            wanted[row] += share * linear(silu(gate) * up, experts.down_proj[expert])
    assert apart(few_rows_experts(experts, x, chosen, shares), wanted) < 1e-5


def test_without_onednn_one_row_is_as_right(monkeypatch: pytest.MonkeyPatch) -> None:
    weight, x = random(130, 96), random(1, 96)
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    assert apart(product(x, weight), linear(x, weight)) < 1e-6


@pytest.mark.parametrize(
    ("dtype", "device", "expected"),
    [(torch.float32, "cpu", FewRowsLinear), (torch.bfloat16, "cpu", nn.Linear), (torch.float32, "meta", nn.Linear)],
)
def test_it_is_for_float32_on_a_processor(dtype: torch.dtype, device: str, expected: type) -> None:
    model = qwen3_5().to(dtype).to(device)
    quicken(model)
    kinds = {type(module) for module in model.get_decoder().modules() if isinstance(module, nn.Linear)}
    assert kinds == {expected}


def test_all_of_the_decoder_and_nothing_of_vision_computes_so(engine: NativeEngine[Any]) -> None:
    model = engine.network.model
    kinds = {type(module) for module in model.get_decoder().modules() if isinstance(module, nn.Linear)}
    assert kinds == {FewRowsLinear} == {type(model.get_output_embeddings())}
    assert not any(isinstance(module, FewRowsLinear) for module in model.model.vision_tower.modules())

"""Weights in fewer bits: few rows and many come to the same, nothing but the rounding is off, and pages are read."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from PIL import Image
from rapidfuzz.distance import Levenshtein
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from ocr.engines.quantization import (
    FEW_ROWS,
    Matrix,
    Matrix4,
    Matrix8,
    QuantizedExperts,
    QuantizedLinear,
    matrix,
    product,
    quantize,
)
from ocr.errors import SetupError
from ocr.models.catalog import MODELS
from ocr.models.dots.engine import load as load_dots
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import MAX_BATCH, Settings, read_settings
from ocr.types import Decoding, PageResult
from ocr.weights.installation import CHECKPOINTS
from tests.checkpoints_dots import write_dots

PROJECT = Path(__file__).resolve().parent.parent
WORST_ROUNDING = {Matrix8: 0.01, Matrix4: 0.12}  # of random weights: half a step over the spread of what shares a scale
each_kind = pytest.mark.parametrize("bits", [8, 4])


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def off_by(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(
    ("bits", "shape", "kind"),
    [
        (8, (64, 64), Matrix8),
        (8, (7, 5), Matrix8),
        (4, (64, 64), Matrix4),
        (4, (192, 96), Matrix4),
        (4, (64, 80), Matrix8),  # rows that do not divide into groups
        (4, (96, 64), Matrix8),  # outputs that the processor's product cannot take
    ],
)
def test_a_matrix_comes_out_again_but_for_rounding(bits: int, shape: tuple[int, int], kind: type[Matrix]) -> None:
    weight = random(*shape)
    found = matrix(weight, bits)
    assert type(found) is kind
    assert off_by(found.weight(torch.float32), weight) < WORST_ROUNDING[kind]


@each_kind
@pytest.mark.parametrize("weight", [torch.zeros(64, 64), torch.full((64, 64), -3.0), 1e30 * random(64, 64)])
def test_odd_matrices_come_out_finite(bits: int, weight: Tensor) -> None:
    found = matrix(weight, bits).weight(torch.float32)
    assert found.isfinite().all()
    assert float((found - weight).abs().max()) <= 0.2 * float(weight.abs().max())


@each_kind
def test_one_number_alone_stands_in_its_own_place(bits: int) -> None:
    weight = torch.zeros(128, 64)
    weight[77, 13] = 1.0
    found = matrix(weight, bits)
    assert found.weight(torch.float32)[77, 13] == pytest.approx(1.0, abs=0.01)
    assert torch.count_nonzero(found.weight(torch.float32).abs() > 0.1) == 1
    assert int(found.few(torch.eye(64, dtype=torch.bfloat16)).float()[13].argmax()) == 77


@each_kind
def test_few_rows_and_many_come_to_the_same(bits: int) -> None:
    weights, x = matrix(random(128, 192), bits), random(FEW_ROWS + 1, 192)
    assert off_by(product(x[:FEW_ROWS], weights), product(x, weights)[:FEW_ROWS]) < 0.01  # bf16's own rounding


@each_kind
def test_a_row_is_the_same_alone_and_beside_others(bits: int) -> None:
    assert FEW_ROWS >= MAX_BATCH
    weights, x = matrix(random(128, 192), bits), random(FEW_ROWS, 192)
    together = product(x, weights)
    for row in (0, 1, 2, 3, FEW_ROWS - 1):
        assert torch.equal(product(x[row : row + 1], weights)[0], together[row])


@each_kind
def test_a_layer_adds_its_bias_and_keeps_the_shape(bits: int) -> None:
    layer, x = nn.Linear(64, 128), random(2, 3, 64)
    quantized = QuantizedLinear(layer, bits)
    bias = layer.bias.detach()
    wanted = linear(x, quantized.matrix.weight(x.dtype), bias)
    found = quantized(x).detach()
    assert found.shape == (2, 3, 128)
    assert off_by(found, wanted) < 0.01
    assert off_by(found, wanted - bias) > 0.01


@each_kind
@pytest.mark.parametrize("rows", [1, 5])
def test_experts_sum_what_each_makes_of_a_row(bits: int, rows: int) -> None:
    experts = SimpleNamespace(gate_up_proj=random(6, 128, 64), down_proj=random(6, 64, 64), act_fn=silu)
    quantized = QuantizedExperts(experts, bits)
    x, shares = random(rows, 64), torch.rand(rows, 3)
    chosen = torch.stack([torch.randperm(6)[:3] for _ in range(rows)])
    wanted = torch.zeros_like(x)
    for row in range(rows):
        for expert, share in zip(chosen[row].tolist(), shares[row], strict=True):
            gate, up = linear(x[row], quantized.gate_up[expert].weight(x.dtype)).chunk(2)
            wanted[row] += share * linear(silu(gate) * up, quantized.down[expert].weight(x.dtype))
    assert off_by(quantized(x, chosen, shares), wanted) < 0.02


def test_vision_and_embeddings_stay_as_they_are(tmp_path: Path) -> None:
    write_dots(tmp_path)

    def loaded(quantization: str) -> Any:
        settings = Settings(device="cpu", dtype="float32", quantization=quantization)
        return load_dots(tmp_path, MODELS["dots.ocr"], settings).network.model

    whole, quantized = dict(loaded("none").named_parameters()), loaded("8bit")
    kept = dict(quantized.named_parameters())
    assert {name for name in whole if name.startswith(("vision_tower.", "model.embed_tokens."))} <= set(kept)
    assert all(torch.equal(kept[name], whole[name]) for name in kept)
    assert not any(isinstance(module, nn.Linear) for module in quantized.get_decoder().modules())
    assert isinstance(quantized.get_output_embeddings().matrix, Matrix8)


@pytest.mark.parametrize(("quantization", "wrong"), [("8bit", 0.01), ("4bit", 0.05)])
def test_a_page_is_still_read(quantization: str, wrong: float, tmp_path: Path) -> None:
    shutil.copytree(CHECKPOINTS / "deepseek-ocr-tiny", tmp_path / "deepseek-ocr-tiny")  # where the outcome is kept
    reader = Reader(Settings(checkpoints=tmp_path, device="cpu", quantization=quantization))
    image = Image.open(PROJECT / "examples" / "prose.png").convert("RGB")
    request = Request(model="deepseek-ocr-tiny", orient="off")
    (page,) = (event for event in reader.read(request, [(1, image)], Decoding()) if isinstance(event, PageResult))
    truth = (PROJECT / "examples" / "prose.md").read_text().strip()
    assert Levenshtein.normalized_distance(page.markdown.strip(), truth) <= wrong, page.markdown


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(SetupError, match="OCR_QUANTIZATION is '2bit'; it must be one of: none, 8bit, 4bit"):
        read_settings({"OCR_QUANTIZATION": "2bit"})


def test_a_model_is_smaller() -> None:
    model = _Model(512)
    before = _bytes(model)
    quantize(model, 4)
    assert _bytes(model) < 0.45 * before  # float32 to 4 bits, the last layer to 8


class _Model(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(width, width), nn.Sequential(nn.Linear(width, width)))
        self.head = nn.Linear(width, width)

    def get_decoder(self) -> nn.Module:
        return self.decoder

    def get_output_embeddings(self) -> nn.Module:
        return self.head

    def set_output_embeddings(self, head: nn.Module) -> None:
        self.head = head


def _bytes(model: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))

"""dots.ocr against the numbers of the makers' own code, and how its checkpoints load."""

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from bench import shapes_dots
from ocr.decoding.rules import Budget
from ocr.engines.native import NativeEngine
from ocr.engines.patches import patch_rows, resized_size
from ocr.errors import InputError, SetupError
from ocr.models.dots import engine as dots
from ocr.models.dots.card import DOTS_OCR
from ocr.models.dots.vision import attend_each, attend_varlen, rotary_angles
from tests.checkpoints_dots import FLOAT32, GOLDEN, PREPROCESSOR, SPECIAL_IDS, TINY, golden_tensors, write_dots
from tests.sequences import decode

NUMBERS = np.load(GOLDEN / "dots_tiny.npz")
GRIDS = [(4, 8), (10, 4)]  # patches of the two golden images
# Summing in another order moves float32 results by a few units of their last place, times the depth of the model.
TOLERANCE = 1e-5  # of the largest value of an array


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dots(tmp_path_factory.mktemp("checkpoints") / "dots.ocr")


@pytest.fixture(scope="module")
def engine(folder: Path) -> NativeEngine[Any]:
    return dots.load(folder, DOTS_OCR, FLOAT32)


def difference(ours: torch.Tensor, name: str) -> float:
    """The largest difference from a golden array, relative to that array's largest value."""
    golden = NUMBERS[name]
    assert tuple(ours.shape) == golden.shape
    return float(np.abs(ours.detach().float().numpy() - golden).max() / np.abs(golden).max())


def test_the_golden_weights_are_recreated_bit_by_bit() -> None:
    tensors = golden_tensors()
    digest = hashlib.sha256(b"".join(tensors[name].tobytes() for name in sorted(tensors)))
    assert digest.hexdigest() == TINY["weights_sha256"]


def test_pixels_are_exactly_the_reference_s(engine: NativeEngine[Any]) -> None:
    rows = []
    for name in ("image0", "image1"):
        image = Image.fromarray(NUMBERS[name])
        rows.append(patch_rows(image, sizes(image, engine), engine.processor.rules))
    ours = np.concatenate(rows)
    assert ours.dtype == np.float32
    assert np.array_equal(ours, NUMBERS["pixel_values"])
    assert NUMBERS["image_grid_thw"].tolist() == [[1, *grid] for grid in GRIDS]


def sizes(image: Image.Image, engine: NativeEngine[Any]) -> tuple[int, int]:
    rules = engine.processor.rules
    return resized_size(*image.size, multiple=rules.multiple, min_pixels=rules.min_pixels, max_pixels=rules.max_pixels)


@pytest.mark.parametrize("case", json.loads((GOLDEN / "smart_resize.json").read_text()), ids=str)
def test_pages_are_resized_as_by_the_reference(case: list[Any]) -> None:
    height, width, expected = case

    def ours() -> tuple[int, int]:
        return resized_size(width, height, multiple=28, min_pixels=3136, max_pixels=11289600)

    if isinstance(expected, dict):
        with pytest.raises(InputError, match=f"{width} x {height} pixels"):
            ours()
    else:
        assert list(ours()) == expected[::-1]


def test_rotary_angles_are_exactly_the_reference_s() -> None:
    assert np.array_equal(rotary_angles(GRIDS, head=16, merge=2).numpy(), NUMBERS["rot_angles"])


def test_every_layer_of_the_tower_is_as_in_the_reference(engine: NativeEngine[Any]) -> None:
    tower = engine.network.model.vision_tower
    layers = {"vision_patch_embed": tower.patch_embed, "vision_post_trunk_norm": tower.post_trunk_norm}
    layers |= {f"vision_block{index}": block for index, block in enumerate(tower.blocks)}
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        layer.register_forward_hook(lambda _layer, _inputs, out, name=name: seen.__setitem__(name, out))
        for name, layer in layers.items()
    ]
    with torch.inference_mode():
        seen["vision_out"] = engine.network.image_features(golden_rows(), GRIDS)
    for hook in hooks:
        hook.remove()
    assert len(seen) == 6
    assert max(difference(out, name) for name, out in seen.items()) < TOLERANCE


def test_logits_of_a_prompt_with_two_images_are_the_reference_s(engine: NativeEngine[Any]) -> None:
    with torch.inference_mode():
        logits = engine.network.model(inputs_embeds=golden_prompt(engine)[None]).logits
    assert difference(logits, "logits") < TOLERANCE


def test_logits_of_a_prompt_without_an_image_are_the_reference_s(engine: NativeEngine[Any]) -> None:
    with torch.inference_mode():
        logits = engine.network.model(input_ids=torch.from_numpy(NUMBERS["text_only_ids"])).logits
    assert difference(logits, "text_only_logits") < TOLERANCE


def test_greedy_decoding_gives_the_reference_s_tokens(engine: NativeEngine[Any]) -> None:
    golden = NUMBERS["greedy"].tolist()
    steps = decode(engine.network.model, [golden_prompt(engine)], [[Budget(len(golden))]])
    assert [step.token for step in steps] == golden


def test_a_left_padded_batch_gives_the_reference_s_tokens(engine: NativeEngine[Any]) -> None:
    rows = golden_rows().split([height * width for height, width in GRIDS])
    masked = zip(NUMBERS["batch_ids"], NUMBERS["batch_mask"], rows, GRIDS, strict=True)
    prompts = [merged(engine, ids[mask == 1].tolist(), row, [grid]) for ids, mask, row, grid in masked]
    golden = NUMBERS["batch_greedy"]
    tokens: list[list[int]] = [[], []]
    for step in decode(engine.network.model, prompts, [[Budget(golden.shape[1])] for _ in prompts]):
        tokens[step.row].append(step.token)
    assert tokens == golden.tolist()


def golden_rows() -> torch.Tensor:
    return torch.from_numpy(NUMBERS["pixel_values"])


def merged(engine: NativeEngine[Any], ids: list[int], rows: torch.Tensor, grids: list[Any]) -> torch.Tensor:
    return engine.network.merge(ids, engine.network.image_features(rows, grids), engine.processor.image_token)


def golden_prompt(engine: NativeEngine[Any]) -> torch.Tensor:
    return merged(engine, NUMBERS["input_ids"][0].tolist(), golden_rows(), GRIDS)


def test_varlen_attention_is_given_each_image_s_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    def kernel(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, *bounds: Any, causal: bool) -> torch.Tensor:
        starts, same, longest, _ = bounds
        assert not causal and starts.dtype == torch.int32 and starts is same and longest == 40
        lengths = [end - start for start, end in zip(starts.tolist(), starts.tolist()[1:], strict=False)]
        return attend_each(q, k, v, lengths)

    monkeypatch.setitem(sys.modules, "flash_attn", SimpleNamespace(flash_attn_varlen_func=kernel))
    q, k, v = torch.randn(3, 72, 2, 16, generator=torch.Generator().manual_seed(0))
    attended = attend_varlen(q, k, v, [32, 40])
    assert torch.equal(attended, attend_each(q, k, v, [32, 40]))
    assert torch.allclose(attended[:32], attend_each(q[:32], k[:32], v[:32], [32]), atol=1e-6)


# --- Loading ----------------------------------------------------------------------------------------------------


def test_a_checkpoint_loads_in_the_wanted_dtype_with_exact_rotary_angles(folder: Path) -> None:
    model = dots.load(folder, DOTS_OCR, replace(FLOAT32, dtype="bfloat16")).network.model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert all(tensor.device.type == "cpu" for tensor in [*model.parameters(), *model.buffers()])
    exact = 1.0 / 1e6 ** (torch.arange(0, 16, 2, dtype=torch.float32) / 16)
    assert torch.equal(model.model.rotary_emb.inv_freq, exact)
    assert not list(model.vision_tower.buffers())
    golden = torch.from_numpy(golden_tensors()["vision_tower.blocks.1.mlp.fc2.weight"])
    assert torch.equal(model.vision_tower.blocks[1].mlp.fc2.weight, golden.bfloat16())


def test_in_bfloat16_the_tower_stays_near_the_reference(folder: Path) -> None:
    engine = dots.load(folder, DOTS_OCR, replace(FLOAT32, dtype="bfloat16"))
    with torch.inference_mode():
        features = engine.network.image_features(golden_rows(), GRIDS)
    assert difference(features, "vision_out") < 0.03  # 8 bits of precision, three layers


def write_tensors(folder: Path, change: Any) -> Path:
    tensors: dict[str, NDArray[np.float32]] = golden_tensors()
    change(tensors)
    return write_dots(folder, tensors=tensors)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensors: tensors.pop("vision_tower.blocks.2.mlp.fc3.weight"), "1 missing .*blocks.2.mlp.fc3"),
        (lambda tensors: tensors.pop("lm_head.weight"), "1 missing .*lm_head"),
        (lambda tensors: tensors.update({"vision_tower.extra": np.zeros(3, np.float32)}), "1 unexpected .*extra"),
        (lambda tensors: tensors.update({"model.norm.weight": np.zeros(3, np.float32)}), r"of another shape .*\(3,\)"),
    ],
)
def test_every_tensor_is_accounted_for(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(SetupError, match=message):
        dots.load(write_tensors(tmp_path, change), DOTS_OCR, FLOAT32)


def with_vision(**changes: Any) -> dict[str, Any]:
    return {**TINY["config"], "vision_config": {**TINY["config"]["vision_config"], **changes}}


def without(table: Mapping[str, Any], field: str) -> dict[str, Any]:
    return {name: value for name, value in table.items() if name != field}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config": {**TINY["config"], "model_type": "qwen2"}}, "model_type 'qwen2'"),
        ({"config": without(TINY["config"], "rope_theta")}, "config.json lacks rope_theta"),
        ({"config": {**TINY["config"], "use_sliding_window": True}}, "use_sliding_window True; .* False only"),
        ({"config": with_vision(use_bias=True)}, "vision_config has use_bias True"),
        ({"config": {**TINY["config"], "image_token_id": 601}}, "'<|imgpad|>' as 600, the config as 601"),
        ({"preprocessor": {**PREPROCESSOR, "merge_size": 4}}, "merge_size 4; .* 2 only"),
        ({"preprocessor": without(PREPROCESSOR, "image_std")}, "preprocessor_config.json lacks image_std"),
        ({"special_ids": without(SPECIAL_IDS, "<|endofimg|>")}, "no token '<|endofimg|>'"),
    ],
)
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, changes: Any, message: str) -> None:
    with pytest.raises(SetupError, match=message.replace("|", r"\|")):
        dots.load(write_dots(tmp_path, **changes), DOTS_OCR, FLOAT32)


def test_the_preprocessor_s_own_values_are_used(tmp_path: Path) -> None:
    changes = {"image_mean": [0, 0, 0], "image_std": [1, 1, 1], "rescale_factor": 1, "max_pixels": 3136, "resample": 0}
    engine = dots.load(write_dots(tmp_path, preprocessor={**PREPROCESSOR, **changes}), DOTS_OCR, FLOAT32)
    image = Image.new("RGB", (400, 400), (200, 30, 90))
    assert sizes(image, engine) == (56, 56)
    assert patch_rows(image, (56, 56), engine.processor.rules)[0, [0, 196, 392]].tolist() == [200, 30, 90]


def test_the_config_of_the_full_size_model_is_understood() -> None:
    config = dots.model_config(shapes_dots.CONFIG)
    assert (config.hidden_size, config.rope_parameters["rope_theta"], config.vision_config.head) == (1536, 1e6, 128)

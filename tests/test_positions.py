"""Models whose image tokens stand in a plane, whose features go into later layers, whose layers keep states: what the
runner must do for them, held against each class's own generate() on tiny random models."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    PreTrainedModel,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from ocr.decoding import cache
from ocr.decoding.runner import SlotRunner
from ocr.decoding.sequence import DeepStack, FirstPass
from tests.references import Reference, check_alone, check_together, generated
from tests.sequences import apart, read

IMAGE, TOKENS = 90, 24
TEXT = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 512,
    "bos_token_id": None,
    "eos_token_id": None,
    "pad_token_id": None,
}
ROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
IDS = {"image_token_id": IMAGE, "video_token_id": 91, "vision_start_token_id": 92, "vision_end_token_id": 93}
VISION = {"num_heads": 2, "in_channels": 3, "patch_size": 2, "temporal_patch_size": 2, "spatial_merge_size": 2}


def qwen2_5_vl() -> PreTrainedModel:
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "out_hidden_size": 32, "window_size": 8}
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": ROPE},
        vision_config={**VISION, **vision, "fullatt_block_indexes": [1]},
        **IDS,
    )
    return Qwen2_5_VLForConditionalGeneration(config)


def qwen3_vl() -> PreTrainedModel:
    vision = {"depth": 3, "hidden_size": 16, "intermediate_size": 24, "out_hidden_size": 32}
    config = Qwen3VLConfig(
        text_config={**TEXT, "rope_parameters": ROPE},
        vision_config={**VISION, **vision, "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1]},
        **IDS,
    )
    return Qwen3VLForConditionalGeneration(config)


def qwen3_5() -> PreTrainedModel:
    linear = {
        "layer_types": ["linear_attention", "linear_attention", "full_attention"],
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 8,
        "linear_value_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
    }
    vision = {"depth": 2, "hidden_size": 16, "intermediate_size": 24, "out_hidden_size": 32}
    config = Qwen3_5Config(
        text_config={**TEXT, **linear, "rope_parameters": {**ROPE, "partial_rotary_factor": 1.0}},
        vision_config={**VISION, **vision, "num_position_embeddings": 64},
        **IDS,
    )
    return Qwen3_5ForConditionalGeneration(config)


def page(model: Any, grid: tuple[int, int], before: int, after: int) -> Reference:
    """A page of rows by columns of patches, between so many tokens of text."""
    random = torch.Generator().manual_seed(100 * grid[0] + grid[1])
    rows = torch.randn(grid[0] * grid[1], 3 * 2 * 2 * 2, generator=random)
    words = torch.randint(0, 80, (before + after,), generator=random).tolist()
    ids = torch.tensor([[*words[:before], 92, *[IMAGE] * (grid[0] * grid[1] // 4), 93, *words[before:]]])
    where = torch.tensor([[1, *grid]])
    kinds = (ids == IMAGE).int()
    own = generated(model, ids, TOKENS, pixel_values=rows, image_grid_thw=where, mm_token_type_ids=kinds)
    with torch.inference_mode():
        features = model.model.get_image_features(rows, where, return_dict=True)
        embeds = model.get_input_embeddings()(ids[0])
        embeds[ids[0] == IMAGE] = torch.cat(list(features.pooler_output))
        positions = model.model.get_rope_index(ids, mm_token_type_ids=kinds, image_grid_thw=where)[0][:, 0]
    layers = getattr(features, "deepstack_features", None) or []
    stack = DeepStack(ids[0] == IMAGE, tuple(torch.cat(list(layer)) for layer in layers)) if layers else None
    return Reference(FirstPass(embeds, positions, stack), *own)


SIZES = [((4, 6), 3, 5), ((8, 4), 1, 2), ((2, 10), 9, 1)]


@pytest.fixture(scope="module", params=[qwen2_5_vl, qwen3_vl, qwen3_5], ids=lambda make: make.__name__)
def model(request: pytest.FixtureRequest) -> Any:
    torch.manual_seed(0)
    make: Callable[[], PreTrainedModel] = request.param
    built = make().eval()
    for parameter in built.parameters():
        parameter.data.normal_(0, 0.3)  # so that the likeliest token leads by more than rounding
    return built


@pytest.fixture(scope="module")
def pages(model: Any) -> list[Reference]:
    return [page(model, *size) for size in SIZES]


@pytest.mark.parametrize(
    "plan",
    [
        [(0, TOKENS)] * 3,
        [(0, 9), (0, TOKENS), (0, 15)],
        [(0, 12), (5, TOKENS), (9, 20)],
        [(7, 10), (0, 12), (3, TOKENS)],
    ],
    ids=["together", "leaving", "joining", "joining and leaving"],
)
def test_a_batch_gives_each_page_what_its_class_gives_it_alone(
    model: Any, pages: list[Reference], plan: list[tuple[int, int]]
) -> None:
    check_together(model, pages, plan)


def test_a_page_alone_is_what_its_class_makes_of_it(model: Any, pages: list[Reference]) -> None:
    check_alone(model, pages)


def test_positions_that_only_count_tokens_would_be_another_text(model: Any, pages: list[Reference]) -> None:
    one = pages[0]
    counted = FirstPass(one.first_pass.embeds, torch.arange(len(one.first_pass.embeds)).expand(3, -1))
    ((_, scores),) = read(model, [one._replace(first_pass=counted)], [(0, TOKENS)])
    assert apart(scores, one.logits) > 0.02


def test_the_cache_is_of_the_kinds_that_the_config_asks_for(model: Any) -> None:
    runner = SlotRunner(model)
    kinds = [type(layer).__name__ for layer in runner._cache.layers]
    is_hybrid = isinstance(model, Qwen3_5ForConditionalGeneration)
    assert kinds == (["LinearAttentionLayer"] * 2 if is_hybrid else ["SlotLayer"] * 2) + ["SlotLayer"]
    assert runner._cache.is_of_slots is not is_hybrid
    one, more = (cache.row_bytes(runner.one_token(), 24, new) for new in (1000, 2024))
    growing = 1 if is_hybrid else 3
    assert more - one == growing * 1024 * 1.5 * (2 * 2 * 8 * 4)  # layers, tokens, growth; keys and values, heads, size

"""Tiny random checkpoints of the models of a patch grid, in the hub's layout: config, tensor names, files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from safetensors.torch import save_file

from bench.shapes_dots import stand_in_tokenizer
from ocr.models.patch_grid.card import QWEN2_5_VL_7B, QWEN3_VL_4B, GridCard
from ocr.models.patch_grid.engine import model_config

QWEN_IDS: Mapping[str, int] = {
    "<|endoftext|>": 300,
    "<|im_start|>": 301,
    "<|im_end|>": 302,
    "<|vision_start|>": 310,
    "<|vision_end|>": 311,
    "<|image_pad|>": 312,
    "<|video_pad|>": 313,
}
_IDS = {
    "vision_start_token_id": 310,
    "vision_end_token_id": 311,
    "image_token_id": 312,
    "video_token_id": 313,
}
_TEXT = {
    "bos_token_id": 300,
    "eos_token_id": 302,
    "hidden_act": "silu",
    "hidden_size": 48,
    "intermediate_size": 72,
    "max_position_embeddings": 4096,
    "num_attention_heads": 6,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-5,
    "vocab_size": 330,
}
# As the hub has it: the language model's fields stand flat beside the rest.
QWEN2_5_CONFIG: Mapping[str, Any] = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "torch_dtype": "bfloat16",
    **_IDS,
    **_TEXT,
    "rope_theta": 12345.0,
    "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]},
    "sliding_window": 32,
    "max_window_layers": 3,
    "use_sliding_window": False,
    "tie_word_embeddings": False,
    "vision_config": {
        "depth": 3,
        "hidden_act": "silu",
        "hidden_size": 32,
        "intermediate_size": 40,
        "num_heads": 4,
        "in_chans": 3,
        "out_hidden_size": 48,
        "patch_size": 6,
        "spatial_merge_size": 2,
        "spatial_patch_size": 6,
        "window_size": 24,
        "fullatt_block_indexes": [2],
        "tokens_per_second": 2,
        "temporal_patch_size": 2,
    },
}
QWEN3_CONFIG: Mapping[str, Any] = {
    "architectures": ["Qwen3VLForConditionalGeneration"],
    "model_type": "qwen3_vl",
    **_IDS,
    "tie_word_embeddings": True,
    "text_config": {
        "model_type": "qwen3_vl_text",
        **_TEXT,
        "attention_bias": False,
        "head_dim": 12,
        "rope_theta": 54321,
        "rope_scaling": {"mrope_interleaved": True, "mrope_section": [2, 2, 2], "rope_type": "default"},
        "tie_word_embeddings": True,
    },
    "vision_config": {
        "model_type": "qwen3_vl",
        "deepstack_visual_indexes": [0, 2],
        "depth": 3,
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 32,
        "in_channels": 3,
        "intermediate_size": 40,
        "num_heads": 4,
        "num_position_embeddings": 49,
        "out_hidden_size": 48,
        "patch_size": 8,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
}
_QWEN_PIXELS = {"merge_size": 2, "temporal_patch_size": 2, "image_processor_type": "Qwen2VLImageProcessorFast"}
QWEN2_5_PIXELS: Mapping[str, Any] = {
    **_QWEN_PIXELS,
    "patch_size": 6,
    "min_pixels": 400,
    "max_pixels": 30_000,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
QWEN3_PIXELS: Mapping[str, Any] = {
    **_QWEN_PIXELS,
    "patch_size": 8,
    "size": {"shortest_edge": 2_000, "longest_edge": 40_000},
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}


class Kind(NamedTuple):
    """One class of transformers: a card, what its tiny checkpoint is made of, the reference for its pixels."""

    card: GridCard
    config: Mapping[str, Any]
    pixels: Mapping[str, Any]  # its preprocessor_config.json
    ids: Mapping[str, int]
    processor: str  # the class of transformers that makes them with Pillow


KINDS: Mapping[str, Kind] = {
    "qwen2.5-vl": Kind(QWEN2_5_VL_7B, QWEN2_5_CONFIG, QWEN2_5_PIXELS, QWEN_IDS, "Qwen2VLImageProcessorPil"),
    "qwen3-vl": Kind(QWEN3_VL_4B, QWEN3_CONFIG, QWEN3_PIXELS, QWEN_IDS, "Qwen2VLImageProcessorPil"),
}


def tiny_model(kind: Kind) -> Any:
    """A model with random weights, by which the likeliest token leads by more than rounding."""
    torch.manual_seed(7)
    model = getattr(transformers, kind.card.family.model)(model_config(kind.config, kind.card.family)).float().eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3)
    model.generation_config.eos_token_id = None
    return model


def write_grid(folder: Path, kind: Kind, model: Any) -> Path:
    """A checkpoint with this model's weights."""
    folder.mkdir(parents=True)
    save_file(hub_tensors(model), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(kind.config))
    (folder / "preprocessor_config.json").write_text(json.dumps(kind.pixels))
    vocabulary = kind.config.get("text_config", kind.config)["vocab_size"]
    stand_in_tokenizer(vocabulary, kind.ids).save(str(folder / "tokenizer.json"))
    return folder


def hub_tensors(model: Any) -> dict[str, torch.Tensor]:
    """The model's tensors by the names that the hub has for them."""
    named = model.state_dict()
    if model.config.tie_word_embeddings:
        del named["lm_head.weight"]
    return {_hub_name(model.config.model_type, name): tensor.clone().contiguous() for name, tensor in named.items()}


def _hub_name(model_type: str, name: str) -> str:
    if model_type == "qwen2_5_vl":
        return name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")
    return name

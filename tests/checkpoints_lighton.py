"""Tiny random checkpoints of LightOnOCR in the hub's layout, and the numbers of the real one."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from transformers import LightOnOcrForConditionalGeneration

from bench.shapes_dots import stand_in_tokenizer
from ocr.models.lighton.engine import model_config

IDS: Mapping[str, int] = {"<|endoftext|>": 300, "<|im_start|>": 301, "<|im_end|>": 302, "<|image_pad|>": 312}
_ROPE = {"rope_type": "default"}
HUB: Mapping[str, Any] = {  # the real one's
    "architectures": ["LightOnOCRForConditionalGeneration"],
    "dtype": "bfloat16",
    "eos_token_id": 151645,
    "image_token_id": 151655,
    "model_type": "mistral3",
    "multimodal_projector_bias": False,
    "pad_token_id": 151643,
    "projector_hidden_act": "gelu",
    "spatial_merge_size": 2,
    "text_config": {
        "attention_bias": False,
        "head_dim": 128,
        "hidden_act": "silu",
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "max_position_embeddings": 16384,
        "max_window_layers": 28,
        "model_type": "qwen3",
        "num_attention_heads": 16,
        "num_hidden_layers": 28,
        "num_key_value_heads": 8,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {**_ROPE, "rope_theta": 1_000_000},
        "sliding_window": None,
        "tie_word_embeddings": True,
        "use_qk_norm": True,
        "use_sliding_window": False,
        "vocab_size": 151936,
    },
    "use_cache": False,
    "vision_config": {
        "head_dim": 64,
        "hidden_act": "silu",
        "hidden_size": 1024,
        "image_size": 1540,
        "intermediate_size": 4096,
        "model_type": "pixtral",
        "num_attention_heads": 16,
        "num_channels": 3,
        "num_hidden_layers": 24,
        "patch_size": 14,
        "rope_parameters": {**_ROPE, "rope_theta": 10_000},
    },
    "vision_feature_layer": -1,
}
_CLIP = {
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}
PIXELS: Mapping[str, Any] = {**_CLIP, "patch_size": 14, "resample": 3, "size": {"longest_edge": 1540}}


class Tiny(NamedTuple):
    """What a tiny checkpoint is made of."""

    config: Mapping[str, Any]
    pixels: Mapping[str, Any]
    has_own_file: bool  # whether the pixels are in a preprocessor_config.json, not in the processor_config.json


AS_THE_HUB = Tiny(
    {
        **HUB,
        "eos_token_id": 302,
        "image_token_id": 312,
        "pad_token_id": 300,
        "text_config": {
            **HUB["text_config"],
            "head_dim": 16,
            "hidden_size": 48,
            "intermediate_size": 72,
            "max_position_embeddings": 4096,
            "num_attention_heads": 6,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5,
            "rope_parameters": {**_ROPE, "rope_theta": 7654},
            "vocab_size": 330,
        },
        "vision_config": {
            **HUB["vision_config"],
            "head_dim": 8,
            "hidden_size": 32,
            "image_size": 132,
            "intermediate_size": 40,
            "num_attention_heads": 4,
            "num_hidden_layers": 3,
            "patch_size": 6,
            "rope_parameters": {**_ROPE, "rope_theta": 432},
        },
    },
    {**PIXELS, "patch_size": 6, "size": {"longest_edge": 131}},
    has_own_file=False,
)
_TEXT, _VISION = AS_THE_HUB.config["text_config"], AS_THE_HUB.config["vision_config"]
OTHERWISE = Tiny(  # other numbers, older names, a head of its own
    {
        "model_type": "lighton_ocr",
        "image_token_index": 312,
        "spatial_merge_size": 3,
        "tie_word_embeddings": False,
        "text_config": {
            **{name: value for name, value in _TEXT.items() if name != "rope_parameters"},
            "hidden_size": 40,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "rope_theta": 2345.0,
            "rms_norm_eps": 1e-3,
            "tie_word_embeddings": False,
        },
        "vision_config": {
            **{name: value for name, value in _VISION.items() if name not in ("rope_parameters", "head_dim")},
            "hidden_size": 48,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "patch_size": 4,
            "rope_theta": 98.0,
        },
    },
    {**PIXELS, "patch_size": 4, "size": {"longest_edge": 97}, "image_mean": [0.5, 0.4, 0.3], "rescale_factor": 1 / 256},
    has_own_file=True,
)
TINY: Mapping[str, Tiny] = {"as the hub's": AS_THE_HUB, "with other numbers": OTHERWISE}


def tiny_model(tiny: Tiny) -> Any:
    """A model with random weights, by which the likeliest token leads by more than rounding."""
    torch.manual_seed(1)
    model = LightOnOcrForConditionalGeneration(model_config(tiny.config)).float().eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.5)
    model.generation_config.eos_token_id = None
    return model


def write_lighton(folder: Path, tiny: Tiny, model: Any) -> Path:
    """A checkpoint with this model's weights, under the hub's names, which are the class's own."""
    folder.mkdir(parents=True)
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    if model.config.tie_word_embeddings:
        del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(tiny.config))
    name, content = "processor_config.json", {"processor_class": "PixtralProcessor", "image_processor": tiny.pixels}
    if tiny.has_own_file:
        (folder / name).write_text(json.dumps({"processor_class": "LightOnOCRProcessor"}))
        name, content = "preprocessor_config.json", tiny.pixels
    (folder / name).write_text(json.dumps(content))
    stand_in_tokenizer(tiny.config["text_config"]["vocab_size"], IDS).save(str(folder / "tokenizer.json"))
    return folder

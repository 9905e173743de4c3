"""Tiny random checkpoints of the models of a patch grid, in the hub's layout: config, tensor names, files."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from safetensors.torch import save_file

from bench.shapes_dots import stand_in_tokenizer
from ocr.models.patch_grid.card import GLM_OCR, OVISOCR2, PADDLEOCR_VL, QWEN2_5_VL_7B, QWEN3_VL_4B, GridCard
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


QWEN3_5_CONFIG: Mapping[str, Any] = {
    "architectures": ["Qwen3_5ForConditionalGeneration"],
    "model_type": "qwen3_5",
    **_IDS,
    "tie_word_embeddings": True,
    "text_config": {
        "model_type": "qwen3_5_text",
        **_TEXT,
        "attention_bias": False,
        "attn_output_gate": True,
        "head_dim": 16,
        "layer_types": ["linear_attention", "full_attention", "linear_attention"],
        "linear_conv_kernel_dim": 4,
        "linear_key_head_dim": 8,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_value_head_dim": 10,
        "mtp_num_hidden_layers": 1,
        "rope_parameters": {
            "mrope_interleaved": True,
            "mrope_section": [2, 1, 1],
            "partial_rotary_factor": 0.5,
            "rope_theta": 7654321,
            "rope_type": "default",
        },
        "tie_word_embeddings": True,
    },
    "vision_config": {
        **{name: value for name, value in QWEN3_CONFIG["vision_config"].items() if name != "deepstack_visual_indexes"},
        "model_type": "qwen3_5",
    },
}
PADDLE_IDS: Mapping[str, int] = {
    "<s>": 300,
    "</s>": 301,
    "<|begin_of_sentence|>": 302,
    "<|end_of_sentence|>": 303,
    "<|IMAGE_PLACEHOLDER|>": 310,
    "<|IMAGE_START|>": 311,
    "<|IMAGE_END|>": 312,
    "<|LOC_7|>": 313,
    "<fcel>": 314,
}
PADDLE_CONFIG: Mapping[str, Any] = {
    "architectures": ["PaddleOCRVLForConditionalGeneration"],
    "model_type": "paddleocr_vl",
    **_TEXT,
    "bos_token_id": 300,
    "eos_token_id": 301,
    "head_dim": 16,
    "image_token_id": 310,
    "vision_start_token_id": 311,
    "video_token_id": 315,
    "rope_theta": 98765,
    "rope_scaling": {"mrope_section": [4, 2, 2], "rope_type": "default", "type": "default"},
    "tie_word_embeddings": False,
    "use_bias": False,
    "vision_config": {
        "model_type": "paddleocr_vl",
        "hidden_act": "gelu_pytorch_tanh",
        "hidden_size": 32,
        "image_size": 42,
        "intermediate_size": 40,
        "layer_norm_eps": 1e-5,
        "num_attention_heads": 4,
        "num_channels": 3,
        "num_hidden_layers": 2,
        "patch_size": 6,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,  # which the tower does not look at
        "tokens_per_second": 2,
    },
}
PADDLE_PIXELS: Mapping[str, Any] = {
    "image_processor_type": "PaddleOCRVLImageProcessor",
    "merge_size": 2,
    "temporal_patch_size": 1,
    "patch_size": 6,
    "min_pixels": 1_000,
    "max_pixels": 30_000,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
GLM_IDS: Mapping[str, int] = {
    "[gMASK]": 300,
    "<sop>": 301,
    "<|endoftext|>": 302,
    "<|user|>": 303,
    "<|assistant|>": 304,
    "<|begin_of_image|>": 310,
    "<|end_of_image|>": 311,
    "<|image|>": 312,
}
GLM_CONFIG: Mapping[str, Any] = {
    "architectures": ["GlmOcrForConditionalGeneration"],
    "model_type": "glm_ocr",
    "image_start_token_id": 310,
    "image_end_token_id": 311,
    "image_token_id": 312,
    "video_start_token_id": 313,
    "video_end_token_id": 314,
    "video_token_id": 315,
    "tie_word_embeddings": False,
    "text_config": {
        "model_type": "glm_ocr_text",
        **_TEXT,
        "eos_token_id": [302, 303],
        "head_dim": 16,
        "num_nextn_predict_layers": 1,
        "rope_parameters": {"rope_type": "default", "mrope_section": [4, 2, 2], "rope_theta": 4321},
    },
    "vision_config": {
        "model_type": "glm_ocr_vision",
        "attention_bias": True,
        "depth": 2,
        "hidden_act": "silu",
        "hidden_size": 32,
        "image_size": 42,
        "in_channels": 3,
        "intermediate_size": 40,
        "num_heads": 4,
        "out_hidden_size": 48,
        "patch_size": 6,
        "rms_norm_eps": 1e-4,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    },
}
GLM_PIXELS: Mapping[str, Any] = {
    "image_processor_type": "Glm46VImageProcessor",
    "merge_size": 2,
    "temporal_patch_size": 2,
    "patch_size": 6,
    "size": {"shortest_edge": 2_001, "longest_edge": 40_001},
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
}


class Kind(NamedTuple):
    """One class of transformers: a card, what its tiny checkpoint is made of, the reference for its pixels."""

    card: GridCard
    config: Mapping[str, Any]
    pixels: Mapping[str, Any]  # its preprocessor_config.json
    ids: Mapping[str, int]
    processor: str  # the class of transformers that makes them with Pillow
    unused: tuple[str, ...] = ()  # tensors that the hub's files have beside the model's


QWEN = "Qwen2VLImageProcessorPil"
KINDS: Mapping[str, Kind] = {
    "qwen2.5-vl": Kind(QWEN2_5_VL_7B, QWEN2_5_CONFIG, QWEN2_5_PIXELS, QWEN_IDS, QWEN),
    "qwen3-vl": Kind(QWEN3_VL_4B, QWEN3_CONFIG, QWEN3_PIXELS, QWEN_IDS, QWEN),
    "qwen3.5": Kind(
        replace(OVISOCR2, limits={"min_pixels": 3_000, "max_pixels": 20_000}),  # the real ones make large pages
        QWEN3_5_CONFIG,
        QWEN3_PIXELS,
        {**QWEN_IDS, "<think>": 314, "</think>": 315},
        QWEN,
        unused=("mtp.fc.weight", "mtp.layers.0.mlp.up_proj.weight"),
    ),
    "paddleocr-vl": Kind(
        PADDLEOCR_VL,
        PADDLE_CONFIG,
        PADDLE_PIXELS,
        PADDLE_IDS,
        "PaddleOCRVLImageProcessorPil",
        unused=(
            "visual.vision_model.embeddings.packing_position_embedding.weight",
            "visual.vision_model.head.probe",
        ),
    ),
    "glm-ocr": Kind(
        GLM_OCR,
        GLM_CONFIG,
        GLM_PIXELS,
        GLM_IDS,
        "Glm46VImageProcessorPil",
        unused=("model.language_model.layers.16.eh_proj.weight",),
    ),
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
    unused = {name: torch.ones(2) for name in kind.unused}
    save_file(hub_tensors(model) | unused, folder / "model.safetensors", metadata={"format": "pt"})
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
    if model_type == "paddleocr_vl":
        for ours, theirs in (("visual.", "visual."), ("projector.", "mlp_AR."), ("language_model.", "model.")):
            name = theirs + name.removeprefix(f"model.{ours}") if name.startswith(f"model.{ours}") else name
    return name

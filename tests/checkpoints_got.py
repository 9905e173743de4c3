"""Tiny random checkpoints of GOT-OCR 2.0 in the hub's layout: config, tensor names, files."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import GotOcr2Config, GotOcr2ForConditionalGeneration

from bench.shapes_dots import stand_in_tokenizer

IDS: Mapping[str, int] = {
    "<|endoftext|>": 300,
    "<|im_start|>": 301,
    "<|im_end|>": 302,
    "<img>": 310,
    "</img>": 311,
    "<imgpad>": 312,
}
# What the hub's config.json has, of its size to the byte; the rest is left to transformers' classes.
HUB_CONFIG: Mapping[str, Any] = {
    "architectures": ["GotOcr2ForConditionalGeneration"],
    "ignore_index": -100,
    "image_seq_length": 576,
    "image_token_index": 151859,
    "model_type": "got_ocr2",
    "text_config": {
        "hidden_size": 1024,
        "intermediate_size": 2816,
        "max_window_layers": 21,
        "model_type": "qwen2",
        "num_attention_heads": 16,
        "num_hidden_layers": 24,
        "num_key_value_heads": 16,
        "rope_theta": 1000000.0,
        "tie_word_embeddings": True,
        "vocab_size": 151860,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.48.0.dev0",
    "vision_config": {"model_type": ""},
}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "as the hub writes it": {
        **HUB_CONFIG,
        "image_token_index": 312,
        "text_config": {
            **HUB_CONFIG["text_config"],
            "hidden_size": 48,
            "intermediate_size": 72,
            "num_attention_heads": 6,
            "num_hidden_layers": 3,
            "num_key_value_heads": 2,
            "rope_theta": 12345.0,
            "vocab_size": 330,
        },
        "vision_config": {
            "model_type": "",
            "hidden_size": 32,
            "output_channels": 12,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": 48,
            "patch_size": 4,
            "window_size": 5,
            "global_attn_indexes": [1],
            "mlp_dim": 40,
        },
    },
    "of other dimensions, as a newer transformers writes it": {
        "architectures": ["GotOcr2ForConditionalGeneration"],
        "dtype": "float32",
        "image_seq_length": 576,
        "image_token_index": 312,
        "model_type": "got_ocr2",
        "text_config": {
            "hidden_act": "silu",
            "hidden_size": 40,
            "intermediate_size": 56,
            "max_position_embeddings": 2048,
            "model_type": "qwen2",
            "num_attention_heads": 5,
            "num_hidden_layers": 2,
            "num_key_value_heads": 5,
            "rms_norm_eps": 1e-4,
            "rope_parameters": {"rope_theta": 4321.0, "rope_type": "default"},
            "tie_word_embeddings": False,
            "use_sliding_window": False,
            "vocab_size": 340,
        },
        "tie_word_embeddings": False,
        "vision_config": {
            "hidden_act": "gelu",
            "hidden_size": 24,
            "image_size": 56,
            "layer_norm_eps": 1e-4,
            "mlp_dim": 32,
            "model_type": "got_ocr2_vision",
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "output_channels": 10,
            "patch_size": 8,
            "window_size": 3,
            "global_attn_indexes": [0],
        },
    },
}


def preprocessor(config: Mapping[str, Any]) -> dict[str, Any]:
    """The preprocessor_config.json beside such a config.json, as the hub has it."""
    side = config["vision_config"]["image_size"]
    return {
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_processor_type": "GotOcr2ImageProcessor",
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "processor_class": "GotOcr2Processor",
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"height": side, "width": side},
    }


def tiny_model(config: Mapping[str, Any], norm: float = 1.0) -> Any:
    """A model as transformers reads this config, with random weights; those of its norms are around `norm`.

    Around 1 its tokens are many, each the likeliest by more than rounding; around 0 it repeats itself.
    """
    torch.manual_seed(7)
    model = GotOcr2ForConditionalGeneration(GotOcr2Config.from_dict(copy.deepcopy(dict(config)))).float().eval()
    for name, parameter in model.named_parameters():
        parameter.data.normal_(norm if name.endswith("norm.weight") else 0, 0.3)
    model.generation_config.eos_token_id = None
    return model


def write_got(folder: Path, config: Mapping[str, Any], model: Any) -> Path:
    """A checkpoint with this model's weights."""
    folder.mkdir(parents=True)
    save_file(hub_tensors(model), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor(config)))
    stand_in_tokenizer(config["text_config"]["vocab_size"], IDS).save(str(folder / "tokenizer.json"))
    return folder


def hub_tensors(model: Any) -> dict[str, torch.Tensor]:
    """The model's tensors by the names that the hub has for them."""
    named = model.state_dict()
    if model.config.tie_word_embeddings:
        del named["lm_head.weight"]
    return {hub_name(name): tensor.clone().contiguous() for name, tensor in named.items()}


def hub_name(name: str) -> str:
    """What the hub's file calls the tensor that transformers has under this name."""
    if name.startswith("lm_head."):
        return f"language_model.{name}"
    return name.removeprefix("model.").replace("language_model.", "language_model.model.")

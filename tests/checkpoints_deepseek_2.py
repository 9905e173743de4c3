"""Tiny random checkpoints of DeepSeek-OCR-2 in the hub's layout, and transformers' config of each, written by hand."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import DeepseekOcr2Config

from bench.shapes_deepseek import Queries, Sam, shapes_2
from tests.checkpoints import DEEPSEEK_CONFIG, byte_tokenizer, seeded, write_weights


class Kind(NamedTuple):
    """One set of dimensions."""

    language: Mapping[str, Any]  # of config.json
    width: Mapping[str, Any]  # of config.json's vision_config
    sam: Sam
    queries: Queries
    text: Mapping[str, Any]  # transformers' name for what it does not share with config.json, as are the next two
    sam_config: Mapping[str, Any]
    encoder_config: Mapping[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """A config.json as the hub has it."""
        return {
            "model_type": "deepseek_vl_v2",
            "architectures": ["DeepseekOCR2ForCausalLM"],
            "auto_map": {"AutoModel": "modeling_deepseekocr2.DeepseekOCR2ForCausalLM"},  # never followed
            "torch_dtype": "bfloat16",
            "language_config": {**self.language, "q_lora_rank": None, "kv_lora_rank": None, "use_mla": False},
            "projector_config": {"input_dim": self.queries.width, "n_embed": self.language["hidden_size"]},
            "vision_config": {"image_size": 1024, "model_name": "deepencoderv2", "width": dict(self.width)},
        }

    @property
    def reference(self) -> DeepseekOcr2Config:
        """The config that the class is to have."""
        shared = {name: value for name, value in self.language.items() if name in SHARED}
        return DeepseekOcr2Config(
            text_config={**shared, **self.text},
            vision_config={"sam_config": dict(self.sam_config), "encoder_config": dict(self.encoder_config)},
            image_token_id=299,
        )

    @property
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        shapes = shapes_2(self.language, self.sam, self.queries)
        return {name: seeded(name, shape) for name, shape in shapes.items()}


SHARED = {*DEEPSEEK_CONFIG["language_config"], "rms_norm_eps", "routed_scaling_factor"} - {"first_k_dense_replace"}
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
KINDS: Mapping[str, Kind] = {
    "small": Kind(
        language=DEEPSEEK_CONFIG["language_config"],
        width={
            # What a copy of DeepSeek-OCR's file has for the last convolution; the encoder behind it decides.
            "sam_vit_b": {"downsample_channels": [20, 1024], "global_attn_indexes": [1], "heads": 2, "layers": 2}
            | {"width": 32, "mlp": 48, "neck": 16},
            "qwen2-0-5b": {"dim": 48, "layers": 2, "heads": 4, "kv_heads": 2, "mlp": 64},
        },
        sam=Sam(width=32, mlp=48, layers=2, whole=(1,), head=16, neck=16, channels=(20, 48)),
        queries=Queries(width=48, mlp=64, layers=2, keys=24),
        text={"mlp_layer_types": ["dense", "sparse", "sparse"], "rope_parameters": ROPE},
        sam_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "global_attn_indexes": [1]}
        | {"mlp_dim": 48, "output_channels": 16, "downsample_channels": [20, 48]},
        encoder_config={"hidden_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        | {"intermediate_size": 64, "rms_norm_eps": 1e-6, "rope_parameters": {**ROPE, "rope_theta": 1e6}},
    ),
    "of other dimensions": Kind(
        language={
            **DEEPSEEK_CONFIG["language_config"],
            "first_k_dense_replace": 2,
            "hidden_size": 96,
            "max_position_embeddings": 4096,
            "moe_intermediate_size": 48,
            "n_routed_experts": 6,
            "n_shared_experts": 1,
            "num_attention_heads": 6,
            "num_experts_per_tok": 2,
            "num_hidden_layers": 4,
            "num_key_value_heads": 3,
            "rms_norm_eps": 1e-4,
            "rope_theta": 4321,
            "routed_scaling_factor": 1.5,
        },
        width={
            "sam_vit_b": {"global_attn_indexes": [0], "heads": 1, "layers": 2, "width": 24, "mlp": 40, "neck": 8},
            "qwen2-0-5b": {"dim": 36, "layers": 3, "heads": 3, "kv_heads": 1, "mlp": 50}
            | {"rms_norm_eps": 1e-3, "rope_theta": 5432},
        },
        sam=Sam(width=24, mlp=40, layers=2, whole=(0,), head=24, neck=8, channels=(512, 36)),
        queries=Queries(width=36, mlp=50, layers=3, keys=12),
        text={
            "mlp_layer_types": ["dense", "dense", "sparse", "sparse"],
            "rope_parameters": {**ROPE, "rope_theta": 4321.0},
        },
        sam_config={"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 1, "global_attn_indexes": [0]}
        | {"mlp_dim": 40, "output_channels": 8, "downsample_channels": [512, 36]},
        encoder_config={"hidden_size": 36, "num_hidden_layers": 3, "num_attention_heads": 3, "num_key_value_heads": 1}
        | {"intermediate_size": 50, "rms_norm_eps": 1e-3, "rope_parameters": {**ROPE, "rope_theta": 5432.0}},
    ),
}


def write_deepseek_2(folder: Path, kind: Kind, extra: Mapping[str, NDArray[np.float32]] | None = None) -> Path:
    """A checkpoint with these dimensions, and with extra tensors if there are any."""
    write_weights(folder, {**kind.tensors, **(extra or {})})
    (folder / "config.json").write_text(json.dumps(kind.config))
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    return folder

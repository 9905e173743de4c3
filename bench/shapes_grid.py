"""What the full-size models of a patch grid are made of: the numbers of their config.json and preprocessor_config.json
that shape them, and the ids of their special tokens."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class FullSize(NamedTuple):
    """One model's numbers."""

    config: Mapping[str, Any]
    pixels: Mapping[str, Any]
    ids: Mapping[str, int]


def _pixels(patch: int, frames: int, least: int, most: int) -> Mapping[str, Any]:
    limits = {"min_pixels": least, "max_pixels": most}
    levels = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    return {"patch_size": patch, "merge_size": 2, "temporal_patch_size": frames, **limits, **levels}


_QWEN_IDS = {
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|vision_start|>": 151652,
    "<|vision_end|>": 151653,
    "<|image_pad|>": 151655,
}
_QWEN = {
    "vision_start_token_id": 151652,
    "vision_end_token_id": 151653,
    "image_token_id": 151655,
    "video_token_id": 151656,
}
_QWEN3_VISION = {
    "hidden_act": "gelu_pytorch_tanh",
    "in_channels": 3,
    "num_position_embeddings": 2304,
    "patch_size": 16,
    "spatial_merge_size": 2,
    "temporal_patch_size": 2,
}
MODELS: Mapping[str, FullSize] = {
    "qwen3-vl-4b": FullSize(
        {
            "model_type": "qwen3_vl",
            **_QWEN,
            "tie_word_embeddings": True,
            "text_config": {
                "model_type": "qwen3_vl_text",
                "head_dim": 128,
                "hidden_act": "silu",
                "hidden_size": 2560,
                "intermediate_size": 9728,
                "max_position_embeddings": 262144,
                "num_attention_heads": 32,
                "num_hidden_layers": 36,
                "num_key_value_heads": 8,
                "rms_norm_eps": 1e-6,
                "rope_theta": 5_000_000,
                "rope_scaling": {"mrope_interleaved": True, "mrope_section": [24, 20, 20], "rope_type": "default"},
                "vocab_size": 151936,
            },
            "vision_config": {
                **_QWEN3_VISION,
                "deepstack_visual_indexes": [5, 11, 17],
                "depth": 24,
                "hidden_size": 1024,
                "intermediate_size": 4096,
                "num_heads": 16,
                "out_hidden_size": 2560,
            },
        },
        _pixels(16, 2, 65_536, 16_777_216),
        _QWEN_IDS,
    ),
    "qwen2.5-vl-7b": FullSize(
        {
            "model_type": "qwen2_5_vl",
            **_QWEN,
            "hidden_act": "silu",
            "hidden_size": 3584,
            "intermediate_size": 18944,
            "max_position_embeddings": 128000,
            "num_attention_heads": 28,
            "num_hidden_layers": 28,
            "num_key_value_heads": 4,
            "rms_norm_eps": 1e-6,
            "rope_theta": 1_000_000.0,
            "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
            "tie_word_embeddings": False,
            "use_sliding_window": False,
            "vocab_size": 152064,
            "vision_config": {
                "depth": 32,
                "fullatt_block_indexes": [7, 15, 23, 31],
                "hidden_act": "silu",
                "hidden_size": 1280,
                "intermediate_size": 3420,
                "num_heads": 16,
                "out_hidden_size": 3584,
                "patch_size": 14,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
                "window_size": 112,
            },
        },
        _pixels(14, 2, 3_136, 12_845_056),
        _QWEN_IDS,
    ),
    "ovisocr2": FullSize(
        {
            "model_type": "qwen3_5",
            "vision_start_token_id": 248053,
            "vision_end_token_id": 248054,
            "image_token_id": 248056,
            "video_token_id": 248057,
            "tie_word_embeddings": True,
            "text_config": {
                "model_type": "qwen3_5_text",
                "head_dim": 256,
                "hidden_act": "silu",
                "hidden_size": 1024,
                "intermediate_size": 3584,
                "layer_types": ["linear_attention", "linear_attention", "linear_attention", "full_attention"] * 6,
                "linear_conv_kernel_dim": 4,
                "linear_key_head_dim": 128,
                "linear_num_key_heads": 16,
                "linear_num_value_heads": 16,
                "linear_value_head_dim": 128,
                "max_position_embeddings": 262144,
                "num_attention_heads": 8,
                "num_hidden_layers": 24,
                "num_key_value_heads": 2,
                "rms_norm_eps": 1e-6,
                "rope_parameters": {
                    "mrope_interleaved": True,
                    "mrope_section": [11, 11, 10],
                    "partial_rotary_factor": 0.25,
                    "rope_theta": 10_000_000,
                    "rope_type": "default",
                },
                "vocab_size": 248320,
            },
            "vision_config": {
                **_QWEN3_VISION,
                "depth": 12,
                "hidden_size": 768,
                "intermediate_size": 3072,
                "num_heads": 12,
                "out_hidden_size": 1024,
            },
        },
        _pixels(16, 2, 65_536, 16_777_216),
        {
            "<|endoftext|>": 248044,
            "<|im_start|>": 248045,
            "<|im_end|>": 248046,
            "<|vision_start|>": 248053,
            "<|vision_end|>": 248054,
            "<|image_pad|>": 248056,
        },
    ),
    "paddleocr-vl": FullSize(
        {
            "model_type": "paddleocr_vl",
            "head_dim": 128,
            "hidden_act": "silu",
            "hidden_size": 1024,
            "image_token_id": 100295,
            "intermediate_size": 3072,
            "max_position_embeddings": 131072,
            "num_attention_heads": 16,
            "num_hidden_layers": 18,
            "num_key_value_heads": 2,
            "rms_norm_eps": 1e-5,
            "rope_theta": 500_000,
            "rope_scaling": {"mrope_section": [16, 24, 24], "rope_type": "default", "type": "default"},
            "tie_word_embeddings": False,
            "use_bias": False,
            "vision_start_token_id": 101305,
            "vocab_size": 103424,
            "vision_config": {
                "hidden_act": "gelu_pytorch_tanh",
                "hidden_size": 1152,
                "image_size": 384,
                "intermediate_size": 4304,
                "layer_norm_eps": 1e-6,
                "num_attention_heads": 16,
                "num_channels": 3,
                "num_hidden_layers": 27,
                "patch_size": 14,
                "spatial_merge_size": 2,
            },
        },
        _pixels(14, 1, 112_896, 1_003_520),
        {
            "</s>": 2,
            "<|end_of_sentence|>": 100272,
            "<|begin_of_sentence|>": 100273,
            "<|IMAGE_PLACEHOLDER|>": 100295,
            "<|IMAGE_START|>": 101305,
            "<|IMAGE_END|>": 101306,
        },
    ),
    "glm-ocr": FullSize(
        {
            "model_type": "glm_ocr",
            "image_start_token_id": 59256,
            "image_end_token_id": 59257,
            "image_token_id": 59280,
            "tie_word_embeddings": False,
            "text_config": {
                "model_type": "glm_ocr_text",
                "head_dim": 128,
                "hidden_act": "silu",
                "hidden_size": 1536,
                "intermediate_size": 4608,
                "max_position_embeddings": 131072,
                "num_attention_heads": 16,
                "num_hidden_layers": 16,
                "num_key_value_heads": 8,
                "rms_norm_eps": 1e-5,
                "rope_parameters": {"mrope_section": [16, 24, 24], "rope_theta": 10_000, "rope_type": "default"},
                "vocab_size": 59392,
            },
            "vision_config": {
                "attention_bias": True,
                "depth": 24,
                "hidden_act": "silu",
                "hidden_size": 1024,
                "image_size": 336,
                "in_channels": 3,
                "intermediate_size": 4096,
                "num_heads": 16,
                "out_hidden_size": 1536,
                "patch_size": 14,
                "rms_norm_eps": 1e-5,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
            },
        },
        _pixels(14, 2, 12_544, 9_633_792),
        {
            "<|endoftext|>": 59246,
            "<|user|>": 59253,
            "<|assistant|>": 59254,
            "<|begin_of_image|>": 59256,
            "<|end_of_image|>": 59257,
            "<|image|>": 59280,
        },
    ),
}

"""The engine of DeepSeek-OCR-2: its config and features on transformers' own class.

In CLIP's place a language model's layers look at what SAM saw: image features attend to one another both ways, learned
queries after them to the image and to the queries before, and what becomes of the queries is what is seen of a view.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DeepseekOcr2Config, DeepseekOcr2ForConditionalGeneration

from ocr.engines.native import NativeEngine
from ocr.errors import SetupError
from ocr.models.deepseek.card import DeepSeekCard
from ocr.models.deepseek.engine import (
    SAM_FIELDS,
    DeepSeekNetwork,
    language_fields,
    load_parts,
    vision_encoders,
    vision_fields,
)
from ocr.models.deepseek.processor import Page
from ocr.settings import Settings


def load(folder: Path, card: DeepSeekCard, settings: Settings) -> NativeEngine[Page]:
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    processor, model = load_parts(folder, card, settings, DeepseekOcr2ForConditionalGeneration, model_config)
    return NativeEngine(processor, QueryNetwork(model))


# The hub's file has the name without a star alone and leaves the other numbers to the makers' code (qwen2_d2e.py);
# those with a star are this project's form for smaller models, as SAM's are.
_QUERY_FIELDS = {
    "dim": "hidden_size",
    "layers": "num_hidden_layers",  # *
    "heads": "num_attention_heads",  # *
    "kv_heads": "num_key_value_heads",  # *
    "mlp": "intermediate_size",  # *
    "rms_norm_eps": "rms_norm_eps",  # *
    "rope_theta": "rope_theta",  # *
}
_QUERY_ENCODER: Mapping[str, Any] = {
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
}
_FIRST_CHANNELS = 512  # of SAM's two last convolutions, where config.json names none


def model_config(
    checkpoint: Mapping[str, Any], image_token_id: int, model_type: str = "deepseek_vl_v2"
) -> DeepseekOcr2Config:
    """transformers' config for a checkpoint's own config.json, which transformers cannot read itself.

    SAM's last convolution gives what the encoder behind it takes, whatever number config.json has for it. Raises
    SetupError for another model's config.
    """
    text = language_fields(checkpoint, model_type)
    if "clip-l-14-224" in vision_encoders(checkpoint):
        raise SetupError(
            "The checkpoint's vision_config has clip-l-14-224, as DeepSeek-OCR's has; this model's has qwen2-0-5b."
            " Put it into the folder of its own model."
        )
    dense = text.pop("first_k_dense_replace")
    text["mlp_layer_types"] = ["dense"] * dense + ["sparse"] * (text["num_hidden_layers"] - dense)
    encoder = {**_QUERY_ENCODER, **vision_fields(checkpoint, "qwen2-0-5b", _QUERY_FIELDS)}
    encoder["rope_parameters"] = {"rope_type": "default", "rope_theta": float(encoder.pop("rope_theta"))}
    sam = vision_fields(checkpoint, "sam_vit_b", SAM_FIELDS)
    sam["downsample_channels"] = [*sam.get("downsample_channels", [_FIRST_CHANNELS])[:1], encoder["hidden_size"]]
    return DeepseekOcr2Config(
        text_config=text,
        vision_config={"sam_config": sam, "encoder_config": encoder},
        image_token_id=image_token_id,
    )


class QueryNetwork(DeepSeekNetwork):
    """The vision encoders and the language model."""

    @torch.inference_mode()
    def image_features(self, whole: Tensor, tiles: Tensor | None, rows: int) -> Tensor:
        """What the vision encoders make of a page, (image tokens, hidden): tile by tile, the whole view, separator.

        `whole` is the normalised whole-page view, (1, 3, 1024, 1024), `tiles` the crops, (tiles, 3, 768, 768), in the
        order of the page's `rows`. Source: `_pixel_values_to_embedding` in vLLM's deepseek_ocr2.py.
        """
        views = [*(self._chunks(tiles) if tiles is not None else []), whole]
        seen = [self._encode(chunk).flatten(0, 2) for chunk in views]  # (views * features, hidden)
        return torch.cat([*seen, self.model.model.view_separator[None]])

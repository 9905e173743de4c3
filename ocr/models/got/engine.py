"""The GOT-OCR 2.0 engine: its config and features on transformers' own class. Knows no files of the user's, no HTTP or
Cog; runs no code from a checkpoint."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor
from transformers import GotOcr2Config, GotOcr2ForConditionalGeneration

from ocr.decoding.sequence import FirstPass, in_order
from ocr.engines.checkpoint import check_fields, load_tokenizer, read_json
from ocr.engines.hardware import Hardware, choose_hardware
from ocr.engines.loading import load_model
from ocr.engines.native import NativeEngine, Network
from ocr.engines.patches import normalised
from ocr.engines.seeing import sam_bytes
from ocr.engines.whole_view import attend_to_whole_views, attends_in_parts
from ocr.errors import SetupError
from ocr.models.card import Card
from ocr.models.got.processor import GotProcessor, Page, ViewRules, view_rules
from ocr.settings import Settings


def load(folder: Path, card: Card, settings: Settings) -> NativeEngine[Page]:
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    hardware = choose_hardware(settings, card.dtype)
    config = model_config(read_json(folder / "config.json"))
    vision, text = config.vision_config, config.text_config
    preprocessor = read_json(folder / "preprocessor_config.json")
    rules = view_rules(preprocessor, side=vision.image_size, patch=vision.patch_size)
    processor = GotProcessor(load_tokenizer(folder), text.max_position_embeddings, card, rules)
    processor.check_image_token(config.image_token_id)
    # SAM's relative positions are a bias on the attention, which the class adds in a product of its own alone.
    attention = {"": "eager", "vision_config": "eager", "text_config": hardware.attention}
    model = load_model(GotOcr2ForConditionalGeneration, folder, config, hardware, attention)
    if attends_in_parts(hardware):
        attend_to_whole_views(model.model.vision_tower.layers)
    return NativeEngine(processor, GotNetwork(model, rules))


_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "rope_theta",
)
_TEXT_FIXED = {"model_type": "qwen2", "hidden_act": "silu", "use_sliding_window": False}  # what the cache is built for
# What the hub's file leaves to the classes, and the model's numbers for it.
_MORE_TEXT_FIELDS: Mapping[str, Any] = {"rms_norm_eps": 1e-6, "max_position_embeddings": 32768}
_VISION_FIXED = {"use_rel_pos": True}  # which attention to whole views adds
_VISION_FIELDS: Mapping[str, Any] = {
    "hidden_size": 768,
    "output_channels": 256,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_channels": 3,
    "image_size": 1024,
    "patch_size": 16,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "qkv_bias": True,
    "use_abs_pos": True,
    "window_size": 14,
    "global_attn_indexes": [2, 5, 8, 11],
    "mlp_dim": 3072,
}


def model_config(checkpoint: Mapping[str, Any]) -> GotOcr2Config:
    """transformers' config for a checkpoint's own config.json.

    The hub's file says nothing of the vision tower, and of the language model only what differs from Qwen2's usual.
    Raises SetupError for another model's config, and where a number is missing that the hub's file has.
    """
    text, vision = checkpoint.get("text_config"), checkpoint.get("vision_config", {})
    if checkpoint.get("model_type") != "got_ocr2" or not isinstance(text, dict) or not isinstance(vision, dict):
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            "this model's has 'got_ocr2' and a text_config."
        )
    rope = text.get("rope_parameters") or {}
    check_fields("config.json", checkpoint, ("image_token_index",), {})
    check_fields("text_config", {**rope, **text}, _TEXT_FIELDS, _TEXT_FIXED)
    check_fields("vision_config", vision, (), _VISION_FIXED)
    given = copy.deepcopy(dict(checkpoint))  # transformers writes into what it is given
    is_tied = given.get("tie_word_embeddings", text.get("tie_word_embeddings", True))
    given |= {
        "text_config": {**_MORE_TEXT_FIELDS, **given["text_config"], "tie_word_embeddings": is_tied},
        "vision_config": {**_VISION_FIXED, **_VISION_FIELDS, **given.get("vision_config", {})},
        "tie_word_embeddings": is_tied,
    }
    return GotOcr2Config.from_dict(given)


class GotNetwork(Network[Page]):
    """The vision tower and the language model."""

    def __init__(self, model: Any, rules: ViewRules) -> None:
        super().__init__(model)
        self._rules = rules

    def first_pass(self, page: Page) -> FirstPass:
        """A page's prompt with the features of its views, one after the other, in the image's places."""
        features = torch.cat([self.image_features(self.pixels([view])) for view in page.views])
        return in_order(self.merge(page.ids, features, self.model.config.image_token_id))

    def seeing_bytes(self, page: Page, hardware: Hardware) -> float:
        """See `Network`: scores, what positions add to them, their sum or softmax in float32, and the outcome."""
        dtype = hardware.dtype
        softmax = 0 if dtype == torch.float32 else torch.float32.itemsize
        scores = 0 if attends_in_parts(hardware) else 3 * dtype.itemsize + softmax
        return sam_bytes(self._rules.side, self.model.config.vision_config, dtype, scores)

    def pixels(self, views: Sequence[Image.Image]) -> Tensor:
        """Views as the vision tower takes them, (views, 3, side, side) in float32."""
        size = (self._rules.side, self._rules.side)
        numbers = np.stack([normalised(view, size, self._rules.levels) for view in views])
        return torch.from_numpy(rearrange(numbers, "views height width rgb -> views rgb height width")).contiguous()

    @torch.inference_mode()
    def image_features(self, pixels: Tensor) -> Tensor:
        """What the vision tower and the projector make of views, (image tokens, hidden).

        Scores of all patches by all take gigabytes for a view, so a page's are seen one by one.
        """
        pixels = pixels.to(self.model.device, self.model.dtype)
        features: Tensor = self.model.model.get_image_features(pixels, return_dict=True).pooler_output
        return features.flatten(0, 1)

"""The engine of LightOnOCR, around transformers' own class: its config and its first pass. Knows no files of the
user's, no HTTP or Cog; runs no code from a checkpoint."""

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor
from transformers import LightOnOcrConfig, LightOnOcrForConditionalGeneration

from ocr.decoding.sequence import FirstPass, in_order
from ocr.engines.checkpoint import check_fields, load_tokenizer, read_json
from ocr.engines.hardware import Hardware, choose_hardware
from ocr.engines.loading import load_model
from ocr.engines.native import NativeEngine, Network
from ocr.engines.patches import normalised
from ocr.engines.seeing import tower_bytes
from ocr.errors import SetupError
from ocr.models.card import Card
from ocr.models.lighton.processor import LightOnProcessor, Page, PixelRules, pixel_rules
from ocr.settings import Settings


def load(folder: Path, card: Card, settings: Settings) -> NativeEngine[Page]:
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    hardware = choose_hardware(settings, card.dtype)
    config = model_config(read_json(folder / "config.json"))
    rules = pixel_rules(image_processor(folder), config.vision_config.patch_size * config.spatial_merge_size)
    processor = LightOnProcessor(load_tokenizer(folder), config.text_config.max_position_embeddings, card, rules)
    processor.check_image_token(config.image_token_id)
    model = load_model(LightOnOcrForConditionalGeneration, folder, config, hardware, hardware.attention)
    return NativeEngine(processor, LightOnNetwork(model, rules))


def image_processor(folder: Path) -> Mapping[str, Any]:
    """What a checkpoint says of pixels: part of its processor_config.json, or a file of its own in older revisions."""
    path = folder / "processor_config.json"
    given = read_json(path).get("image_processor") if path.exists() else None
    return given if isinstance(given, dict) else read_json(folder / "preprocessor_config.json")


_ARCHITECTURES = {"LightOnOCRForConditionalGeneration", "LightOnOcrForConditionalGeneration"}
_FIELDS = ("spatial_merge_size", "image_token_id", "tie_word_embeddings")
_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
)
_VISION_FIELDS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "hidden_act",
    "patch_size",
    "rope_theta",
)
# What the class is written for. A checkpoint that says otherwise would load, and answer nonsense.
_FIXED = {"projector_hidden_act": "gelu", "multimodal_projector_bias": False, "vision_feature_layer": -1}
_TEXT_FIXED = {"model_type": "qwen3", "use_qk_norm": True, "use_sliding_window": False}
_VISION_FIXED = {"model_type": "pixtral", "num_channels": 3}


def model_config(checkpoint: Mapping[str, Any]) -> LightOnOcrConfig:
    """transformers' config for a checkpoint's own config.json, which the hub has under another model's type.

    Raises SetupError for another model's, and where a number is missing: those that the class has of its own are some
    other checkpoint's.
    """
    given = copy.deepcopy(dict(checkpoint))  # transformers writes into what it is given
    text, vision = given.get("text_config"), given.get("vision_config")
    if not _is_this_model(given) or not isinstance(text, dict) or not isinstance(vision, dict):
        raise SetupError(
            f"The checkpoint's config.json has model_type {given.get('model_type')!r} and architectures "
            f"{given.get('architectures')!r}; this model's has 'mistral3' with 'LightOnOCRForConditionalGeneration', "
            "or 'lighton_ocr', and a text_config and a vision_config."
        )
    if "image_token_index" in given:  # its name in older revisions
        given.setdefault("image_token_id", given.pop("image_token_index"))
    given["tie_word_embeddings"] = given.get("tie_word_embeddings", text.get("tie_word_embeddings"))
    check_fields("config.json", {k: v for k, v in given.items() if v is not None}, _FIELDS, _FIXED)
    check_fields("text_config", {**_rope(text), **text}, _TEXT_FIELDS, _TEXT_FIXED)
    check_fields("vision_config", {**_rope(vision), **vision}, _VISION_FIELDS, _VISION_FIXED)
    check_fields("vision_config", vision, (), {"head_dim": vision["hidden_size"] // vision["num_attention_heads"]})
    text |= {"model_type": "qwen3", "tie_word_embeddings": given["tie_word_embeddings"]}
    vision["model_type"] = "pixtral"
    return LightOnOcrConfig.from_dict({**given, "model_type": "lighton_ocr"})


def _is_this_model(config: Mapping[str, Any]) -> bool:
    """Whether a config is of this model: the hub's has a type that other models have too, and tells by its class."""
    type_, classes = config.get("model_type"), set(config.get("architectures") or ())
    return type_ == "lighton_ocr" or (type_ == "mistral3" and bool(classes & _ARCHITECTURES))


def _rope(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**(config.get("rope_scaling") or {}), **(config.get("rope_parameters") or {})}


class LightOnNetwork(Network[Page]):
    """The vision tower and the language model."""

    def __init__(self, model: Any, rules: PixelRules) -> None:
        super().__init__(model)
        self._rules = rules

    @torch.inference_mode()
    def first_pass(self, page: Page) -> FirstPass:
        """A page's prompt with the image's features in their places."""
        width, height = page.size
        seen = self.model.model.get_image_features(self.pixels(page), [(height, width)], return_dict=True)
        return in_order(self.merge(page.ids, torch.cat(list(seen.pooler_output)), self.model.config.image_token_id))

    def seeing_bytes(self, page: Page, hardware: Hardware) -> float:
        """See `Network`: the tower's, and a mask of all patches by all."""
        vision = self.model.config.vision_config
        patches = math.prod(page.size) // int(vision.patch_size) ** 2
        computed = tower_bytes(patches, vision.hidden_size, vision.intermediate_size, hardware.dtype)
        return computed + float(patches**2 * hardware.dtype.itemsize)

    def pixels(self, page: Page) -> Tensor:
        """A page's pixels as the class takes them, (1, 3, height, width)."""
        pixels = torch.from_numpy(normalised(page.image, page.size, self._rules.levels))
        return rearrange(pixels, "height width rgb -> 1 rgb height width").to(self.model.device)

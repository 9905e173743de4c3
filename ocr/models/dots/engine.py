"""The dots.ocr engine, which runs dots.mocr too: its config and its features, around transformers' Qwen2 and our own
vision tower. Knows no files of the user's, no HTTP or Cog; runs no code from a checkpoint."""

import logging
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2Config, Qwen2ForCausalLM

from ocr.decoding.sequence import FirstPass, in_order
from ocr.engines.checkpoint import check_fields, load_tokenizer, read_json
from ocr.engines.hardware import Hardware, choose_hardware
from ocr.engines.loading import load_model
from ocr.engines.native import NativeEngine, Network
from ocr.engines.patches import PatchRules, patch_rows, patch_rules
from ocr.engines.seeing import tower_bytes
from ocr.errors import SetupError
from ocr.models.card import Card
from ocr.models.dots.processor import DotsProcessor, Page
from ocr.models.dots.vision import Grid, VisionShape, VisionTower
from ocr.settings import Settings

log = logging.getLogger(__name__)

# bench/full_size.md
SLOW = "On a CPU %s takes minutes to see a page: with two cores about 20 at Gundam, 3 at Base, 1 at Small."


def load(folder: Path, card: Card, settings: Settings) -> NativeEngine[Page]:
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    hardware = choose_hardware(settings, card.dtype)
    config = model_config(read_json(folder / "config.json"))
    vision = config.vision_config
    rules = patch_rules(read_json(folder / "preprocessor_config.json"), patch=vision.patch, merge=vision.merge)
    processor = DotsProcessor(load_tokenizer(folder), config.max_position_embeddings, card, rules)
    processor.check_image_token(config.image_token_id)
    model = load_model(DotsOCRForCausalLM, folder, config, hardware, hardware.attention)
    if hardware.device.type == "cpu":
        log.warning(SLOW, folder.name)
    return NativeEngine(processor, DotsNetwork(model, rules))


_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "tie_word_embeddings",
)
_VISION_FIELDS = {
    "embed_dim": "embed",
    "hidden_size": "hidden",
    "intermediate_size": "intermediate",
    "num_hidden_layers": "layers",
    "num_attention_heads": "heads",
    "rms_norm_eps": "eps",
    "patch_size": "patch",
    "spatial_merge_size": "merge",
    "num_channels": "channels",
}
# What the code here is written for. A checkpoint that says otherwise would load, and answer nonsense.
_TEXT_FIXED = {"attention_bias": True, "hidden_act": "silu", "rope_scaling": None, "use_sliding_window": False}
_VISION_FIXED = {"is_causal": False, "post_norm": True, "temporal_patch_size": 1, "use_bias": False}


def model_config(checkpoint: Mapping[str, Any]) -> Qwen2Config:
    """transformers' config of the language model for a checkpoint's own config.json, the tower's shape beside it.

    `vision_config` of what is returned is a VisionShape. Raises SetupError for another model's config.
    """
    if checkpoint.get("model_type") != "dots_ocr" or not isinstance(checkpoint.get("vision_config"), dict):
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            "that of dots.ocr and dots.mocr has 'dots_ocr' and a vision_config."
        )
    vision = checkpoint["vision_config"]
    check_fields("config.json", checkpoint, (*_TEXT_FIELDS, "rope_theta", "image_token_id"), _TEXT_FIXED)
    check_fields("vision_config", vision, _VISION_FIELDS, _VISION_FIXED)
    config = Qwen2Config(
        **{field: checkpoint[field] for field in _TEXT_FIELDS},
        layer_types=["full_attention"] * checkpoint["num_hidden_layers"],
        rope_parameters={"rope_type": "default", "rope_theta": float(checkpoint["rope_theta"])},
    )
    config.image_token_id = checkpoint["image_token_id"]
    config.vision_config = VisionShape(**{ours: vision[theirs] for theirs, ours in _VISION_FIELDS.items()})
    return config


class DotsOCRForCausalLM(Qwen2ForCausalLM):  # type: ignore[misc]
    """The language model with the vision tower beside it, named as in the checkpoint, so that one load checks both."""

    def __init__(self, config: Qwen2Config) -> None:
        super().__init__(config)
        self.vision_tower = VisionTower(config.vision_config)


class DotsNetwork(Network[Page]):
    """The vision tower and the language model."""

    def __init__(self, model: Any, rules: PatchRules) -> None:
        super().__init__(model)
        self._rules = rules

    def first_pass(self, page: Page) -> FirstPass:
        """A page's prompt with the image's features in their places."""
        rows = torch.from_numpy(patch_rows(page.image, page.size, self._rules))
        features = self.image_features(rows, [page.grid])
        return in_order(self.merge(page.ids, features, self.model.config.image_token_id))

    def seeing_bytes(self, page: Page, hardware: Hardware) -> float:
        """See `Network`."""
        shape = self.model.config.vision_config
        return tower_bytes(math.prod(page.grid), shape.embed, shape.intermediate, hardware.dtype)

    @torch.inference_mode()
    def image_features(self, rows: Tensor, grids: Sequence[Grid]) -> Tensor:
        """What the tower makes of the images whose patches are `rows`, (image tokens, hidden)."""
        use_flash = self.model.config._attn_implementation == "flash_attention_2"
        rows = rows.to(self.model.device, self.model.dtype)
        features: Tensor = self.model.vision_tower(rows, grids, use_flash)
        return features

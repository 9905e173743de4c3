"""The engine of all models of a patch grid, around transformers' own classes: their configs and their first pass.
Knows no files of the user's, no HTTP or Cog; runs no code from a checkpoint."""

import copy
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from einops import rearrange
from torch import Tensor

from ocr.decoding.sequence import DeepStack, FirstPass
from ocr.engines.checkpoint import check_fields, load_tokenizer, read_json
from ocr.engines.hardware import Hardware, choose_hardware
from ocr.engines.loading import load_model
from ocr.engines.native import NativeEngine, Network
from ocr.engines.patches import PatchRules, patch_rows, patch_rules
from ocr.engines.prompts import Frame
from ocr.engines.seeing import tower_bytes
from ocr.errors import SetupError
from ocr.models.patch_grid.card import GridCard
from ocr.models.patch_grid.family import Family
from ocr.models.patch_grid.processor import GridProcessor, Page
from ocr.settings import Settings


def load(folder: Path, card: GridCard, settings: Settings) -> NativeEngine[Page]:
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    hardware = choose_hardware(settings, card.dtype)
    config = model_config(read_json(folder / "config.json"), card.family)
    rules = rules_of(read_json(folder / "preprocessor_config.json"), config.vision_config, card)
    context = config.get_text_config().max_position_embeddings
    processor = GridProcessor(load_tokenizer(folder), context, replace(card, frame=_frame(folder, card)), rules)
    processor.check_image_token(config.image_token_id)
    model_class = getattr(transformers, card.family.model)
    model = load_model(model_class, folder, config, hardware, hardware.attention)
    return NativeEngine(processor, GridNetwork(model, rules))


def _frame(folder: Path, card: GridCard) -> Frame:
    """What stands around a prompt, which revisions of a model may differ in: their chat templates tell."""
    path = folder / "chat_template.jinja"
    template = path.read_text(encoding="utf-8") if path.exists() else ""
    return next((frame for sign, frame in card.other_frames.items() if sign in template), card.frame)


_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "max_position_embeddings",
    "rms_norm_eps",
    "rope_theta",
    "mrope_section",
)
_VISION_FIELDS = ("hidden_size", "intermediate_size", "patch_size", "spatial_merge_size")


def model_config(checkpoint: Mapping[str, Any], family: Family) -> Any:
    """transformers' config for a checkpoint's own config.json, in which the language model may stand flat.

    Raises SetupError for another model's, and where a number is missing: those that the class has of its own are some
    other checkpoint's.
    """
    vision = checkpoint.get("vision_config")
    if checkpoint.get("model_type") != family.model_type or not isinstance(vision, dict):
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            f"this model's has {family.model_type!r} and a vision_config."
        )
    given = copy.deepcopy(dict(checkpoint))  # transformers writes into what it is given
    text = given.get("text_config", given)
    shared = {**text, **given}  # what stands in either place
    rope = {**(text.get("rope_scaling") or {}), **(text.get("rope_parameters") or {})}
    check_fields("config.json", {**rope, **text}, (*_TEXT_FIELDS, *family.text_fields), {})
    check_fields("config.json", shared, ("image_token_id", "tie_word_embeddings"), {})
    check_fields("vision_config", vision, (*_VISION_FIELDS, *family.vision_fields), {})
    config = getattr(transformers, family.config).from_dict(given)
    for place in (config, config.get_text_config()):  # of a flat file PaddleOCR-VL's takes its own default
        place.tie_word_embeddings = shared["tie_word_embeddings"]
    return config


def rules_of(preprocessor: Mapping[str, Any], vision: Any, card: GridCard) -> PatchRules:
    """How pages become patches, of a preprocessor_config.json and the vision tower's config; see `patch_rules`."""
    family = card.family
    frames = vision.temporal_patch_size if "temporal_patch_size" in family.vision_fields else 1
    rules = patch_rules(
        {**preprocessor, **card.limits},
        patch=vision.patch_size,
        merge=vision.spatial_merge_size,
        frames=frames,
        raster=family.raster,
    )
    if not family.counts_frames:
        return rules
    return replace(rules, min_pixels=rules.min_pixels / frames, max_pixels=rules.max_pixels / frames)


class GridNetwork(Network[Page]):
    """The vision tower and the language model."""

    def __init__(self, model: Any, rules: PatchRules) -> None:
        super().__init__(model)
        self._rules = rules

    @torch.inference_mode()
    def first_pass(self, page: Page) -> FirstPass:
        """A page's prompt with the image's features in their places, which are places in the plane."""
        ids = torch.tensor([page.ids], device=self.model.device)
        image_token = self.model.config.image_token_id
        is_image = ids == image_token
        grid = torch.tensor([[1, *page.grid]], device=self.model.device)  # one picture: rows, columns
        seen = self.model.model.get_image_features(self.pixels(page), grid, return_dict=True)
        positions, _ = self.model.model.get_rope_index(ids, mm_token_type_ids=is_image.int(), image_grid_thw=grid)
        layers = tuple(torch.cat(list(layer)) for layer in getattr(seen, "deepstack_features", None) or ())
        return FirstPass(
            self.merge(page.ids, torch.cat(list(seen.pooler_output)), image_token),
            positions[:, 0],  # (axes, tokens)
            DeepStack(is_image[0], layers) if layers else None,
        )

    def seeing_bytes(self, page: Page, hardware: Hardware) -> float:
        """See `Network`."""
        vision = self.model.config.vision_config
        return tower_bytes(math.prod(page.grid), vision.hidden_size, vision.intermediate_size, hardware.dtype)

    def pixels(self, page: Page) -> Tensor:
        """A page's patches as the class takes them."""
        rules = self._rules
        rows = torch.from_numpy(patch_rows(page.image, page.size, rules)).to(self.model.device)
        return rearrange(rows, "n (rgb p q) -> n rgb p q", p=rules.patch, q=rules.patch) if rules.raster else rows

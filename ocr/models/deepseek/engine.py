"""The engine of DeepSeek-OCR and the models of its tensors: their configs and features on transformers' own class.
Knows no files of the user's, no layout, HTTP or Cog; runs no code from a checkpoint."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from transformers import UnlimitedOcrConfig, UnlimitedOcrForConditionalGeneration

from ocr.decoding.sequence import FirstPass, in_order
from ocr.engines.checkpoint import load_tokenizer, read_json, token_id
from ocr.engines.hardware import Hardware, choose_hardware
from ocr.engines.loading import load_model
from ocr.engines.native import NativeEngine, Network
from ocr.engines.seeing import sam_bytes
from ocr.engines.whole_view import attend_to_whole_views, attends_in_parts
from ocr.errors import SetupError
from ocr.models.deepseek.card import IMAGE, DeepSeekCard
from ocr.models.deepseek.processor import FEATURE, DeepSeekProcessor, Page
from ocr.models.deepseek.views import Pixels, Views
from ocr.settings import Settings


def load(folder: Path, card: DeepSeekCard, settings: Settings) -> NativeEngine[Page]:
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    processor, model = load_parts(folder, card, settings, UnlimitedOcrForConditionalGeneration, model_config)
    window = _window(read_json(folder / "config.json")) if card.has_window else None
    return NativeEngine(processor, DeepSeekNetwork(model, window))


def load_parts(
    folder: Path, card: DeepSeekCard, settings: Settings, model_class: Any, config_of: Callable[..., Any]
) -> tuple[DeepSeekProcessor, Any]:
    """The processor of a checkpoint, and its model as a class of transformers with SAM in its vision tower.

    `config_of` makes the class's config of the checkpoint's own, the id of the image token and the card's model_type.
    """
    hardware = choose_hardware(settings, card.dtype)
    tokenizer = load_tokenizer(folder)
    config = config_of(read_json(folder / "config.json"), token_id(tokenizer, IMAGE), card.model_type)
    processor = DeepSeekProcessor(tokenizer, config.text_config.max_position_embeddings, card)
    # SAM's relative positions are a bias on the attention, which flash attention has no input for.
    vision = "eager" if hardware.attention == "eager" else "sdpa"
    attention = {"": vision, "vision_config": vision, "text_config": hardware.attention}
    model = load_model(model_class, folder, config, hardware, attention)
    if attends_in_parts(hardware):
        attend_to_whole_views(model.model.vision_tower.sam_encoder.layers)
    return processor, model


_TEXT_FIELDS = (
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "moe_intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "n_routed_experts",
    "n_shared_experts",
    "num_experts_per_tok",
    "n_group",
    "topk_group",
    "topk_method",
    "first_k_dense_replace",
    "max_position_embeddings",
    "bos_token_id",
    "eos_token_id",
)


# Those that the hub's file of DeepSeek-OCR leaves to the class, with the class's numbers.
_MORE_TEXT_FIELDS: Mapping[str, float] = {"rms_norm_eps": 1e-6, "routed_scaling_factor": 1.0}


def model_config(
    checkpoint: Mapping[str, Any], image_token_id: int, model_type: str = "deepseek_vl_v2"
) -> UnlimitedOcrConfig:
    """transformers' config for a checkpoint's own config.json.

    transformers cannot read DeepSeek-OCR's itself: under its model_type every weight would silently stay random. Every
    layer attends fully: the class's own window is right for a page alone and wrong in a padded batch, where its mask
    is read shifted (transformers 5.23); where a model has one, it is in the cache. Raises SetupError for another
    model's config.
    """
    text = language_fields(checkpoint, model_type)
    text |= {
        "layer_types": ["full_attention"] * text["num_hidden_layers"],
        "sliding_window": 128,  # must not be None; unused when every layer attends fully
    }
    vision = {
        "sam_config": vision_fields(checkpoint, "sam_vit_b", SAM_FIELDS),
        "encoder_config": vision_fields(checkpoint, "clip-l-14-224", _CLIP_FIELDS),
    }
    return UnlimitedOcrConfig(text_config=text, vision_config=vision, image_token_id=image_token_id)


def language_fields(checkpoint: Mapping[str, Any], model_type: str) -> dict[str, Any]:
    """What a config.json says of the language model, by transformers' names.

    Raises SetupError for another model's config, and for one that lacks a number.
    """
    if checkpoint.get("model_type") != model_type or "language_config" not in checkpoint:
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            f"this model's has {model_type!r} and a language_config."
        )
    language = checkpoint["language_config"]
    absent = [field for field in _TEXT_FIELDS if field not in language]
    if absent:
        raise SetupError(f"The checkpoint's language_config lacks {', '.join(absent)}.")
    return {field: language[field] for field in _TEXT_FIELDS} | {
        **{field: language.get(field, usual) for field, usual in _MORE_TEXT_FIELDS.items()},
        "rope_parameters": {"rope_type": "default", "rope_theta": float(language.get("rope_theta", 10000.0))},
    }


_WINDOWS = ("sliding_window", "sliding_window_size")  # its name in the hub's file, and in copies of it


def _window(checkpoint: Mapping[str, Any]) -> int:
    """How many tokens of its answer a model sees, itself counted. Raises SetupError where the config does not say."""
    for given in (checkpoint, checkpoint["language_config"]):
        for name in _WINDOWS:
            if isinstance(window := given.get(name), int) and window > 0:
                return window
    raise SetupError("The checkpoint's config.json lacks sliding_window, a number of tokens.")


# What a checkpoint calls a dimension, and what transformers does. The hub's own file has the names without a star;
# those with one are this project's form for smaller models: left out, a dimension is that of the real model.
SAM_FIELDS = {
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "global_attn_indexes": "global_attn_indexes",
    "downsample_channels": "downsample_channels",
    "mlp": "mlp_dim",  # *
    "neck": "output_channels",  # *
    "window": "window_size",  # *
    "image_size": "image_size",  # *
}
_CLIP_FIELDS = {
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "image_size": "image_size",
    "patch_size": "patch_size",
    "mlp": "intermediate_size",  # *
}


def vision_fields(checkpoint: Mapping[str, Any], encoder: str, names: Mapping[str, str]) -> dict[str, Any]:
    """What a config.json says of one of its vision encoders, by transformers' names for those of the checkpoint."""
    given = vision_encoders(checkpoint).get(encoder, {})
    return {theirs: given[ours] for ours, theirs in names.items() if ours in given}


def vision_encoders(checkpoint: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """A config.json's vision encoders by name. Raises SetupError for one of another kind, as DeepSeek-VL2's is."""
    width = checkpoint.get("vision_config", {}).get("width", {})
    if not isinstance(width, Mapping):
        raise SetupError(f"The checkpoint's vision_config has width {width!r}; this model's names its encoders there.")
    return width


def normalise(pixels: Sequence[Pixels]) -> Tensor:
    """Square views (side, side, 3) from 0..255 to -1..1, as (views, 3, side, side) in float32."""
    levels = torch.from_numpy(np.stack(pixels)).float()
    normalised: Tensor = rearrange((levels / 255 - 0.5) / 0.5, "views height width rgb -> views rgb height width")
    return normalised.contiguous()


class DeepSeekNetwork(Network[Page]):
    """The vision encoders and the language model."""

    def __init__(self, model: Any, window: int | None = None) -> None:
        super().__init__(model)
        self.window = window

    def first_pass(self, page: Page) -> FirstPass:
        """A page's prompt with the features of its images in their places."""
        features = torch.cat([self._seen(views) for views in (page.views, *page.more)])
        return in_order(self.merge(page.ids, features, self.model.config.image_token_id))

    def _seen(self, views: Views) -> Tensor:
        tiles = normalise(views.tiles) if views.tiles else None
        return self.image_features(normalise([views.whole]), tiles, views.rows)

    def seeing_bytes(self, page: Page, hardware: Hardware) -> float:
        """See `Network`: SAM's, for the view of a whole page, or for the tiles that are seen at a time."""
        sam = self.model.config.vision_config.sam_config
        scores = 0 if attends_in_parts(hardware) else 2 * hardware.dtype.itemsize  # a bias, and what it is made of
        whole, *tiles = (
            sam_bytes(len(view), sam, hardware.dtype, scores) for view in (page.views.whole, *page.views.tiles)
        )
        return max([whole, *tiles]) if hardware.device.type == "cpu" else max(whole, sum(tiles))

    @torch.inference_mode()
    def image_features(self, whole: Tensor, tiles: Tensor | None, rows: int) -> Tensor:
        """What the vision encoders make of a page, (image tokens, hidden): local grid, global grid, separator.

        `whole` is the normalised whole-page view, (1, 3, base, base), `tiles` the crops, (rows * columns, 3, tile,
        tile), row by row. Source: the feature order of the hub's modeling_deepseekocr.py.
        """
        parts = []
        if tiles is not None:
            features = torch.cat([self._encode(chunk) for chunk in self._chunks(tiles)])
            grid = rearrange(features, "(rows columns) h w d -> (rows h) (columns w) d", rows=rows)
            parts.append(self._with_newlines(grid))
        parts.append(self._with_newlines(self._encode(whole)[0]))
        parts.append(self.model.model.view_separator[None])
        return torch.cat(parts)

    def _encode(self, pixels: Tensor) -> Tensor:
        """Normalised views (views, 3, side, side) to projected features (views, side / 64, side / 64, hidden)."""
        model = self.model.model
        seen = model.vision_tower(pixels.to(self.model.device, self.model.dtype)).last_hidden_state
        features = model.multi_modal_projector(seen)
        grid: Tensor = rearrange(features, "views (h w) d -> views h w d", h=pixels.shape[-1] // FEATURE)
        return grid

    def _chunks(self, tiles: Tensor) -> Sequence[Tensor]:
        """All tiles at once on a GPU; on a processor one by one: as fast, in a fraction of the memory."""
        return [tiles] if self.model.device.type != "cpu" else torch.chunk(tiles, len(tiles))

    def _with_newlines(self, grid: Tensor) -> Tensor:
        """A grid of features (h, w, hidden) as rows that each end with the newline feature, (h * (w + 1), hidden)."""
        newline = self.model.model.image_newline.expand(len(grid), 1, -1)
        return torch.cat([grid, newline], dim=1).flatten(0, 1)

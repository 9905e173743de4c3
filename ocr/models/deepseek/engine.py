"""The engine of DeepSeek-OCR and the models of its kind: their configs and features on transformers' own classes.
Knows no files of the user's, no layout, HTTP or Cog; runs no code from a checkpoint."""

import math
from collections.abc import Mapping, Sequence
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
from ocr.errors import SetupError
from ocr.models.deepseek.attention import WholeViewAttention
from ocr.models.deepseek.card import IMAGE, DeepSeekCard
from ocr.models.deepseek.processor import FEATURE, DeepSeekProcessor, Page
from ocr.models.deepseek.views import Pixels
from ocr.settings import Settings


def load(folder: Path, card: DeepSeekCard, settings: Settings) -> NativeEngine[Page]:
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    hardware = choose_hardware(settings, card.dtype)
    tokenizer = load_tokenizer(folder)
    checkpoint = read_json(folder / "config.json")
    config = model_config(checkpoint, token_id(tokenizer, IMAGE), card.model_type)
    processor = DeepSeekProcessor(tokenizer, config.text_config.max_position_embeddings, card)
    # SAM's relative positions are a bias on the attention, which flash attention has no input for.
    vision = "eager" if hardware.attention == "eager" else "sdpa"
    attention = {"": vision, "vision_config": vision, "text_config": hardware.attention}
    model = load_model(UnlimitedOcrForConditionalGeneration, folder, config, hardware, attention)
    if attends_in_parts(hardware):
        attend_to_whole_views(model)
    return NativeEngine(processor, DeepSeekNetwork(model, _window(checkpoint) if card.has_window else None))


def attends_in_parts(hardware: Hardware) -> bool:
    """Whether SAM's layers without windows attend as is fastest on a processor in float32.

    In bf16 scores would be rounded where transformers' own product keeps them exact.
    """
    return hardware.device.type == "cpu" and hardware.dtype == torch.float32


def attend_to_whole_views(model: Any) -> None:
    """Have SAM's layers without windows attend to some of a view's places at a time."""
    for layer in model.model.vision_tower.sam_encoder.layers:
        if layer.window_size == 0:
            layer.attn = WholeViewAttention(layer.attn)


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
    if checkpoint.get("model_type") != model_type or "language_config" not in checkpoint:
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            f"this model's has {model_type!r} and a language_config."
        )
    language = checkpoint["language_config"]
    absent = [field for field in _TEXT_FIELDS if field not in language]
    if absent:
        raise SetupError(f"The checkpoint's language_config lacks {', '.join(absent)}.")
    text = {field: language[field] for field in _TEXT_FIELDS} | {
        **{field: language.get(field, usual) for field, usual in _MORE_TEXT_FIELDS.items()},
        "layer_types": ["full_attention"] * language["num_hidden_layers"],
        "sliding_window": 128,  # must not be None; unused when every layer attends fully
        "rope_parameters": {"rope_type": "default", "rope_theta": float(language.get("rope_theta", 10000.0))},
    }
    vision = _vision_config(checkpoint.get("vision_config", {}).get("width", {}))
    return UnlimitedOcrConfig(text_config=text, vision_config=vision, image_token_id=image_token_id)


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
_SAM_FIELDS = {
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


def _vision_config(width: dict[str, Any]) -> dict[str, Any]:
    sam, clip = width.get("sam_vit_b", {}), width.get("clip-l-14-224", {})
    return {
        "sam_config": {theirs: sam[ours] for ours, theirs in _SAM_FIELDS.items() if ours in sam},
        "encoder_config": {theirs: clip[ours] for ours, theirs in _CLIP_FIELDS.items() if ours in clip},
    }


def normalise(pixels: Sequence[Pixels]) -> Tensor:
    """Square views (side, side, 3) from 0..255 to -1..1, as (views, 3, side, side) in float32."""
    levels = torch.from_numpy(np.stack(pixels)).float()
    normalised: Tensor = rearrange((levels / 255 - 0.5) / 0.5, "views height width rgb -> views rgb height width")
    return normalised.contiguous()


def _sam_numbers(side: int, sam: Any, in_parts: bool) -> int:
    """How many numbers SAM computes with at most for a square view of so many px, layers with and without windows.

    Its scores stand beside what positions add to them, and in windows beside copies of both.
    """
    places, place = (side // sam.patch_size) ** 2, sam.window_size**2
    windows = math.ceil(side / sam.patch_size / sam.window_size) ** 2
    in_windows = windows * place * (4 * sam.num_attention_heads * place + 3 * sam.hidden_size)
    whole = places * 5 * sam.hidden_size + (0 if in_parts else 2 * sam.num_attention_heads * places**2)
    forward = places * (2 * sam.mlp_dim + 3 * sam.hidden_size)
    return int(max(in_windows, whole, forward))


class DeepSeekNetwork(Network[Page]):
    """The vision encoders and the language model."""

    def __init__(self, model: Any, window: int | None = None) -> None:
        super().__init__(model)
        self.window = window

    def first_pass(self, page: Page) -> FirstPass:
        """A page's prompt with the image's features in their places."""
        views = page.views
        tiles = normalise(views.tiles) if views.tiles else None
        features = self.image_features(normalise([views.whole]), tiles, views.rows)
        return in_order(self.merge(page.ids, features, self.model.config.image_token_id))

    def seeing_bytes(self, page: Page, hardware: Hardware) -> float:
        """See `Network`: SAM's, for the view of the whole page, or for the tiles that are seen at a time."""
        sam = self.model.config.vision_config.sam_config
        in_parts = attends_in_parts(hardware)
        sides = [len(page.views.whole)] + [len(tile) for tile in page.views.tiles]
        numbers = [_sam_numbers(side, sam, in_parts) for side in sides]
        at_once = max(numbers) if hardware.device.type == "cpu" else max(numbers[0], sum(numbers[1:]))
        return at_once * hardware.dtype.itemsize

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

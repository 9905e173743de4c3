"""The DeepSeek-OCR engine: its config, pixels, prompt and features on transformers' own classes. Knows no files of
the user's, no layout, HTTP or Cog; runs no code from a checkpoint."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from tokenizers import Tokenizer
from torch import Tensor
from transformers import UnlimitedOcrConfig, UnlimitedOcrForConditionalGeneration

from ocr.decoding.loop import merged_embeddings
from ocr.decoding.rules import NgramBan, TokenRule
from ocr.engines.hardware import choose_hardware
from ocr.engines.loading import load_model, load_tokenizer, read_json, token_id
from ocr.engines.native import PageEngine, Ready
from ocr.engines.prompts import fill
from ocr.errors import InputError, SetupError
from ocr.models.deepseek.views import MAX_TILES, Pixels, Views, square_views
from ocr.settings import Settings
from ocr.types import PageInput, Prompt, Resolution

FEATURE = 16 * 4  # px per side that one feature covers: SAM's patches of 16, downsampled 4 times
EXTENT = (999.0, 999.0)  # boxes run from 0 to 999 over each side of the page
NGRAM, WINDOW, WHITELIST = 30, 90, ("<td>", "</td>")  # the makers' vLLM recipe; empty table cells may repeat
BOS, EOS, IMAGE = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<image>"


def load(folder: Path, settings: Settings) -> "DeepSeekOCR":
    """The engine of the checkpoint in a folder. Raises SetupError for one that is not whole or not this model."""
    hardware = choose_hardware(settings)
    tokenizer = load_tokenizer(folder)
    config = model_config(read_json(folder / "config.json"), token_id(tokenizer, IMAGE))
    # SAM's relative positions are a bias on the attention, which flash attention has no input for.
    vision = "eager" if hardware.attention == "eager" else "sdpa"
    attention = {"": vision, "vision_config": vision, "text_config": hardware.attention}
    model = load_model(UnlimitedOcrForConditionalGeneration, folder, config, hardware, attention)
    return DeepSeekOCR(model, tokenizer)


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


def model_config(checkpoint: dict[str, Any], image_token_id: int) -> UnlimitedOcrConfig:
    """transformers' config for a DeepSeek-OCR checkpoint's own config.json.

    transformers cannot read that file itself: under its model_type every weight would silently stay random, and its
    default of a sliding window would go wrong from the 129th new token. Raises SetupError for another model's config.
    """
    if checkpoint.get("model_type") != "deepseek_vl_v2" or "language_config" not in checkpoint:
        raise SetupError(
            f"The checkpoint's config.json has model_type {checkpoint.get('model_type')!r}; "
            "DeepSeek-OCR's has 'deepseek_vl_v2' and a language_config."
        )
    language = checkpoint["language_config"]
    absent = [field for field in _TEXT_FIELDS if field not in language]
    if absent:
        raise SetupError(f"The checkpoint's language_config lacks {', '.join(absent)}.")
    text = {field: language[field] for field in _TEXT_FIELDS} | {
        "layer_types": ["full_attention"] * language["num_hidden_layers"],
        "sliding_window": 128,  # must not be None; unused when every layer attends fully
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
    }
    vision = _vision_config(checkpoint.get("vision_config", {}).get("width", {}))
    return UnlimitedOcrConfig(text_config=text, vision_config=vision, image_token_id=image_token_id)


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


def image_token_count(views: Views) -> int:
    """How many `<image>` tokens stand for these views in the prompt.

    A grid of h rows by w features has a newline feature at the end of each row; one separator closes the whole.
    """
    count = _grid_tokens(len(views.whole)) + 1
    return count + (_grid_tokens(len(views.tiles[0]), views.rows, views.columns) if views.tiles else 0)


def _grid_tokens(side: int, rows: int = 1, columns: int = 1) -> int:
    """Of rows by columns square views with sides of so many px, stitched into one grid of features."""
    return rows * side // FEATURE * (columns * side // FEATURE + 1)


def normalise(pixels: Sequence[Pixels]) -> Tensor:
    """Square views (side, side, 3) from 0..255 to -1..1, as (views, 3, side, side) in float32."""
    levels = torch.from_numpy(np.stack(pixels)).float()
    normalised: Tensor = rearrange((levels / 255 - 0.5) / 0.5, "views height width rgb -> views rgb height width")
    return normalised.contiguous()


@dataclass(frozen=True)
class _Page(Ready):
    """One page ready to run."""

    views: Views


class DeepSeekOCR(PageEngine[_Page]):
    """A loaded DeepSeek-OCR model; an `ocr.types.Engine`."""

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        super().__init__(model, tokenizer)
        self.reserved = tuple(token.content for token in tokenizer.get_added_tokens_decoder().values())
        self._bos, self._image = token_id(tokenizer, BOS), token_id(tokenizer, IMAGE)
        self._eos = token_id(tokenizer, EOS)
        self._whitelist = [token_id(tokenizer, token) for token in WHITELIST]

    def check(self, prompt: Prompt, text: str) -> None:
        """Raise InputError for words that one of the model's special tokens stands in."""
        fill(prompt, text, self.reserved)

    def prepare(self, page: PageInput) -> _Page:
        """A page's views and prompt. Raises InputError for words that the model's special tokens stand in."""
        views = square_views(page.image, page.resolution)
        count = image_token_count(views)
        ids = tuple(self._prompt_ids(fill(page.prompt, page.text, self.reserved), count))
        if len(ids) >= self.context:
            raise InputError(
                f"The prompt has {len(ids)} tokens, {count} of them the image's; this model takes fewer than "
                f"{self.context} together with its answer. Shorten the text."
            )
        return _Page(ids, count, EXTENT, views)

    def _prompt_ids(self, prompt: str, image_tokens: int) -> Iterator[int]:
        """[BOS], the tokens before <image>, the image's, the tokens after: verbatim, with no roles or spaces added."""
        before, after = (self.tokenizer.encode(part, add_special_tokens=False).ids for part in prompt.split(IMAGE))
        yield self._bos
        yield from before
        yield from [self._image] * image_tokens
        yield from after

    def embed(self, page: _Page) -> Tensor:
        """The prompt's embeddings with the image's features in their places, (tokens, hidden)."""
        views = page.views
        tiles = normalise(views.tiles) if views.tiles else None
        return self.merge(page.ids, self.image_features(normalise([views.whole]), tiles, views.rows))

    def merge(self, ids: Sequence[int], features: Tensor) -> Tensor:
        """The embeddings of these ids, (tokens, hidden), with the features (image tokens, hidden) at each <image>."""
        return merged_embeddings(self.model, ids, features, self._image)

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

    def most_image_tokens(self, resolution: Resolution) -> int:
        """How many tokens an image can take at this preset: most where the tiles are one column, full of row ends."""
        whole = _grid_tokens(resolution.base) + 1
        return whole + (_grid_tokens(resolution.tile, rows=MAX_TILES) if resolution.tiled else 0)

    def end_ids(self) -> Sequence[int]:
        """The end-of-sentence token."""
        return (self._eos,)

    def own_rules(self, page: _Page) -> list[TokenRule]:
        """The makers' n-gram ban."""
        return [NgramBan(NGRAM, WINDOW, self._whitelist)]

    def decode_ids(self, ids: Sequence[int]) -> str:
        """Ids to text; the marks are part of the answer."""
        text: str = self.tokenizer.decode(ids, skip_special_tokens=False)
        return text

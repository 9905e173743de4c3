"""The model in training, with what helps it learn and is thrown away afterwards.

Trained on its answers alone, a model this small stays at chance for hours: it cannot know which of the features to read
a character off before it can read, nor read before it knows. So more losses show it:

- `patches`: the last of SAM's layers names the character in each half of each patch of 16 px;
- `features`: the projected feature names the characters in each of its 4 x 8 parts of 16 x 8 px;
- `eyes`: some heads of the decoder attend where GUIDES says;
- `parts`: before its last layer the decoder says in which part of its feature the next character stands.

What a token says and where it stands are embedded, and asked for, apart: a step teaches `a` wherever it stands.
`finish` writes the sums into the model's own tables, whose every row is one token.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from training.batches import CLASSES, IGNORED, PATCH_SLOTS, TOKEN_SLOTS, Batch, Reading
from training.vocabulary import PLACES, parts, symbols

GUIDES = {0: ("row",), 1: ("here", "after"), 2: ("next", "next"), 3: ("next", "next")}  # layer: its first heads
PARTED_LAYER = 2  # the one whose output says the part
WEIGHTS = {"symbols": 1.0, "places": 1.0, "patches": 0.5, "features": 0.5, "eyes": 0.5, "parts": 0.3}

Losses = dict[str, Tensor]  # means by name; what begins with _ is a share of what was right


class Learner(nn.Module):
    """The model with more heads; its forward gives the losses of a batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        vision, language = model.model.vision_tower, model.model.language_model
        hidden = model.config.text_config.hidden_size
        self.symbol_embed = nn.Embedding(len(symbols()), hidden)
        self.place_embed = nn.Embedding(PLACES + 1, hidden)
        self.symbol_head = nn.Linear(hidden, len(symbols()), bias=False)
        self.place_head = nn.Linear(hidden, PLACES + 1, bias=False)
        for table in (self.symbol_embed, self.symbol_head, self.place_head):
            nn.init.normal_(table.weight, std=0.05)
        with torch.no_grad():
            self.place_embed.weight[:-1] = waves(PLACES, hidden) * 0.1
            _show_where(vision.vision_encoder.embeddings.position_embedding.weight)
        model.get_input_embeddings().weight.requires_grad_(False)
        model.lm_head.weight.requires_grad_(False)
        self.patch_head = nn.Linear(vision.sam_encoder.config.hidden_size, CLASSES * PATCH_SLOTS[0] * PATCH_SLOTS[1])
        self.feature_head = nn.Linear(hidden, CLASSES * TOKEN_SLOTS[0] * TOKEN_SLOTS[1])
        self.part_head = nn.Linear(hidden, TOKEN_SLOTS[0] * TOKEN_SLOTS[1])
        self._seen: dict[str, Tensor] = {}
        for name, layer in (("patches", vision.sam_encoder.layers[-1]), ("parts", language.layers[PARTED_LAYER])):
            layer.register_forward_hook(lambda _layer, _inputs, out, name=name: self._seen.update({name: out}))
        ALL_ATTENTION_FUNCTIONS.register("guided", _guided)
        ALL_EXPERTS_FUNCTIONS.register("every", _every_expert)
        language.config._attn_implementation = "guided"
        language.config._experts_implementation = "every"

    def forward(self, batch: Batch, *, reads: bool = True) -> Losses:
        """The losses, those of the decoder only where it `reads`."""
        model = self.model.model
        pixels = (batch.pixels.permute(0, 3, 1, 2).to(self.patch_head.weight.dtype) / 255 - 0.5) / 0.5
        features = model.multi_modal_projector(model.vision_tower(pixels).last_hidden_state)
        side = int(features.shape[1] ** 0.5)
        grid = features.view(len(features), side, side, -1)  # (pages, rows, columns, hidden)
        losses: Losses = {}
        losses["patches"], losses["_patches"] = _named(self.patch_head(self._seen["patches"]), batch.patches)
        losses["features"], losses["_features"] = _named(self.feature_head(grid), batch.features)
        return losses | self._read(batch.reading, grid) if reads else losses

    def _read(self, reading: Reading, grid: Tensor) -> Losses:
        embeds, eyes = self._embeds(reading, grid), list[Tensor]()
        language = self.model.model.language_model
        hidden = language(inputs_embeds=embeds, use_cache=False, reading=reading, eyes=eyes).last_hidden_state
        start = 1 + grid.shape[1] * (grid.shape[2] + 1)  # nothing is asked before
        hidden, parted = hidden[:, start:], self._seen["parts"][:, start:]
        losses: Losses = {"eyes": torch.stack(eyes).mean()}
        losses["symbols"], losses["_symbols"] = _mean_loss(self.symbol_head(hidden), reading.next_symbols[:, start:])
        losses["places"], losses["_places"] = _mean_loss(self.place_head(hidden), reading.next_places[:, start:])
        losses["parts"], losses["_parts"] = _mean_loss(self.part_head(parted), reading.parts[:, start:])
        return losses | {f"_eye{index}": (-eye.detach()).exp() for index, eye in enumerate(eyes)}

    def _embeds(self, reading: Reading, grid: Tensor) -> Tensor:
        model = self.model.model
        newline = model.image_newline.expand(*grid.shape[:2], 1, -1)
        rows = torch.cat([grid, newline], dim=2).flatten(1, 2)
        image = torch.cat([rows, model.view_separator.expand(len(grid), 1, -1)], dim=1)
        embeds = self.symbol_embed(reading.symbols) + self.place_embed(reading.places)
        return torch.cat([embeds[:, :1], image, embeds[:, 1 + image.shape[1] :]], dim=1)

    @torch.no_grad()
    def finish(self) -> Any:
        """The model with its own tables filled in."""
        said, places = parts()
        self.model.get_input_embeddings().weight.copy_(self.symbol_embed.weight[said] + self.place_embed.weight[places])
        self.model.lm_head.weight.copy_(self.symbol_head.weight[said] + self.place_head.weight[places])
        return self.model


def waves(count: int, width: int) -> Tensor:
    """Sines and cosines of `count` places from two periods to a place to one in all, mixed into `width` numbers.

    Places close to each other begin alike, and it takes no learning to tell them apart.
    """
    frequencies = torch.logspace(math.log10(0.25 / count), math.log10(0.5), 24)
    angles = 2 * math.pi * (torch.arange(count)[:, None] + 0.5) * frequencies
    both = torch.cat([angles.sin(), angles.cos()], dim=1)
    mixed: Tensor = both @ torch.randn(both.shape[1], width) / both.shape[1] ** 0.5
    return mixed


def _show_where(table: Tensor) -> None:
    """CLIP's positions: each the sum of how far down and how far right it stands, after one for the class."""
    side, width = int((len(table) - 1) ** 0.5), table.shape[1]
    table[1:] = (waves(side, width)[:, None] + waves(side, width)[None]).flatten(0, 1)


def _guided(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    _mask: Tensor | None,
    *,
    scaling: float,
    reading: Reading,
    eyes: list[Tensor],
    **_more: Any,
) -> tuple[Tensor, None]:
    """Plain causal attention, which notes how far the guided heads are from looking where GUIDES says."""
    length = query.shape[2]
    later = torch.ones(length, length, dtype=torch.bool).triu(1)
    scores = (query @ key.transpose(-1, -2)) * scaling  # (pages, heads, tokens, tokens)
    weights = scores.masked_fill(later, -torch.inf).softmax(-1)
    for head, name in enumerate(GUIDES[module.layer_idx]):
        positions = getattr(reading, name)
        right = weights[:, head].gather(-1, positions.clamp(min=0)[..., None])[..., 0].float()
        is_asked = (positions >= 0).float()
        eyes.append(-((right + 1e-6).log() * is_asked).sum() / is_asked.sum().clamp(min=1))
    return (weights @ value).transpose(1, 2).contiguous(), None


def _every_expert(module: Any, hidden: Tensor, chosen: Tensor, shares: Tensor) -> Tensor:
    """All experts on all tokens, those not chosen with a share of nothing: a few large products, no sorting."""
    share = torch.zeros(len(hidden), module.num_experts, dtype=shares.dtype).scatter(1, chosen, shares)
    gate, up = (hidden @ module.gate_up_proj.flatten(0, 1).mT).unflatten(1, (module.num_experts, -1)).chunk(2, dim=-1)
    inner = module.act_fn(gate) * up * share[..., None].to(hidden.dtype)  # (tokens, experts, width)
    out: Tensor = inner.flatten(1) @ module.down_proj.mT.flatten(0, 1)
    return out


def _named(logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """The mean loss over the parts that hold a character plus that over those that do not; the share named rightly."""
    logits, classes = logits.reshape(-1, CLASSES), classes.reshape(-1)
    holds = (classes > 0).float()
    losses = cross_entropy(logits.float(), classes, reduction="none")
    right = (logits.argmax(-1) == classes).float()
    characters, blanks = holds.sum().clamp(min=1), (1 - holds).sum().clamp(min=1)
    loss = (losses * holds).sum() / characters + (losses * (1 - holds)).sum() / blanks
    return loss, (right * holds).sum() / characters


def _mean_loss(logits: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """The mean loss where something is wanted; the share that is right."""
    asked = (wanted != IGNORED).float()
    right = ((logits.argmax(-1) == wanted) * asked).sum() / asked.sum()
    return cross_entropy(logits.float().flatten(0, 1), wanted.flatten(), ignore_index=IGNORED), right

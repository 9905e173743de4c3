"""The model in training, with what helps it learn and is thrown away afterwards.

Trained on its answers alone, a model this small stays at chance for hours: it cannot know which of the features to read
a character off before it can read, nor read before it knows. So four more losses show it:

- `patches`: the last of SAM's layers names the character in each half of each patch of 16 px;
- `features`: the projected feature names the characters in each of its 4 x 8 parts of 16 x 8 px;
- `places`: two heads of each of the decoder's last layers attend to the feature which the next character is read off;
- `parts`: before its last layer the decoder says in which of that feature's 4 x 8 parts the character stands.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from training.batches import CLASSES, IGNORED, PATCH_SLOTS, TOKEN_SLOTS, Batch

GUIDED_HEADS = 2
GUIDED_LAYERS = (1, 2, 3)
PARTED_LAYER = 2  # the one whose output says the part
WEIGHTS = {"text": 1.0, "patches": 0.5, "features": 0.5, "places": 0.3, "parts": 0.3}
NOTHING = 0.05  # weight of a part that holds no character: most hold none


class Learner(nn.Module):
    """The model with three more heads; its forward gives the losses of a batch."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        sam = model.model.vision_tower.sam_encoder
        hidden = model.config.text_config.hidden_size
        self.patch_head = nn.Linear(sam.config.hidden_size, CLASSES * PATCH_SLOTS[0] * PATCH_SLOTS[1])
        self.feature_head = nn.Linear(hidden, CLASSES * TOKEN_SLOTS[0] * TOKEN_SLOTS[1])
        self.part_head = nn.Linear(hidden, TOKEN_SLOTS[0] * TOKEN_SLOTS[1])
        self.register_buffer("class_weights", torch.tensor([NOTHING] + [1.0] * (CLASSES - 1)))
        self._seen: dict[str, Tensor] = {}
        sam.layers[-1].register_forward_hook(lambda _module, _inputs, out: self._seen.update(patches=out))
        model.model.language_model.layers[PARTED_LAYER].register_forward_hook(
            lambda _module, _inputs, out: self._seen.update(parts=out)
        )
        self._guided: list[Tensor] = []
        self._places: Tensor | None = None
        ALL_ATTENTION_FUNCTIONS.register("guided", self._attend)
        model.model.language_model.config._attn_implementation = "guided"

    def forward(self, batch: Batch, *, reads: bool = True, helped: bool = True) -> dict[str, Tensor]:
        """The mean losses by name: `text` where the decoder `reads`, and the helping ones where it is `helped`."""
        model = self.model.model
        pixels = (batch.pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
        features = model.multi_modal_projector(model.vision_tower(pixels).last_hidden_state)
        side = int(features.shape[1] ** 0.5)
        grid = features.unflatten(1, (side, side))  # (pages, rows, columns, hidden)
        losses: dict[str, Tensor] = {}
        if reads:
            losses |= self._read(batch, grid, helped=helped)
        if helped:
            losses["patches"], losses["_patches"] = self._named(self.patch_head(self._seen["patches"]), batch.patches)
            losses["features"], losses["_features"] = self._named(self.feature_head(grid), batch.features)
        return losses

    def _read(self, batch: Batch, grid: Tensor, *, helped: bool) -> dict[str, Tensor]:
        self._guided, self._places = [], batch.places if helped else None
        embeds = self._embeds(batch.ids, grid)
        hidden = self.model.model.language_model(inputs_embeds=embeds, use_cache=False).last_hidden_state
        asked = batch.labels != IGNORED
        logits, labels = self.model.lm_head(hidden[asked]), batch.labels[asked]
        losses = {"text": cross_entropy(logits, labels), "_right": (logits.argmax(-1) == labels).float().mean()}
        if helped:
            stands = batch.parts != IGNORED
            losses["places"] = torch.stack(self._guided).mean()
            losses["parts"] = cross_entropy(self.part_head(self._seen["parts"][stands]), batch.parts[stands])
        return losses

    def _embeds(self, ids: Tensor, grid: Tensor) -> Tensor:
        model = self.model.model
        newline = model.image_newline.expand(*grid.shape[:2], 1, -1)
        rows = torch.cat([grid, newline], dim=2).flatten(1, 2)
        image = torch.cat([rows, model.view_separator.expand(len(grid), 1, -1)], dim=1)
        embeds = model.get_input_embeddings()(ids)
        return torch.cat([embeds[:, :1], image, embeds[:, 1 + image.shape[1] :]], dim=1)

    def _named(self, logits: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """The loss of the classes that the parts hold, and the share of characters named rightly."""
        logits, classes = logits.reshape(-1, CLASSES), classes.reshape(-1)
        loss = cross_entropy(logits, classes, self.get_buffer("class_weights"))
        holds = classes > 0
        return loss, (logits[holds].argmax(-1) == classes[holds]).float().mean().detach()

    def _attend(self, module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, **more: Any) -> Any:
        """Plain attention, which notes how far the guided heads are from where they ought to look."""
        if self._places is not None and module.layer_idx in GUIDED_LAYERS:
            places = self._places
            q, k = query[:, :GUIDED_HEADS], key[:, :GUIDED_HEADS]
            rows, columns = (places >= 0).nonzero(as_tuple=True)
            scores = (q @ k.transpose(-1, -2)) * more["scaling"]  # (pages, heads, tokens, tokens)
            later = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
            logs = scores.masked_fill(later, -torch.inf).log_softmax(-1)
            self._guided.append(-logs[rows, :, columns, places[rows, columns]].mean())
        return sdpa_attention_forward(module, query, key, value, None, is_causal=True, **more)

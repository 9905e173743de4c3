"""A DeepSeek-OCR whose model writes what a test tells it to: the tokenizer, rules, loop, cache and text release are
real."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from transformers import Qwen2Config
from transformers.cache_utils import Cache

from ocr.engines.native import NativeEngine
from ocr.models.deepseek.card import DEEPSEEK_OCR, IMAGE
from ocr.models.deepseek.engine import DeepSeekNetwork
from ocr.models.deepseek.processor import DeepSeekProcessor
from tests.checkpoints import EOS, byte_tokenizer

HIDDEN, VOCABULARY = 4, 300
OWN = -1.0  # stands in the embeddings of tokens that the model chose


class ScriptedModel:
    """Stands where a causal language model does and wants the next token of each row's script at every step.

    Which script a row follows is what its image's features say; how far it has come is how many tokens of its own it
    has seen. Both are remembered in the cache.
    """

    def __init__(self, scripts: Sequence[Sequence[int]]) -> None:
        self.scripts = scripts
        self.rows: list[int] = []  # how many rows there were at each step
        self.config = Qwen2Config(num_hidden_layers=1)
        self.config.image_token_id = byte_tokenizer().token_to_id(IMAGE)
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def get_decoder(self) -> Any:
        return self

    def get_output_embeddings(self) -> Any:
        return lambda hidden: hidden

    def get_input_embeddings(self) -> Any:
        return lambda ids: torch.full((*ids.shape, HIDDEN), OWN if ids.dim() == 2 else 0.0)  # a prompt has one axis

    def _wanted(self, script: int, step: int) -> int:
        """The last token for ever; without an image, anything."""
        tokens = self.scripts[max(script, 1) - 1]
        return tokens[min(step, len(tokens) - 1)]

    def __call__(
        self, *, inputs_embeds: Tensor, attention_mask: Tensor | None = None, past_key_values: Cache, **_inputs: Any
    ) -> Any:
        self.rows.append(len(inputs_embeds))
        seen, _ = past_key_values.update(inputs_embeds[:, None], inputs_embeds[:, None], 0)
        if attention_mask is not None:
            seen = seen * attention_mask.view(len(seen), 1, -1, 1)
        logits = torch.zeros(len(inputs_embeds), 1, VOCABULARY)
        scripts, steps = seen.amax(dim=(1, 2, 3)).long().tolist(), (seen[:, 0, :, 0] == OWN).sum(dim=1).tolist()
        for row, (script, step) in enumerate(zip(scripts, steps, strict=True)):
            logits[row, :, self._wanted(script, step)] = 1
        return SimpleNamespace(last_hidden_state=logits)


def scripted(*texts: str, ends: bool = True) -> NativeEngine[Any]:
    """An engine that answers pages, in the order in which it sees them, with these texts, and any more with the last.

    It then says that it is done, or goes on with the text's last token.
    """
    tokenizer = byte_tokenizer()
    scripts = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        scripts.append([*ids, *([tokenizer.token_to_id(EOS)] if ends else ids[-1:] * 5000)])
    network = DeepSeekNetwork(ScriptedModel(scripts))
    seen = 0

    def features(whole: Tensor, tiles: Tensor | None, rows: int) -> Tensor:
        nonlocal seen
        seen = min(seen + 1, len(texts))
        return torch.full((_count(whole, tiles, rows), HIDDEN), float(seen))

    network.image_features = features  # type: ignore[method-assign]
    return NativeEngine(DeepSeekProcessor(tokenizer, 8192, DEEPSEEK_OCR), network)


def _count(whole: Tensor, tiles: Tensor | None, rows: int) -> int:
    side = whole.shape[-1] // 64
    count = side * (side + 1) + 1
    if tiles is not None:
        side = tiles.shape[-1] // 64
        count += side * rows * (side * (len(tiles) // rows) + 1)
    return count

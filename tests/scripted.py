"""A DeepSeek-OCR whose model writes what a test tells it to: the tokenizer, rules, loop and text release are real."""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from ocr.deepseek import DeepSeekOCR
from tests.checkpoints import EOS, byte_tokenizer

HIDDEN, VOCABULARY = 4, 300


class ScriptedModel:
    """Stands where a causal language model does and wants the next token of its script at every step."""

    def __init__(self, ids: Iterable[int]) -> None:
        self._ids = iter(ids)
        text_config = SimpleNamespace(num_hidden_layers=1, max_position_embeddings=8192)
        self.config = SimpleNamespace(text_config=text_config, get_text_config=lambda: text_config)
        self.device, self.dtype = torch.device("cpu"), torch.float32

    def get_input_embeddings(self) -> Any:
        return lambda ids: torch.zeros(*ids.shape, HIDDEN)

    def __call__(self, *, inputs_embeds: Tensor, **_inputs: Any) -> Any:
        logits = torch.zeros(len(inputs_embeds), 1, VOCABULARY)
        logits[:, :, next(self._ids)] = 1
        return SimpleNamespace(logits=logits)


def scripted(text: str, *, ends: bool = True) -> DeepSeekOCR:
    """An engine that answers with this text, and then says that it is done or goes on with the text's last token."""
    tokenizer = byte_tokenizer()
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    last = [tokenizer.token_to_id(EOS)] if ends else ids[-1:] * 5000
    engine = DeepSeekOCR(ScriptedModel([*ids, *last]), tokenizer)
    engine.image_features = lambda whole, tiles, rows: torch.zeros(_count(whole, tiles, rows), HIDDEN)  # type: ignore[method-assign]
    return engine


def _count(whole: Tensor, tiles: Tensor | None, rows: int) -> int:
    side = whole.shape[-1] // 64
    count = side * (side + 1) + 1
    if tiles is not None:
        side = tiles.shape[-1] // 64
        count += side * rows * (side * (len(tiles) // rows) + 1)
    return count

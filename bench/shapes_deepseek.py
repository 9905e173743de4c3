"""The full-size DeepSeek-OCR checkpoint without its weights: config, names and shapes of its tensors, and a tokenizer.

What a benchmark needs to write a random checkpoint of the real size, 2710 tensors and 6,672,212,480 bytes in bf16, that
the engine loads as it would the real one.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tokenizers import Tokenizer

from tests.checkpoints import BOS, EOS, PAD, byte_tokenizer

MARKS = ("<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<td>", "</td>", "<tr>", "</tr>")
SPECIAL_IDS = {BOS: 0, EOS: 1, PAD: 2} | {mark: 128815 + index for index, mark in enumerate(MARKS)}
LANGUAGE = {
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_size": 1280,
    "intermediate_size": 6848,
    "max_position_embeddings": 8192,
    "moe_intermediate_size": 896,
    "n_group": 1,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_attention_heads": 10,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 12,
    "num_key_value_heads": 10,
    "topk_group": 1,
    "topk_method": "greedy",
    "vocab_size": 129280,
}
CONFIG: Mapping[str, Any] = {
    "model_type": "deepseek_vl_v2",
    "torch_dtype": "bfloat16",
    "language_config": LANGUAGE,
    "vision_config": {},
}

Shapes = Iterator[tuple[str, tuple[int, ...]]]


def shapes() -> dict[str, tuple[int, ...]]:
    """The names and shapes of the real checkpoint's tensors."""
    return dict(_shapes())


def _shapes() -> Shapes:
    hidden, vocabulary = LANGUAGE["hidden_size"], LANGUAGE["vocab_size"]
    yield from (("lm_head.weight", (vocabulary, hidden)), ("model.embed_tokens.weight", (vocabulary, hidden)))
    yield from (
        ("model.norm.weight", (hidden,)),
        ("model.image_newline", (hidden,)),
        ("model.view_seperator", (hidden,)),
    )
    yield from _linear("model.projector.layers", hidden, 2048)
    yield from _sam("model.sam_model")
    yield from _clip("model.vision_model")
    for layer in range(LANGUAGE["num_hidden_layers"]):
        yield from _decoder_layer(f"model.layers.{layer}", layer)


def _linear(name: str, out: int, into: int) -> Shapes:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, size: int) -> Shapes:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _sam(name: str) -> Shapes:
    width, neck = 768, 256
    yield f"{name}.pos_embed", (1, 64, 64, width)
    yield f"{name}.patch_embed.proj.weight", (width, 3, 16, 16)
    yield f"{name}.patch_embed.proj.bias", (width,)
    for block in range(12):
        at = f"{name}.blocks.{block}"
        side = 2 * (64 if block in (2, 5, 8, 11) else 14) - 1
        yield from _norm(f"{at}.norm1", width)
        yield from _norm(f"{at}.norm2", width)
        yield from ((f"{at}.attn.rel_pos_h", (side, 64)), (f"{at}.attn.rel_pos_w", (side, 64)))
        yield from _linear(f"{at}.attn.qkv", 3 * width, width)
        yield from _linear(f"{at}.attn.proj", width, width)
        yield from _linear(f"{at}.mlp.lin1", 4 * width, width)
        yield from _linear(f"{at}.mlp.lin2", width, 4 * width)
    yield f"{name}.neck.0.weight", (neck, width, 1, 1)
    yield from _norm(f"{name}.neck.1", neck)
    yield f"{name}.neck.2.weight", (neck, neck, 3, 3)
    yield from _norm(f"{name}.neck.3", neck)
    yield f"{name}.net_2.weight", (512, neck, 3, 3)
    yield f"{name}.net_3.weight", (1024, 512, 3, 3)


def _clip(name: str) -> Shapes:
    width = 1024
    yield f"{name}.embeddings.class_embedding", (width,)
    yield f"{name}.embeddings.patch_embedding.weight", (width, 3, 14, 14)
    yield f"{name}.embeddings.position_embedding.weight", (257, width)
    yield from _norm(f"{name}.pre_layrnorm", width)
    for layer in range(24):
        at = f"{name}.transformer.layers.{layer}"
        yield from _norm(f"{at}.layer_norm1", width)
        yield from _norm(f"{at}.layer_norm2", width)
        yield from _linear(f"{at}.self_attn.qkv_proj", 3 * width, width)
        yield from _linear(f"{at}.self_attn.out_proj", width, width)
        yield from _linear(f"{at}.mlp.fc1", 4 * width, width)
        yield from _linear(f"{at}.mlp.fc2", width, 4 * width)


def _decoder_layer(name: str, layer: int) -> Shapes:
    hidden, expert = LANGUAGE["hidden_size"], LANGUAGE["moe_intermediate_size"]
    yield from ((f"{name}.{norm}.weight", (hidden,)) for norm in ("input_layernorm", "post_attention_layernorm"))
    yield from ((f"{name}.self_attn.{proj}_proj.weight", (hidden, hidden)) for proj in "qkvo")
    if layer < LANGUAGE["first_k_dense_replace"]:
        yield from _gated(f"{name}.mlp", LANGUAGE["intermediate_size"])
        return
    yield f"{name}.mlp.gate.weight", (LANGUAGE["n_routed_experts"], hidden)
    yield from _gated(f"{name}.mlp.shared_experts", expert * LANGUAGE["n_shared_experts"])
    for index in range(LANGUAGE["n_routed_experts"]):
        yield from _gated(f"{name}.mlp.experts.{index}", expert)


def _gated(name: str, inner: int) -> Shapes:
    hidden = LANGUAGE["hidden_size"]
    yield from ((f"{name}.{proj}_proj.weight", (inner, hidden)) for proj in ("gate", "up"))
    yield f"{name}.down_proj.weight", (hidden, inner)


def stand_in_tokenizer() -> Tokenizer:
    """A tokenizer of bytes with the real vocabulary's size and special ids."""
    return byte_tokenizer(LANGUAGE["vocab_size"], SPECIAL_IDS)

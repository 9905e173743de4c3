"""The full-size checkpoints of DeepSeek-OCR and DeepSeek-OCR-2 without their weights: config, names and shapes of their
tensors, and a tokenizer.

What a benchmark needs to write a random checkpoint of the real size that the engine loads as it would the real one: of
DeepSeek-OCR 2710 tensors and 6,672,212,480 bytes in bf16, of DeepSeek-OCR-2 2707 and
6,778,238,720.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

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
CONFIG_2: Mapping[str, Any] = {**CONFIG, "vision_config": {"width": {"qwen2-0-5b": {"dim": 896}}}}


class Sam(NamedTuple):
    """The numbers of SAM."""

    width: int = 768
    mlp: int = 3072
    layers: int = 12
    whole: tuple[int, ...] = (2, 5, 8, 11)  # the layers that attend to the whole view
    head: int = 64
    neck: int = 256
    channels: tuple[int, int] = (512, 1024)  # of the convolutions behind the neck


class Queries(NamedTuple):
    """The numbers of the encoder that DeepSeek-OCR-2 has in CLIP's place."""

    width: int = 896
    mlp: int = 4864
    layers: int = 24
    keys: int = 128  # what its keys and values are wide


SAM_2, QUERIES = Sam(channels=(512, 896)), Queries()
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def shapes() -> dict[str, tuple[int, ...]]:
    """The names and shapes of the real DeepSeek-OCR's tensors."""
    return dict(_shapes())


def shapes_2(
    language: Mapping[str, int] = LANGUAGE, sam: Sam = SAM_2, queries: Queries = QUERIES
) -> dict[str, tuple[int, ...]]:
    """The names and shapes of the tensors of a DeepSeek-OCR-2, of the real one if nothing else is said."""
    return dict(_shapes_2(language, sam, queries))


def _shapes() -> Shapes:
    yield from _language(LANGUAGE)
    yield "model.image_newline", (LANGUAGE["hidden_size"],)
    yield from _linear("model.projector.layers", LANGUAGE["hidden_size"], 2048)
    yield from _sam("model.sam_model", Sam())
    yield from _clip("model.vision_model")


def _shapes_2(language: Mapping[str, int], sam: Sam, queries: Queries) -> Shapes:
    yield from _language(language)
    yield from _linear("model.projector.layers", language["hidden_size"], queries.width)
    yield from _sam("model.sam_model", sam)
    for side in (768, 1024):  # px of the view that they look at, a query for each square of 64
        yield f"model.qwen2_model.query_{side}.weight", ((side // 64) ** 2, queries.width)
    yield "model.qwen2_model.model.model.norm.weight", (queries.width,)
    for layer in range(queries.layers):
        yield from _query_layer(f"model.qwen2_model.model.model.layers.{layer}", queries)


def _language(language: Mapping[str, int]) -> Shapes:
    hidden, vocabulary = language["hidden_size"], language["vocab_size"]
    yield from (("lm_head.weight", (vocabulary, hidden)), ("model.embed_tokens.weight", (vocabulary, hidden)))
    yield from (("model.norm.weight", (hidden,)), ("model.view_seperator", (hidden,)))
    for layer in range(language["num_hidden_layers"]):
        yield from _decoder_layer(f"model.layers.{layer}", layer, language)


def _linear(name: str, out: int, into: int) -> Shapes:
    yield f"{name}.weight", (out, into)
    yield f"{name}.bias", (out,)


def _norm(name: str, size: int) -> Shapes:
    yield f"{name}.weight", (size,)
    yield f"{name}.bias", (size,)


def _sam(name: str, sam: Sam) -> Shapes:
    width, neck, (first, second) = sam.width, sam.neck, sam.channels
    yield f"{name}.pos_embed", (1, 64, 64, width)
    yield f"{name}.patch_embed.proj.weight", (width, 3, 16, 16)
    yield f"{name}.patch_embed.proj.bias", (width,)
    for block in range(sam.layers):
        at = f"{name}.blocks.{block}"
        side = 2 * (64 if block in sam.whole else 14) - 1
        yield from _norm(f"{at}.norm1", width)
        yield from _norm(f"{at}.norm2", width)
        yield from ((f"{at}.attn.rel_pos_h", (side, sam.head)), (f"{at}.attn.rel_pos_w", (side, sam.head)))
        yield from _linear(f"{at}.attn.qkv", 3 * width, width)
        yield from _linear(f"{at}.attn.proj", width, width)
        yield from _linear(f"{at}.mlp.lin1", sam.mlp, width)
        yield from _linear(f"{at}.mlp.lin2", width, sam.mlp)
    yield f"{name}.neck.0.weight", (neck, width, 1, 1)
    yield from _norm(f"{name}.neck.1", neck)
    yield f"{name}.neck.2.weight", (neck, neck, 3, 3)
    yield from _norm(f"{name}.neck.3", neck)
    yield f"{name}.net_2.weight", (first, neck, 3, 3)
    yield f"{name}.net_3.weight", (second, first, 3, 3)


def _query_layer(name: str, queries: Queries) -> Shapes:
    width, attention = queries.width, f"{name}.self_attn"
    yield from ((f"{name}.{norm}.weight", (width,)) for norm in ("input_layernorm", "post_attention_layernorm"))
    yield from _linear(f"{attention}.q_proj", width, width)
    yield from _linear(f"{attention}.k_proj", queries.keys, width)
    yield from _linear(f"{attention}.v_proj", queries.keys, width)
    yield f"{attention}.o_proj.weight", (width, width)
    yield from _gated(f"{name}.mlp", queries.mlp, width)


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


def _decoder_layer(name: str, layer: int, language: Mapping[str, int]) -> Shapes:
    hidden, expert = language["hidden_size"], language["moe_intermediate_size"]
    keys = hidden // language["num_attention_heads"] * language["num_key_value_heads"]
    yield from ((f"{name}.{norm}.weight", (hidden,)) for norm in ("input_layernorm", "post_attention_layernorm"))
    yield from ((f"{name}.self_attn.{proj}_proj.weight", (hidden, hidden)) for proj in "qo")
    yield from ((f"{name}.self_attn.{proj}_proj.weight", (keys, hidden)) for proj in "kv")
    if layer < language["first_k_dense_replace"]:
        yield from _gated(f"{name}.mlp", language["intermediate_size"], hidden)
        return
    yield f"{name}.mlp.gate.weight", (language["n_routed_experts"], hidden)
    yield from _gated(f"{name}.mlp.shared_experts", expert * language["n_shared_experts"], hidden)
    for index in range(language["n_routed_experts"]):
        yield from _gated(f"{name}.mlp.experts.{index}", expert, hidden)


def _gated(name: str, inner: int, hidden: int) -> Shapes:
    yield from ((f"{name}.{proj}_proj.weight", (inner, hidden)) for proj in ("gate", "up"))
    yield f"{name}.down_proj.weight", (hidden, inner)


def stand_in_tokenizer() -> Tokenizer:
    """A tokenizer of bytes with the real vocabulary's size and special ids."""
    return byte_tokenizer(LANGUAGE["vocab_size"], SPECIAL_IDS)

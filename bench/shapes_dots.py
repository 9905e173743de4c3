"""The full-size dots.ocr checkpoint without its weights: config, names and shapes of its tensors, and a tokenizer.

What a benchmark needs to write a random checkpoint of the real size, 643 tensors and 3,039,179,264 parameters, that
the engine loads as it would the real one. Imports nothing of the project.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

CONFIG: Mapping[str, Any] = {
    "architectures": ["DotsOCRForCausalLM"],
    "model_type": "dots_ocr",
    "attention_bias": True,
    "hidden_act": "silu",
    "hidden_size": 1536,
    "intermediate_size": 8960,
    "max_position_embeddings": 131072,
    "num_attention_heads": 12,
    "num_hidden_layers": 28,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 1000000,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
    "use_sliding_window": False,
    "vocab_size": 151936,
    "image_token_id": 151665,
    "vision_config": {
        "embed_dim": 1536,
        "hidden_size": 1536,
        "intermediate_size": 4224,
        "num_hidden_layers": 42,
        "num_attention_heads": 12,
        "num_channels": 3,
        "patch_size": 14,
        "post_norm": True,
        "rms_norm_eps": 1e-05,
        "spatial_merge_size": 2,
        "temporal_patch_size": 1,
        "use_bias": False,
        "is_causal": False,
    },
}
PREPROCESSOR: Mapping[str, Any] = {
    "min_pixels": 3136,
    "max_pixels": 11289600,
    "patch_size": 14,
    "temporal_patch_size": 1,
    "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor",
}
SPECIAL_IDS: Mapping[str, int] = {
    "<|endoftext|>": 151643,
    "<|imgpad|>": 151665,
    "<|img|>": 151666,
    "<|endofimg|>": 151667,
    "<|user|>": 151670,
    "<|endofuser|>": 151671,
    "<|assistant|>": 151672,
    "<|endofassistant|>": 151673,
}


def shapes(config: Mapping[str, Any] = CONFIG) -> dict[str, tuple[int, ...]]:
    """Every tensor's name and shape."""
    return dict([*_language(config), *_vision(config["vision_config"])])


def _language(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    keys = hidden // config["num_attention_heads"] * config["num_key_value_heads"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    yield "lm_head.weight", (config["vocab_size"], hidden)
    yield "model.norm.weight", (hidden,)
    for index in range(config["num_hidden_layers"]):
        layer = f"model.layers.{index}"
        for name, size in (("q_proj", hidden), ("k_proj", keys), ("v_proj", keys)):
            yield f"{layer}.self_attn.{name}.weight", (size, hidden)
            yield f"{layer}.self_attn.{name}.bias", (size,)
        yield f"{layer}.self_attn.o_proj.weight", (hidden, hidden)
        yield f"{layer}.mlp.gate_proj.weight", (inner, hidden)
        yield f"{layer}.mlp.up_proj.weight", (inner, hidden)
        yield f"{layer}.mlp.down_proj.weight", (hidden, inner)
        yield f"{layer}.input_layernorm.weight", (hidden,)
        yield f"{layer}.post_attention_layernorm.weight", (hidden,)


def _vision(config: Mapping[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    embed, inner, patch = config["embed_dim"], config["intermediate_size"], config["patch_size"]
    wide = embed * config["spatial_merge_size"] ** 2
    patchifier = "vision_tower.patch_embed.patchifier"
    yield f"{patchifier}.proj.weight", (embed, config["num_channels"], patch, patch)
    yield f"{patchifier}.proj.bias", (embed,)
    yield f"{patchifier}.norm.weight", (embed,)
    for index in range(config["num_hidden_layers"]):
        block = f"vision_tower.blocks.{index}"
        yield f"{block}.attn.qkv.weight", (3 * embed, embed)
        yield f"{block}.attn.proj.weight", (embed, embed)
        yield f"{block}.mlp.fc1.weight", (inner, embed)
        yield f"{block}.mlp.fc2.weight", (embed, inner)
        yield f"{block}.mlp.fc3.weight", (inner, embed)
        yield f"{block}.norm1.weight", (embed,)
        yield f"{block}.norm2.weight", (embed,)
    yield "vision_tower.post_trunk_norm.weight", (embed,)
    for name, sizes in (("ln_q", (embed,)), ("mlp.0", (wide, wide)), ("mlp.2", (config["hidden_size"], wide))):
        yield f"vision_tower.merger.{name}.weight", sizes
        yield f"vision_tower.merger.{name}.bias", sizes[:1]


def stand_in_tokenizer(size: int = CONFIG["vocab_size"], special_ids: Mapping[str, int] = SPECIAL_IDS) -> Tokenizer:
    """A tokenizer of bytes, ids 0 to 255, with the special tokens at their ids and unused names at all others.

    Bytes make more tokens of a prompt than the real vocabulary does; the time for each token stays the same.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = dict(enumerate(alphabet)) | {index: name for name, index in special_ids.items()}
    vocabulary = {names.get(index, f"<unused{index}>"): index for index in range(size)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in special_ids])
    return tokenizer

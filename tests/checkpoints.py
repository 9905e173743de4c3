"""Tiny checkpoints in the real format: real config layout, real tensor names, a byte-level tokenizer with the real
special tokens. The fake replaces the weights, not the stack."""

import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

GOLDEN = Path(__file__).parent / "golden"

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
MARKS = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<td>", "</td>", "<tr>", "</tr>")

DEEPSEEK_CONFIG: Mapping[str, Any] = {
    "model_type": "deepseek_vl_v2",
    "architectures": ["DeepseekOCRForCausalLM"],
    "auto_map": {"AutoModel": "modeling_deepseekocr.DeepseekOCRForCausalLM"},  # as the hub has it: never followed
    "torch_dtype": "bfloat16",
    "language_config": {
        "bos_token_id": 0,
        "eos_token_id": 1,
        "first_k_dense_replace": 1,
        "hidden_size": 80,
        "intermediate_size": 96,
        "max_position_embeddings": 8192,
        "moe_intermediate_size": 32,
        "n_group": 1,
        "n_routed_experts": 8,
        "n_shared_experts": 2,
        "num_attention_heads": 5,
        "num_experts_per_tok": 3,
        "num_hidden_layers": 3,
        "num_key_value_heads": 5,
        "topk_group": 1,
        "topk_method": "greedy",
        "vocab_size": 300,
    },
    "projector_config": {"input_dim": 128, "n_embed": 80, "projector_type": "linear"},
    "vision_config": {
        "model_name": "deeplip_b_l",
        "width": {
            "clip-l-14-224": {"heads": 4, "image_size": 224, "layers": 3, "patch_size": 14, "width": 64, "mlp": 128},
            "sam_vit_b": {
                "downsample_channels": [48, 64],
                "global_attn_indexes": [1, 3],
                "heads": 4,
                "layers": 4,
                "width": 64,
                "mlp": 256,
                "neck": 32,
            },
        },
    },
}


def deepseek_shapes() -> dict[str, list[int]]:
    """Names and shapes of the tiny model's tensors, as the reference has them."""
    shapes: dict[str, list[int]] = json.loads((GOLDEN / "deepseek" / "tiny_shapes.json").read_text())
    return shapes


def seeded(name: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """The tensor of this name that the golden numbers were made with (the rules stand in the reference's notes)."""
    mean, std = _scale(name, shape)
    u = np.random.RandomState(zlib.crc32(name.encode()) & 0xFFFFFFFF).random_sample(int(np.prod(shape)))
    return (mean + std * np.sqrt(3) * (2 * u - 1)).astype(np.float32).reshape(shape)


def _scale(name: str, shape: Sequence[int]) -> tuple[float, float]:
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "bias":
        return 0, 0.05
    if leaf.startswith("rel_pos_"):
        return 0, 0.1
    embeddings = ("pos_embed", "class_embedding", "image_newline", "view_seperator")
    if leaf in embeddings or "position_embedding" in name or "embed_tokens" in name:
        return 0, 0.5
    if len(shape) == 1:
        return 1, 0.1
    if name.endswith("mlp.gate.weight"):
        return 0, 2 / np.sqrt(shape[1])
    return 0, 1 / np.sqrt(np.prod(shape[1:]))


TINY_IDS: Mapping[str, int] = {
    BOS: 0,
    EOS: 1,
    PAD: 2,
    **{mark: 259 + i for i, mark in enumerate(MARKS)},
    "<image>": 299,
}


def byte_tokenizer(size: int = 300, special_ids: Mapping[str, int] = TINY_IDS) -> Tokenizer:
    """A tokenizer of bytes in a vocabulary of `size`: the special tokens at their ids, the 256 bytes from id 3 on."""
    bytes_ = {byte: index for index, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()), start=3)}
    taken = set(special_ids.values()) | set(bytes_.values())
    fillers = {f"<filler{index}>": index for index in range(size) if index not in taken}
    tokenizer = Tokenizer(models.BPE(vocab={**special_ids, **bytes_, **fillers}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    in_order = sorted(special_ids, key=lambda name: special_ids[name])
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in in_order])
    return tokenizer


def write_deepseek(
    folder: Path,
    *,
    config: Mapping[str, Any] = DEEPSEEK_CONFIG,
    tensors: Mapping[str, NDArray[np.float32]] | None = None,
) -> Path:
    """A tiny DeepSeek-OCR checkpoint with the golden weights, or with the tensors given."""
    if tensors is None:
        tensors = {name: seeded(name, shape) for name, shape in deepseek_shapes().items()}
    write_weights(folder, tensors)
    (folder / "config.json").write_text(json.dumps(config))
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    return folder


def write_weights(folder: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """These tensors as one shard with its index, in a folder that is made for them."""
    folder.mkdir(parents=True, exist_ok=True)
    shard = "model-00001-of-000001.safetensors"
    save_file(dict(tensors), folder / shard, metadata={"format": "pt"})
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": dict.fromkeys(tensors, shard),
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

"""The embedded model's form: DeepSeek-OCR's architecture at small dimensions, its tokenizer of bytes, its folder."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import UnlimitedOcrForConditionalGeneration

from ocr.deepseek import BOS, EOS, IMAGE, model_config
from ocr.loading import token_id

PAD = "<｜▁pad▁｜>"
MARKS = ("<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>", "<|grounding|>", "<td>", "</td>", "<tr>", "</tr>")
SPECIAL = (BOS, EOS, PAD, IMAGE, *MARKS)  # ids 0, 1, 2, …, then the 256 bytes

CONFIG: Mapping[str, Any] = {
    "model_type": "deepseek_vl_v2",
    "architectures": ["DeepseekOCRForCausalLM"],
    "torch_dtype": "bfloat16",
    "language_config": {
        "bos_token_id": 0,
        "eos_token_id": 1,
        "first_k_dense_replace": 1,
        "hidden_size": 256,
        "intermediate_size": 512,
        "max_position_embeddings": 2048,
        "moe_intermediate_size": 128,
        "n_group": 1,
        "n_routed_experts": 4,
        "n_shared_experts": 1,
        "num_attention_heads": 8,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 4,
        "num_key_value_heads": 8,
        "topk_group": 1,
        "topk_method": "greedy",
        "vocab_size": len(SPECIAL) + 256,
    },
    "projector_config": {"input_dim": 512, "n_embed": 256, "projector_type": "linear"},
    "vision_config": {
        "model_name": "deeplip_b_l",
        "width": {
            "clip-l-14-224": {"heads": 8, "image_size": 112, "layers": 2, "patch_size": 14, "width": 256, "mlp": 512},
            "sam_vit_b": {
                "downsample_channels": [160, 256],
                "global_attn_indexes": [],  # windows of 128 px only: full attention would make a step four times slower
                "heads": 4,
                "image_size": 512,
                "layers": 3,
                "mlp": 256,
                "neck": 96,
                "width": 128,
                "window": 8,
            },
        },
    },
}


def byte_tokenizer() -> Tokenizer:
    """Every byte a token, after the special ones: what is printed is spelled out, and no character is unknown."""
    names = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    tokenizer = Tokenizer(models.BPE(vocab={name: index for index, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_tokens([AddedToken(name, special=name.startswith("<｜"), normalized=False) for name in SPECIAL])
    return tokenizer


def fresh_model(seed: int) -> Any:
    """The model with random weights, in float32."""
    torch.manual_seed(seed)
    config = model_config(dict(CONFIG), token_id(byte_tokenizer(), IMAGE))
    config._attn_implementation = "sdpa"
    model = UnlimitedOcrForConditionalGeneration(config)
    for module in model.model.vision_tower.sam_encoder.modules():
        # transformers initialises SAM's weights to almost nothing, as they are meant to be loaded.
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            torch.nn.init.trunc_normal_(module.weight, std=(2 / (module.weight[0].numel() + len(module.weight))) ** 0.5)
    return model


def save_checkpoint(model: Any, folder: Path) -> None:
    """The folder that the package loads: bf16 weights under the hub's own names, config.json, tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    halved = {name: tensor.detach().to(torch.bfloat16) for name, tensor in model.state_dict().items()}
    model.save_pretrained(folder, state_dict=halved)
    (folder / "generation_config.json").unlink(missing_ok=True)
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    byte_tokenizer().save(str(folder / "tokenizer.json"))

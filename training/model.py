"""The embedded model's form: DeepSeek-OCR's architecture at small dimensions, and the folder it is kept in."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from transformers import UnlimitedOcrForConditionalGeneration

from ocr.engines.checkpoint import token_id
from ocr.models.deepseek.card import IMAGE
from ocr.models.deepseek.engine import model_config
from training.vocabulary import tokenizer, tokens

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
        "num_attention_heads": 4,
        "num_experts_per_tok": 2,
        "num_hidden_layers": 4,
        "num_key_value_heads": 4,
        "topk_group": 1,
        "topk_method": "greedy",
        "vocab_size": len(tokens()),
    },
    "projector_config": {"input_dim": 768, "n_embed": 256, "projector_type": "linear"},
    "vision_config": {
        "model_name": "deeplip_b_l",
        "width": {
            "clip-l-14-224": {"heads": 6, "image_size": 140, "layers": 2, "patch_size": 14, "width": 384, "mlp": 384},
            "sam_vit_b": {
                "downsample_channels": [256, 384],
                "global_attn_indexes": [],  # windows of 160 px only: full attention would make a step far slower
                "heads": 3,
                "image_size": 640,
                "layers": 3,
                "mlp": 384,
                "neck": 128,
                "width": 192,
                "window": 10,
            },
        },
    },
}


def fresh_model(seed: int) -> Any:
    """The model with random weights, in float32."""
    torch.manual_seed(seed)
    config = model_config(dict(CONFIG), token_id(tokenizer(), IMAGE))
    config._attn_implementation = "sdpa"
    config.vision_config.sam_config._attn_implementation = "eager"  # whose backward pass is the faster one
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
    tokenizer().save(str(folder / "tokenizer.json"))

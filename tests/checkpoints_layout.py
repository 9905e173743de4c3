"""Tiny random checkpoints of the detector of regions, in the hub's layout: config, tensor names, files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import PPDocLayoutV3ForObjectDetection

from ocr.models.layout.detector import model_config

LABELS = ("text", "table", "image", "doc_title", "display_formula", "header", "number")
LAYOUT_CONFIG: Mapping[str, Any] = {
    "architectures": ["PPDocLayoutV3ForObjectDetection"],
    "model_type": "pp_doclayout_v3",
    "activation_function": "silu",
    "anchor_image_size": None,
    "backbone_config": {
        "model_type": "hgnet_v2",
        "depths": [1, 1, 1, 1],
        "embedding_size": 8,
        "hidden_sizes": [8, 12, 16, 20],
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
        "stage_downsample": [False, True, True, True],
        "stage_in_channels": [8, 8, 12, 16],
        "stage_kernel_size": [3, 3, 5, 5],
        "stage_light_block": [False, False, True, True],
        "stage_mid_channels": [4, 4, 6, 8],
        "stage_numb_of_layers": [1, 1, 1, 1],
        "stage_num_blocks": [1, 1, 1, 1],
        "stage_out_channels": [8, 12, 16, 20],
        "stem_channels": [3, 4, 8],
    },
    "batch_norm_eps": 1e-5,
    "d_model": 16,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 24,
    "decoder_in_channels": [16, 16, 16],
    "decoder_layers": 2,
    "decoder_n_points": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 24,
    "encoder_hidden_dim": 16,
    "encoder_in_channels": [12, 16, 20],
    "encoder_layers": 1,
    "feature_strides": [8, 16, 32],
    "freeze_backbone_batch_norms": True,
    "global_pointer_head_size": 8,
    "hidden_expansion": 1.0,
    "id2label": {str(index): label for index, label in enumerate(LABELS)},
    "label2id": {label: index for index, label in enumerate(LABELS)},
    "mask_feature_channels": [8, 8],
    "num_feature_levels": 3,
    "num_prototypes": 4,
    "num_queries": 11,
    "x4_feat_dim": 8,
}
LAYOUT_PIXELS: Mapping[str, Any] = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0, 0, 0],
    "image_processor_type": "PPDocLayoutV3ImageProcessor",
    "image_std": [1, 1, 1],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": 96, "width": 128},
}


def tiny_detector(seed: int = 6) -> Any:
    """A network with random weights, by which regions of several kinds and places are found."""
    torch.manual_seed(seed)
    model = PPDocLayoutV3ForObjectDetection(model_config(LAYOUT_CONFIG)).float().eval()
    for name, tensor in model.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 1.5)
        elif tensor.dim() == 1:
            tensor.normal_(float(name.endswith("weight")), 0.3)  # of a norm around 1, a bias around 0
        elif tensor.is_floating_point() and tensor.dim():
            tensor.normal_(0, 1.5 / tensor[0].numel() ** 0.5)
        if "class_embed" in name or "enc_score_head" in name:
            tensor *= 4
    return model


def hub_tensors(model: Any) -> dict[str, torch.Tensor]:
    """The tensors of the hub's file: each once that has two names, and no counters of batches."""
    tied = ("model.decoder.class_embed", "model.decoder.bbox_embed")
    named = model.state_dict().items()
    return {name: tensor for name, tensor in named if not name.startswith(tied) and "num_batches" not in name}


def write_detector(folder: Path, model: Any) -> Path:
    """A checkpoint with this model's weights."""
    folder.mkdir(parents=True)
    tensors = {name: tensor.clone().contiguous() for name, tensor in hub_tensors(model).items()}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(LAYOUT_CONFIG))
    (folder / "preprocessor_config.json").write_text(json.dumps(LAYOUT_PIXELS))
    return folder

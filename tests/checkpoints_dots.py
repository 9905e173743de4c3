"""Tiny dots.ocr checkpoints in the real format, with the weights and the special-token ids of the golden numbers."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.shapes_dots import PREPROCESSOR, stand_in_tokenizer
from ocr.settings import Settings
from tests.checkpoints import write_weights

FLOAT32 = Settings(device="cpu", dtype="float32", attention="sdpa")
GOLDEN = Path(__file__).parent / "golden" / "dots"
TINY: Mapping[str, Any] = json.loads((GOLDEN / "dots_tiny.json").read_text())
SPECIAL_IDS: Mapping[str, int] = {
    "<|imgpad|>": 600,
    "<|user|>": 610,
    "<|img|>": 611,
    "<|endofimg|>": 612,
    "<|endofuser|>": 613,
    "<|assistant|>": 614,
    "<|endoftext|>": 637,
    "<|endofassistant|>": 638,
}


def golden_tensor(name: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """The tensor of this name that the golden numbers were made with (the rules stand in the reference's notes)."""
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
    bits = np.random.Philox(key=key).random_raw(int(np.prod(shape))) >> np.uint64(40)
    spread = ((bits.astype(np.float64) / 2.0**24 - 0.5) * 12.0**0.5).astype(np.float32).reshape(shape)  # variance 1
    if name.endswith(".bias"):
        return (0.1 * spread).astype(np.float32)
    if len(shape) == 1:
        return (1.0 + 0.1 * spread).astype(np.float32)
    return (spread / np.float32(np.sqrt(np.prod(shape[1:])))).astype(np.float32)


def golden_tensors() -> dict[str, NDArray[np.float32]]:
    """All tensors of the golden model by name."""
    return {name: golden_tensor(name, shape) for name, shape in TINY["shapes"].items()}


def write_dots(
    folder: Path,
    *,
    config: Mapping[str, Any] = TINY["config"],
    preprocessor: Mapping[str, Any] = PREPROCESSOR,
    tensors: Mapping[str, NDArray[np.float32]] | None = None,
    special_ids: Mapping[str, int] = SPECIAL_IDS,
) -> Path:
    """A tiny dots.ocr checkpoint with the golden weights, or with what is given in place of its parts."""
    write_weights(folder, golden_tensors() if tensors is None else tensors)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    stand_in_tokenizer(int(config["vocab_size"]), special_ids).save(str(folder / "tokenizer.json"))
    return folder

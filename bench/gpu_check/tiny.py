"""The tiny models with the golden weights, and how results are held to what they should be."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.gpu_check.report import Row
from bench.gpu_check.setup import Bench
from ocr.engines.native import NativeEngine
from ocr.models.catalog import MODELS
from ocr.models.deepseek import engine as deepseek
from ocr.models.dots import engine as dots
from ocr.settings import Settings
from tests import checkpoints, checkpoints_dots

# The largest difference from a golden array that may be, as a part of that array's largest value. Float32 results move
# with the order of sums alone. With 8 and 11 bits of precision they move by about 0.05 and 0.005, and where a token
# asks another expert by more; another text altogether is about 1.
ALLOWED = {"float32": 1e-4, "bfloat16": 0.3, "float16": 0.1}
EXACT = "float32"  # tokens must be the same ones in it; in the others a near tie may be decided otherwise

Engine = NativeEngine[Any]


@dataclass(frozen=True)
class Tiny:
    """A tiny model with the golden weights."""

    name: str
    module: Any
    write: Callable[[Path], Path]

    def load(self, bench: Bench, dtype: str, device: str = "", attention: str = "sdpa") -> Engine:
        """Its engine, on the device of the run unless told otherwise; its checkpoint is written once."""
        folder = bench.folder / self.name
        if not (folder / "config.json").exists():
            self.write(folder)
        settings = Settings(device=device or bench.device.type, dtype=dtype, attention=attention)
        engine: Engine = self.module.load(folder, MODELS[self.name], settings)
        return engine


DEEPSEEK = Tiny("deepseek-ocr", deepseek, checkpoints.write_deepseek)
DOTS = Tiny("dots.ocr", dots, checkpoints_dots.write_dots)


def difference(found: Tensor, golden: NDArray[np.float32]) -> float:
    """The largest difference from a golden array, as a part of that array's largest value."""
    return float(np.abs(found.detach().float().cpu().numpy() - golden).max() / np.abs(golden).max())


def near(what: str, dtype: str, differences: Sequence[float], held_to: str = "golden") -> Row:
    """How far results are from the golden ones, or from others."""
    largest, allowed = float(np.max(differences)), ALLOWED[dtype]
    return Row(
        f"{what}, {dtype}", f"{largest:.1e} of scale", f"{held_to}, at most {allowed:g}", is_right=largest <= allowed
    )


def equal(what: str, dtype: str, found: Sequence[Sequence[Any]], wanted: Sequence[Sequence[Any]], held_to: str) -> Row:
    """How many texts are equal to what they are held to, and how far the first that is not goes along."""
    pairs = list(zip(found, wanted, strict=True))
    same = sum(list(one) == list(other) for one, other in pairs)
    parted = next((agreeing(*pair) for pair in pairs if list(pair[0]) != list(pair[1])), None)
    after = "" if parted is None else f", the first other one parts after {parted} tokens"
    is_right = dtype != EXACT or same == len(pairs)
    return Row(f"{what}, {dtype}", f"{same} of {len(pairs)} equal{after}", held_to, is_right=is_right)


def agreeing(one: Sequence[Any], other: Sequence[Any]) -> int:
    """How many tokens two texts begin with in common."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


@torch.inference_mode()
def all_logits(engine: Engine, embeds: Tensor) -> Tensor:
    """The scores of a prompt (tokens, vocabulary)."""
    logits: Tensor = engine.network.model(inputs_embeds=embeds[None]).logits[0]
    return logits

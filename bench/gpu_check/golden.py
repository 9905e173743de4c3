"""The tiny models against the golden numbers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.gpu_check.report import Row
from bench.gpu_check.setup import Bench
from bench.gpu_check.tiny import DEEPSEEK, DOTS, Engine, all_logits, difference, equal, near
from ocr.decoding.rules import Budget
from tests import checkpoints, checkpoints_dots
from tests.sequences import NoEnd, decode, tokens


def deepseek_ocr(bench: Bench) -> Iterator[Row]:
    """DeepSeek-OCR's features, logits and greedy tokens."""
    for dtype in bench.sizes.dtypes:
        engine = DEEPSEEK.load(bench, dtype)
        yield near("DeepSeek-OCR vision", dtype, [*vision(bench, engine)])
        cases = [GoldenPage(case) for case in bench.sizes.cases]
        embeds = [case.embeds(engine) for case in cases]
        yield near("DeepSeek-OCR embeddings", dtype, list(map(difference, embeds, [c["embeds"] for c in cases])))
        logits = [all_logits(engine, page) for page in embeds]
        yield near("DeepSeek-OCR logits", dtype, list(map(difference, logits, [c["logits"] for c in cases])))
        greedy = [tokens(decode(engine.network.model, [page], [[NoEnd(48)]]))[0] for page in embeds]
        yield equal("DeepSeek-OCR greedy", dtype, greedy, [c["greedy"].tolist() for c in cases], "golden")


def vision(bench: Bench, engine: Engine) -> Iterator[float]:
    """How far each stage of the vision encoders is from the golden one."""
    golden = np.load(checkpoints.GOLDEN / "deepseek" / "tiny_vision_upstream.npz")
    tower, model = engine.network.model.model.vision_tower, engine.network.model
    for side in bench.sizes.views:
        pixels = noise(1000 + side, (1, 3, side, side))
        with torch.inference_mode():
            sam = tower.sam_encoder(pixels.to(model.device, model.dtype)).last_hidden_state
            clip = tower.vision_encoder(sam).last_hidden_state
            projected = engine.network._encode(pixels).flatten(1, 2)
        yield from (
            difference(x, golden[f"{side}/{name}"]) for name, x in (("sam", sam), ("clip", clip), ("proj", projected))
        )


def noise(seed: int, shape: tuple[int, ...]) -> Tensor:
    """The normalised pixels that golden numbers were made from."""
    values = 2 * np.random.RandomState(seed).random_sample(int(np.prod(shape))) - 1
    return torch.from_numpy(values.astype(np.float32).reshape(shape))


class GoldenPage:
    """One page of the golden numbers of DeepSeek-OCR."""

    def __init__(self, case: str) -> None:
        self._case, self._arrays = case, np.load(checkpoints.GOLDEN / "deepseek" / "tiny_e2e_upstream.npz")

    def __getitem__(self, name: str) -> NDArray[Any]:
        found: NDArray[Any] = self._arrays[f"{self._case}/{name}"]
        return found

    def embeds(self, engine: Engine) -> Tensor:
        """The prompt with the image's features in their places."""
        base, tile, columns, rows, _before, _after, seed, _count = map(int, self["meta"])
        tiles = noise(seed + 1, (columns * rows, 3, tile, tile)) if columns * rows > 1 else None
        features = engine.network.image_features(noise(seed, (1, 3, base, base)), tiles, rows)
        merged: Tensor = engine.network.merge(self["input_ids"].tolist(), features, engine.processor.image_token)
        return merged


def dots_ocr(bench: Bench) -> Iterator[Row]:
    """dots.ocr's features, logits and greedy tokens, alone and in a padded batch."""
    golden = np.load(checkpoints_dots.GOLDEN / "dots_tiny.npz")
    rows, grids = (
        torch.from_numpy(golden["pixel_values"]),
        [tuple(grid[1:]) for grid in golden["image_grid_thw"].tolist()],
    )
    for dtype in bench.sizes.dtypes:
        engine = DOTS.load(bench, dtype)
        network, image = engine.network, engine.processor.image_token
        features = network.image_features(rows, grids)
        yield near("dots.ocr vision", dtype, [difference(features, golden["vision_out"])])
        prompt = network.merge(golden["input_ids"][0].tolist(), features, image)
        yield near("dots.ocr logits", dtype, [difference(all_logits(engine, prompt), golden["logits"][0])])
        greedy = tokens(decode(network.model, [prompt], [[Budget(len(golden["greedy"]))]]))
        yield equal("dots.ocr greedy", dtype, greedy, [golden["greedy"].tolist()], "golden")
        masked = zip(
            golden["batch_ids"], golden["batch_mask"], features.split([h * w // 4 for h, w in grids]), strict=True
        )
        prompts = [network.merge(ids[mask == 1].tolist(), own, image) for ids, mask, own in masked]
        wanted = golden["batch_greedy"]
        both = tokens(decode(network.model, prompts, [[Budget(wanted.shape[1])] for _ in prompts]), rows=2)
        yield equal("dots.ocr padded batch", dtype, both, wanted.tolist(), "golden")

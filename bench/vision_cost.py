"""How long vision takes of a page on a processor, at each preset, computed from the numbers of the full-size models.

    python -m bench.vision_cost        prints the table of bench/vision_cost.md

Counted are the products of a tower's layers; what else there is takes little beside them. Imports no torch.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from bench import shapes_dots, shapes_grid
from ocr.models.catalog import MODELS
from ocr.models.patch_grid.card import Look
from ocr.models.tasks import PRESETS

A4 = (1654, 2339)  # px at 200 dpi
RATE = 110e9  # float32 operations a second of two AVX2 cores in such a tower (bench/full_size.md)
ABOUT_A_MINUTE = 70.0  # s, by this count, whose rate is known to within a tenth


class Tower(NamedTuple):
    """What the cost of a vision tower depends on."""

    patch: int  # px, side
    most: float  # px of a page that the model sees at most: its area, or its longer side
    width: int  # of a patch's embedding
    inner: int  # of the feed-forward layers
    matrices: int  # of one of these: 3 where it is gated
    layers: int
    windowed: int = 0  # of them, those that attend within windows alone
    window: int = 0  # px, side of these
    by_side: bool = False  # whether presets are px of the longer side

    def operations(self, area: float) -> float:
        """For so many px: two for each weight and patch, and four for each number of each pair of patches."""
        patches = area / self.patch**2
        weights = self.layers * (4 * self.width**2 + self.matrices * self.width * self.inner)
        others = (self.layers - self.windowed) * patches + self.windowed * (self.window / self.patch) ** 2
        return patches * (2 * weights + 4 * self.width * others)

    def seen(self, preset: Any) -> float:
        """px of a page of A4 that the model sees at a row of its card's presets."""
        if self.by_side:
            preset = Look(side=min(preset or self.most, self.most))
        look = preset if isinstance(preset, Look) else Look(area=preset)
        shrink = min(1.0, look.side / max(A4)) if look.side else 1.0
        most = math.inf if self.by_side else self.most
        return min(math.prod(A4) * shrink**2, look.area or math.inf, most)


def _dots() -> Tower:
    vision, pixels = shapes_dots.CONFIG["vision_config"], shapes_dots.PREPROCESSOR
    sizes = vision["patch_size"], pixels["max_pixels"], vision["embed_dim"], vision["intermediate_size"]
    return Tower(*sizes, matrices=3, layers=vision["num_hidden_layers"])


def _grid(model: str, matrices: int, frames: int = 1) -> Tower:
    """Of a model of a patch grid, whose limit of the area is of so many frames together."""
    full = shapes_grid.MODELS[model]
    vision: Mapping[str, Any] = full.config["vision_config"]
    limits = {**full.pixels, **getattr(MODELS[model], "limits", {})}
    layers = vision.get("depth") or vision["num_hidden_layers"]
    windowed = layers - len(vision.get("fullatt_block_indexes", range(layers)))
    sizes = vision["patch_size"], limits["max_pixels"] / frames, vision["hidden_size"], vision["intermediate_size"]
    return Tower(*sizes, matrices, layers, windowed, vision.get("window_size", 0))


_QWEN3, _QWEN2_5 = _grid("qwen3-vl-4b", 2), _grid("qwen2.5-vl-7b", 3)
_LIGHTON = Tower(patch=14, most=1540, width=1024, inner=4096, matrices=3, layers=24, by_side=True)
TOWERS: Mapping[str, Tower] = {
    "dots.ocr": _dots(),
    "dots.mocr": _dots(),
    "qwen3-vl-4b": _QWEN3,
    "firered-ocr": _QWEN3,
    "qwen2.5-vl-7b": _QWEN2_5,
    "olmocr-2": _QWEN2_5,
    "ovisocr2": _grid("ovisocr2", 2),
    "lightonocr-2": _LIGHTON,
    "lightonocr-2-bbox": _LIGHTON,
    "paddleocr-vl": _grid("paddleocr-vl", 2),
    "glm-ocr": _grid("glm-ocr", 3, frames=2),
}


def seconds(model: str) -> Mapping[str, float]:
    """What a page of A4 takes, by preset."""
    tower = TOWERS[model]
    return {name: tower.operations(tower.seen(preset)) / RATE for name, preset in MODELS[model].presets.items()}


def rows() -> Iterator[str]:
    """The table as markdown."""
    yield f"| model, seconds at | {' | '.join(name.split()[0] for name in PRESETS)} | Auto on a CPU |"
    yield "|" + "---|" * (2 + len(PRESETS))
    for model in TOWERS:
        took = seconds(model)
        cells = [f"{took[name]:.0f}" if name in took else "" for name in PRESETS]
        yield f"| {model} | {' | '.join(cells)} | {MODELS[model].cpu_preset.split()[0]} |"


if __name__ == "__main__":
    print("\n".join(rows()))

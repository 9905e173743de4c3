"""The classes of transformers that see a page as a grid of patches, a row for each. Knows no torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ocr.engines.patches import PatchRules, resized_size

Size = tuple[int, int]  # px, width and height


def plain(width: int, height: int, rules: PatchRules) -> Size:
    """Qwen2-VL's: a side shorter than half a square is rounded to none, which counts as too small a page."""
    limits = {"min_pixels": rules.min_pixels, "max_pixels": rules.max_pixels}
    return resized_size(width, height, multiple=rules.multiple, **limits, fewest=0)


@dataclass(frozen=True)
class Family:
    """One class of transformers, and what it is made of."""

    model: str  # the class
    config: str  # its config's
    model_type: str  # in config.json
    text_fields: tuple[str, ...] = ()  # that config.json must have beside those of all
    vision_fields: tuple[str, ...] = ()  # likewise
    sizing: Callable[[int, int, PatchRules], Size] = plain  # to which size a page (width, height) is brought
    raster: bool = False  # whether it takes patches row by row, each a square, in place of flat rows block by block


QWEN2_5_VL = Family(
    model="Qwen2_5_VLForConditionalGeneration",
    config="Qwen2_5_VLConfig",
    model_type="qwen2_5_vl",
    vision_fields=(
        "depth",
        "num_heads",
        "out_hidden_size",
        "temporal_patch_size",
        "window_size",
        "fullatt_block_indexes",
    ),
)
QWEN3_VL = replace(
    QWEN2_5_VL,
    model="Qwen3VLForConditionalGeneration",
    config="Qwen3VLConfig",
    model_type="qwen3_vl",
    text_fields=("head_dim",),
    vision_fields=(
        "depth",
        "num_heads",
        "out_hidden_size",
        "temporal_patch_size",
        "num_position_embeddings",
        "deepstack_visual_indexes",
    ),
)

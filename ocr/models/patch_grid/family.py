"""The classes of transformers that see a page as a grid of patches, a row for each. Knows no torch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ocr.engines.patches import PatchRules, check_aspect, resized_size

Size = tuple[int, int]  # px, width and height


def plain(width: int, height: int, rules: PatchRules) -> Size:
    """Qwen2-VL's: a side shorter than half a square is rounded to none, which counts as too small a page."""
    limits = {"min_pixels": rules.min_pixels, "max_pixels": rules.max_pixels}
    return resized_size(width, height, multiple=rules.multiple, **limits, fewest=0)


def _one_square_at_least(width: int, height: int, rules: PatchRules) -> Size:
    """PaddleOCR-VL's: a side shorter than a square becomes one, and the other grows with it."""
    check_aspect(width, height)  # of the page as it came
    square = rules.multiple
    if height < square:
        width, height = round(width * square / height), square
    if width < square:
        width, height = square, round(height * square / width)
    return plain(width, height, rules)


def _grown_to_a_square(width: int, height: int, rules: PatchRules) -> Size:
    """GLM-4.6V's: a page with a side shorter than a square grows until it has none, and is rounded down."""
    check_aspect(width, height)  # of the page as it came
    square = rules.multiple
    if min(width, height) < square:
        factor = max(square / height, square / width)
        width, height = int(width * factor), int(height * factor)
    return plain(width, height, rules)


@dataclass(frozen=True)
class Family:
    """One class of transformers, and what it is made of."""

    model: str  # the class
    config: str  # its config's
    model_type: str  # in config.json
    text_fields: tuple[str, ...] = ()  # that config.json must have beside those of all
    vision_fields: tuple[str, ...] = ()  # likewise
    sizing: Callable[[int, int, PatchRules], Size] = plain  # to which size a page (width, height) is brought
    counts_frames: bool = False  # whether the limits of the area are of all frames together
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
QWEN3_5 = replace(
    QWEN3_VL,
    model="Qwen3_5ForConditionalGeneration",
    config="Qwen3_5Config",
    model_type="qwen3_5",
    text_fields=(
        "head_dim",
        "layer_types",
        "partial_rotary_factor",
        "linear_conv_kernel_dim",
        "linear_key_head_dim",
        "linear_num_key_heads",
        "linear_num_value_heads",
        "linear_value_head_dim",
    ),
    vision_fields=("depth", "num_heads", "out_hidden_size", "temporal_patch_size", "num_position_embeddings"),
)
PADDLEOCR_VL = Family(
    model="PaddleOCRVLForConditionalGeneration",
    config="PaddleOCRVLConfig",
    model_type="paddleocr_vl",
    text_fields=("head_dim", "use_bias"),
    vision_fields=("num_hidden_layers", "num_attention_heads", "image_size", "layer_norm_eps"),
    sizing=_one_square_at_least,
    raster=True,
)
GLM_OCR = Family(
    model="GlmOcrForConditionalGeneration",
    config="GlmOcrConfig",
    model_type="glm_ocr",
    vision_fields=("depth", "num_heads", "out_hidden_size", "temporal_patch_size", "rms_norm_eps"),
    sizing=_grown_to_a_square,
    counts_frames=True,
)

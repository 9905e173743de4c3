"""The table of models: a line for each."""

from collections.abc import Mapping

from ocr.models.card import Card
from ocr.models.deepseek.card import DEEPSEEK_OCR, DEEPSEEK_OCR_2, DEEPSEEK_OCR_TINY, UNLIMITED_OCR
from ocr.models.dots.card import DOTS_MOCR, DOTS_OCR
from ocr.models.got.card import GOT_OCR2
from ocr.models.lighton.card import LIGHTONOCR_2
from ocr.models.patch_grid.card import (
    FIRERED_OCR,
    GLM_OCR,
    OLMOCR_2,
    OVISOCR2,
    PADDLEOCR_VL,
    QWEN2_5_VL_7B,
    QWEN3_VL_4B,
)
from ocr.models.pp_ocr.card import PP_OCR
from ocr.weights.installation import WEIGHTS

MODELS: Mapping[str, Card] = {
    "deepseek-ocr": DEEPSEEK_OCR,
    "dots.ocr": DOTS_OCR,
    "dots.mocr": DOTS_MOCR,
    "deepseek-ocr-2": DEEPSEEK_OCR_2,
    "unlimited-ocr": UNLIMITED_OCR,
    "qwen3-vl-4b": QWEN3_VL_4B,
    "qwen2.5-vl-7b": QWEN2_5_VL_7B,
    "olmocr-2": OLMOCR_2,
    "firered-ocr": FIRERED_OCR,
    "ovisocr2": OVISOCR2,
    "lightonocr-2": LIGHTONOCR_2,
    "lightonocr-2-bbox": LIGHTONOCR_2,
    "paddleocr-vl": PADDLEOCR_VL,
    "glm-ocr": GLM_OCR,
    "got-ocr2": GOT_OCR2,
    "pp-ocr": PP_OCR,  # after those that understand pages, so that `auto` takes it only where there is none of them
    "deepseek-ocr-tiny": DEEPSEEK_OCR_TINY,  # last, likewise
}
AUTO = "auto"  # the name that stands for whichever model this installation reads with


def demo_note(model: str) -> str:
    """That a model is there for demonstrations alone, and what to do about it, as a sentence; "" for all others."""
    card = MODELS[model]
    if not card.demo_of:
        return ""
    return (
        f"{model} is a demo model, for {card.languages} alone: do not rely on what it reads. "
        f"`{WEIGHTS} fetch {card.demo_of}` gets a real one."
    )

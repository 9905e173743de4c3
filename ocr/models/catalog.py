"""The table of models: a line for each."""

from collections.abc import Mapping

from ocr.models.card import Card
from ocr.models.deepseek.card import DEEPSEEK_OCR, DEEPSEEK_OCR_TINY
from ocr.models.dots.card import DOTS_MOCR, DOTS_OCR

MODELS: Mapping[str, Card] = {
    "deepseek-ocr": DEEPSEEK_OCR,
    "dots.ocr": DOTS_OCR,
    "dots.mocr": DOTS_MOCR,
    "deepseek-ocr-tiny": DEEPSEEK_OCR_TINY,  # last, so that `auto` takes it only where there is no other
}
AUTO = "auto"  # the name that stands for whichever model this installation reads with

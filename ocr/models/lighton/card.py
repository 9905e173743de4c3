"""What is known of LightOnOCR without loading it."""

from collections.abc import Mapping

from ocr.engines.prompts import Frame
from ocr.models.card import Card
from ocr.models.tasks import BASE, GUNDAM, LARGE, MARKDOWN, SMALL, TINY
from ocr.types import Prompt

IMAGE = "<|image_pad|>"  # stands once for each image token
FRAME = Frame(  # a page and no words; the system's turn is empty and has no line of its own
    before=f"<|im_start|>system<|im_end|>\n<|im_start|>user\n{IMAGE}",
    after="<|im_end|>\n<|im_start|>assistant\n",
)

# px, the longer side that the model sees at most; None for the checkpoint's own limit.
_PRESETS: Mapping[str, int | None] = {GUNDAM: None, TINY: 512, SMALL: 640, BASE: 1024, LARGE: 1280}

LIGHTONOCR_2 = Card(
    engine="ocr.models.lighton.engine",
    tasks={MARKDOWN: Prompt("", dialect="placed_links")},
    own_prompt=None,
    presets=_PRESETS,
    cpu_preset=BASE,
    end_tokens=("<|im_end|>", "<|endoftext|>"),
    licence="Apache-2.0",
    languages="English, French, German, Spanish, Italian, Dutch, Portuguese, Swedish, Danish, Chinese, Japanese",
)

"""GOT-OCR 2.0's real weights on a real page, against transformers' processor and the class's own generate().

Runs where the weights are: `pytest --real-weights DIR tests/test_got_real.py`.
"""

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from ocr.documents.images import read_image
from ocr.engines.checkpoint import read_json
from ocr.models.got.card import GOT_OCR2
from ocr.models.got.engine import load
from ocr.models.tasks import BASE, FREE_OCR, LARGE, MARKDOWN
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, PageInput, Piece

TOKENS = 60  # fewer than would repeat twenty of them


@pytest.mark.parametrize(("task", "preset"), [(FREE_OCR, BASE), (MARKDOWN, BASE), (MARKDOWN, LARGE)])
def test_a_real_page_is_read_as_by_the_class_itself(real_weights: Path, shared: Path, task: str, preset: str) -> None:
    folder = real_weights / "got-ocr2"
    if not folder.is_dir():
        pytest.skip(f"{real_weights} has no folder got-ocr2")
    with (shared / "images" / "paper_page_1700x2250.jpg").open("rb") as file:
        image = read_image(file, max_pixels=10**8).image
    request = Request(model="got-ocr2", task=task, resolution=preset)
    engine = load(folder, GOT_OCR2, Settings(dtype="float32"))
    asked = PageInput(image, request.asked, request.words, request.preset)
    ready, model = engine.processor.prepare(asked), engine.network.model
    pieces = [out for out in engine.read([asked], Decoding(max_new_tokens=4096)) if isinstance(out, Piece)]
    answer = "".join(piece.text for piece in pieces)
    assert pieces[-1].finish is FinishReason.STOP
    assert "LYMPHOMA" in answer.upper()

    processor = GotOcr2ImageProcessorPil(**read_json(folder / "preprocessor_config.json"))
    pixels = processor(images=[image], crop_to_patches=request.preset.tiled, return_tensors="pt")["pixel_values"]
    assert torch.equal(engine.network.pixels(ready.views), pixels)
    ids = torch.tensor([ready.ids], device=model.device)
    theirs = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=pixels.to(model.device),
        generation_config=GenerationConfig(max_new_tokens=TOKENS, do_sample=False, pad_token_id=ready.ids[0]),
    )
    assert answer.startswith(engine.processor.tokenizer.decode(theirs[0, ids.shape[1] :].tolist()))

"""DeepSeek-OCR-2's real weights on a real page, against the class's own generate().

Runs where the weights are: `pytest --real-weights DIR tests/test_deepseek_2_real.py`.
"""

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import DeepseekOcr2ImageProcessorPil

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.documents.images import read_image
from ocr.models.deepseek.card import DEEPSEEK_OCR_2
from ocr.models.deepseek.engine_2 import load
from ocr.models.tasks import GUNDAM
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, Opened, PageInput, Piece

TOKENS = 18  # fewer than are needed for the ban on repeated n-grams to begin


def test_a_real_page_is_read_as_by_the_class_itself(real_weights: Path, shared: Path) -> None:
    folder = real_weights / "deepseek-ocr-2"
    if not folder.is_dir():
        pytest.skip(f"{real_weights} has no folder deepseek-ocr-2")
    with (shared / "images" / "paper_page_1700x2250.jpg").open("rb") as file:
        image = read_image(file, max_pixels=10**8).image
    request = Request(model="deepseek-ocr-2", resolution=GUNDAM)
    page = PageInput(image, request.asked, request.words, request.preset)
    engine = load(folder, DEEPSEEK_OCR_2, Settings(dtype="float32"))
    pieces = [out for out in engine.read([page], Decoding()) if isinstance(out, Piece)]
    answer, ready = "".join(piece.text for piece in pieces), engine.processor.prepare(page)
    assert pieces[-1].finish is FinishReason.STOP

    model = engine.network.model
    ids = torch.tensor([ready.ids], device=model.device)
    found = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        **DeepseekOcr2ImageProcessorPil()(images=[image], return_tensors="pt").to(model.device),
        generation_config=GenerationConfig(
            max_new_tokens=TOKENS, do_sample=False, pad_token_id=2, eos_token_id=model.config.text_config.eos_token_id
        ),
    )
    theirs = found[0, ids.shape[1] :].tolist()
    assert answer.startswith(engine.processor.tokenizer.decode(theirs, skip_special_tokens=False))
    parser = PARSERS[request.asked.dialect](Scale(extent=ready.extent, page=image.size))
    events = [*parser.feed(answer), *parser.close()]
    assert parser.problems == []
    assert len([event for event in events if isinstance(event, Opened) and event.bbox]) > 5
    assert "LYMPHOMA" in answer.upper()

"""Unlimited-OCR's real weights on a real page, against the class's own generate().

Runs where the weights are: `pytest --real-weights DIR tests/test_unlimited_real.py`.
"""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, UnlimitedOcrForConditionalGeneration

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.documents.document import open_document
from ocr.documents.images import read_image
from ocr.engines.checkpoint import read_json
from ocr.engines.hardware import choose_hardware
from ocr.engines.loading import load_model
from ocr.models.deepseek.card import UNLIMITED_OCR
from ocr.models.deepseek.engine import load, model_config, normalise
from ocr.models.tasks import GUNDAM, PAGES_TOGETHER
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, Opened, PageInput, PageResult, Piece

TOKENS = 300  # more than twice the window


def test_a_real_page_is_read_as_by_the_class_itself(real_weights: Path, shared: Path) -> None:
    folder = real_weights / "unlimited-ocr"
    if not folder.is_dir():
        pytest.skip(f"{real_weights} has no folder unlimited-ocr")
    with (shared / "images" / "paper_page_1700x2250.jpg").open("rb") as file:
        image = read_image(file, max_pixels=10**8).image
    request, settings = Request(model="unlimited-ocr", resolution=GUNDAM), Settings(dtype="float32")
    page = PageInput(image, request.asked, request.words, request.preset)
    engine = load(folder, UNLIMITED_OCR, settings)
    pieces = [out for out in engine.read([page], Decoding()) if isinstance(out, Piece)]
    answer, ready = "".join(piece.text for piece in pieces), engine.processor.prepare(page)
    assert pieces[-1].finish is FinishReason.STOP

    assert answer.startswith(generated(folder, settings, engine.network.window, ready, engine.processor.tokenizer))
    parser = PARSERS[request.asked.dialect](Scale(extent=ready.extent, page=image.size))
    events = [*parser.feed(answer), *parser.close()]
    assert parser.problems == []
    assert len([event for event in events if isinstance(event, Opened) and event.bbox]) > 5
    assert "LYMPHOMA" in answer.upper()


def test_the_pages_of_a_real_document_are_told_apart(real_weights: Path, shared: Path) -> None:
    folder = real_weights / "unlimited-ocr"
    if not folder.is_dir():
        pytest.skip(f"{real_weights} has no folder unlimited-ocr")
    request = Request(model="unlimited-ocr", task=PAGES_TOGETHER, resolution=GUNDAM)
    pages = open_document(shared / "images" / "paper_demo.pdf", "", Settings())
    events = read_pages(load(folder, UNLIMITED_OCR, Settings()), request, pages, Decoding())
    first, second = (event for event in events if isinstance(event, PageResult))
    assert [(one.finish_reason, one.retries, one.image_tokens) for one in (first, second)] == [
        (FinishReason.STOP, 0, 273)
    ] * 2
    assert min(len(first.elements), len(second.elements)) > 5


def generated(folder: Path, settings: Settings, window: int | None, ready: Any, tokenizer: Any) -> str:
    """What the class with its own window makes of the same views."""
    config = model_config(read_json(folder / "config.json"), ready.ids[1], UNLIMITED_OCR.model_type)
    text = config.text_config
    text.sliding_window, text.layer_types = window, ["reference_sliding_attention"] * len(text.layer_types)
    hardware = choose_hardware(settings, "float32")
    model = load_model(UnlimitedOcrForConditionalGeneration, folder, config, hardware, "sdpa")
    ids, views = torch.tensor([ready.ids], device=model.device), ready.views
    found = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=normalise([views.whole]).to(model.device),
        pixel_values_local=normalise(views.tiles).to(model.device),
        num_local_patches=[len(views.tiles)],
        patches_grid=[[views.columns, views.rows]],
        generation_config=GenerationConfig(
            max_new_tokens=TOKENS, do_sample=False, pad_token_id=2, eos_token_id=text.eos_token_id
        ),
    )
    return str(tokenizer.decode(found[0, ids.shape[1] :].tolist(), skip_special_tokens=False))

"""The real weights of the models of a patch grid on a real page, against their own chat templates and classes.

Runs where the weights are: `pytest --real-weights DIR tests/test_patch_grid_real.py`.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ocr.documents.images import read_image
from ocr.models.catalog import MODELS
from ocr.models.patch_grid.card import GridCard
from ocr.models.patch_grid.engine import load
from ocr.models.tasks import GUNDAM
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageInput, Piece

CARDS = {name: card for name, card in MODELS.items() if isinstance(card, GridCard)}
TOKENS = 20  # after which sums in another order may part ways in bf16


@pytest.fixture(scope="module", params=CARDS)
def name(request: pytest.FixtureRequest, real_weights: Path) -> str:
    if not (real_weights / request.param).is_dir():
        pytest.skip(f"{real_weights} has no folder {request.param}")
    return str(request.param)


def chat_template(folder: Path) -> str:
    if (folder / "chat_template.jinja").exists():
        return (folder / "chat_template.jinja").read_text()
    if (folder / "chat_template.json").exists():
        return str(json.loads((folder / "chat_template.json").read_text())["chat_template"])
    pytest.skip(f"{folder} has no chat template beside its weights")


def test_every_prompt_is_what_the_chat_template_makes_of_it(name: str, real_weights: Path) -> None:
    card = CARDS[name]
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(
        chat_template(real_weights / name)
    )
    of_regions = [prompt for task in card.tasks.values() for prompt in (task.regions or {}).values()]
    prompts = [*of_regions, *(task for task in card.tasks.values() if task.regions is None)]
    for prompt in prompts:
        said: list[dict[str, Any]] = [{"type": "image"}, {"type": "text", "text": prompt.template}]
        if prompt.template in card.frame.around(prompt.template).partition(card.image)[0]:
            said.reverse()  # the words come first
        messages = [{"role": "user", "content": said}]
        if prompt.system:
            messages.insert(0, {"role": "system", "content": [{"type": "text", "text": prompt.system}]})
        ours = card.frame.around(prompt.template, prompt.system)
        assert template.render(messages=messages, add_generation_prompt=True, enable_thinking=False) == ours


def test_a_real_page_is_read_as_by_the_class_itself(name: str, real_weights: Path, shared: Path) -> None:
    with (shared / "images" / "paper_page_1700x2250.jpg").open("rb") as file:
        image = read_image(file, max_pixels=10**8).image
    request = Request(model=name, resolution=GUNDAM)
    engine = load(real_weights / name, CARDS[name], Settings())
    asked = PageInput(image, request.asked, request.words, request.preset)
    ready = engine.processor.prepare(asked)
    model = engine.network.model
    ids = torch.tensor([ready.ids], device=model.device)
    theirs = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        mm_token_type_ids=(ids == engine.processor.image_token).int(),
        pixel_values=engine.network.pixels(ready),
        image_grid_thw=torch.tensor([[1, *ready.grid]], device=model.device),
        generation_config=transformers.GenerationConfig(max_new_tokens=TOKENS, do_sample=False),
    )
    reference = engine.processor.tokenizer.decode(theirs[0, ids.shape[1] :].tolist())
    read = engine.read([asked], Decoding(max_new_tokens=4096, temperature=0.0))
    answer = "".join(out.text for out in read if isinstance(out, Piece))
    assert answer.startswith(reference)
    assert "LYMPHOMA" in answer.upper()

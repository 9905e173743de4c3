"""LightOnOCR's real weights on a real page, against its own chat template and its class's own generate().

Runs where the weights are: `pytest --real-weights DIR tests/test_lighton_real.py`. Without a chat_template.jinja in the
folder, which `weights.py fetch` does not bring, the prompt is not compared.
"""

from pathlib import Path

import pytest
import torch
from jinja2.sandbox import ImmutableSandboxedEnvironment
from transformers import GenerationConfig

from ocr.documents.images import read_image
from ocr.models.lighton.card import FRAME, LIGHTONOCR_2
from ocr.models.lighton.engine import load
from ocr.models.tasks import MARKDOWN
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, PageInput, Piece

TOKENS = 20  # after which sums in another order may part ways in bf16


@pytest.fixture(scope="module", params=["lightonocr-2", "lightonocr-2-bbox"])
def folder(request: pytest.FixtureRequest, real_weights: Path) -> Path:
    if not (real_weights / request.param).is_dir():
        pytest.skip(f"{real_weights} has no folder {request.param}")
    return real_weights / str(request.param)


def test_the_prompt_is_what_the_chat_template_makes_of_it(folder: Path) -> None:
    path = folder / "chat_template.jinja"
    if not path.exists():
        pytest.skip(f"{folder} has no chat template beside its weights")
    template = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True).from_string(path.read_text())
    messages = [{"role": "user", "content": [{"type": "image"}]}]
    assert template.render(messages=messages, add_generation_prompt=True, eos_token="<|im_end|>") == FRAME.around("")


def test_a_real_page_is_read_as_by_the_class_itself(folder: Path, shared: Path) -> None:
    with (shared / "images" / "paper_page_1700x2250.jpg").open("rb") as file:
        image = read_image(file, max_pixels=10**8).image
    engine = load(folder, LIGHTONOCR_2, Settings())
    asked = PageInput(image, LIGHTONOCR_2.tasks[MARKDOWN], "", None)
    ready, model = engine.processor.prepare(asked), engine.network.model
    ids = torch.tensor([ready.ids], device=model.device)
    theirs = model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        pixel_values=engine.network.pixels(ready),
        image_sizes=torch.tensor([list(reversed(ready.size))]),
        generation_config=GenerationConfig(max_new_tokens=TOKENS, do_sample=False, pad_token_id=151643),
    )
    reference = engine.processor.tokenizer.decode(theirs[0, ids.shape[1] :].tolist())
    pieces = [out for out in engine.read([asked], Decoding(temperature=0.0)) if isinstance(out, Piece)]
    answer = "".join(piece.text for piece in pieces)
    assert answer.startswith(reference)
    assert "LYMPHOMA" in answer.upper()
    assert pieces[-1].finish is FinishReason.STOP

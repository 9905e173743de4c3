"""The dots.ocr engine: what it asks the model, what it refuses, how its pages end."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ocr.engines import native as engine_module
from ocr.engines.checkpoint import load_tokenizer
from ocr.engines.native import NativeEngine
from ocr.engines.patches import resized_size
from ocr.errors import InputError, ModelError
from ocr.models.catalog import MODELS
from ocr.models.dots import engine as dots
from ocr.models.dots.card import DOTS_OCR
from ocr.models.dots.processor import DotsProcessor
from ocr.models.tasks import GUNDAM
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.types import Decoding, FinishReason, PageInput, PageResult, Piece, Prepared, Prompt
from tests import pictures
from tests.checkpoints_dots import FLOAT32, GOLDEN, SPECIAL_IDS, write_dots


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dots(tmp_path_factory.mktemp("checkpoints") / "dots.ocr")


@pytest.fixture(scope="module")
def engine(folder: Path) -> NativeEngine[Any]:
    return dots.load(folder, DOTS_OCR, FLOAT32)


def page(width: int = 100, height: int = 70, **changes: Any) -> PageInput:
    image = Image.new("RGB", (width, height), (200, 30, 90))
    given = PageInput(
        image, MODELS["dots.ocr"].tasks["Free OCR"], "", MODELS["dots.ocr"].presets["Gundam (Recommended)"]
    )
    return replace(given, **changes)


def test_prompts_are_worded_as_the_model_was_trained() -> None:
    golden = json.loads((GOLDEN / "prompts.json").read_text())
    tasks = MODELS["dots.mocr"].tasks
    ours = {
        "prompt_layout_all_en": tasks["Convert to Markdown"].template,
        "prompt_layout_only_en": tasks["Detect Layout"].template,
        "prompt_ocr": tasks["Free OCR"].template,
        "prompt_grounding_ocr": tasks["Read Region"].template.removesuffix("{region}"),
        "prompt_web_parsing": tasks["Parse Web Page"].template,
        "prompt_scene_spotting": tasks["Spot Scene Text"].template,
        "prompt_image_to_svg": tasks["Image to SVG"].template,
        # The makers' table has a blank here, in whose place their code puts the user's words.
        "prompt_general": MODELS["dots.mocr"].own_prompt.template.replace("{text}", " "),
    }
    assert ours == golden
    assert (
        tasks["OCR with Boxes"].template == tasks["Locate Object by Reference"].template == ours["prompt_layout_all_en"]
    )
    assert all(MODELS["dots.mocr"].tasks[task] == prompt for task, prompt in MODELS["dots.ocr"].tasks.items())


# --- The prompt -------------------------------------------------------------------------------------------------


def spelled(engine: NativeEngine[Any], given: PageInput) -> str:
    return engine.processor.tokenizer.decode(engine.processor.prepare(given).ids, skip_special_tokens=False)


def test_the_prompt_has_the_makers_frame_and_a_token_for_every_four_patches(engine: NativeEngine[Any]) -> None:
    ready = engine.processor.prepare(page(100, 70))
    assert (ready.size, ready.grid, ready.image_tokens) == ((112, 56), (4, 8), 8)
    assert spelled(engine, page(100, 70)) == (
        "<|user|><|img|>" + "<|imgpad|>" * 8 + "<|endofimg|>"
        "Extract the text content from this image.<|endofuser|><|assistant|>"
    )


def test_a_system_message_goes_first_as_ordinary_text(engine: NativeEngine[Any]) -> None:
    text = spelled(engine, page(prompt=MODELS["dots.mocr"].own_prompt, text="What is this?"))
    assert text.startswith("<|system|>You are a helpful assistant.<|endofsystem|>\n<|user|><|img|>")
    assert text.endswith("<|endofimg|>What is this?<|endofuser|><|assistant|>")


def test_the_box_of_a_region_is_given_in_model_pixels(engine: NativeEngine[Any]) -> None:
    region = MODELS["dots.ocr"].tasks["Read Region"]
    given = page(340, 450, prompt=region, text="170, 112.5, 340, 450")
    assert engine.processor.prepare(given).size == (336, 448)
    assert spelled(engine, given).endswith("\nBounding Box:\n[168, 112, 336, 448]<|endofuser|><|assistant|>")


def test_a_drawing_is_asked_for_in_page_pixels(engine: NativeEngine[Any]) -> None:
    text = spelled(engine, page(1000, 333, prompt=MODELS["dots.mocr"].tasks["Image to SVG"]))
    assert 'based on the image.viewBox="0 0 1000 333"<|endofuser|>' in text


def test_words_do_not_fill_other_places_of_the_template(engine: NativeEngine[Any]) -> None:
    text = spelled(engine, page(prompt=Prompt("{text}"), text="Explain {width} and {region}."))
    assert "<|endofimg|>Explain {width} and {region}.<|endofuser|>" in text


@pytest.mark.parametrize(
    "words",
    [
        *("", "1,2,3", "1,2,3,4,5", "a,b,c,d", "nan,0,1,1", "0,0,inf,9", "1_0,0,20,20", "0;0;9;9"),
        *("9,0,9,9", "9,9,1,20", "-1,0,9,9", "0,0,101,9", "0,0,9,71", "1" * 4000, "1" + " " * 100_000 + "2"),
    ],
    ids=lambda words: words[:12],
)
def test_a_region_that_is_no_box_inside_the_page_is_refused(engine: NativeEngine[Any], words: str) -> None:
    with pytest.raises(InputError, match=r"four numbers x1,y1,x2,y2 .*0 <= x1 < x2.* and 0 <= y1 < y2"):
        engine.processor.prepare(page(100, 70, prompt=MODELS["dots.ocr"].tasks["Read Region"], text=words))


@pytest.mark.parametrize("words", [*SPECIAL_IDS, "<|endofsystem|>"])
def test_words_with_a_token_of_the_model_s_own_are_refused(engine: NativeEngine[Any], words: str) -> None:
    with pytest.raises(InputError, match="has a meaning of its own"):
        engine.processor.prepare(page(prompt=Prompt("{text}"), text=f"before {words} after"))


def test_a_page_longer_than_200_times_its_width_is_refused(engine: NativeEngine[Any]) -> None:
    assert engine.processor.prepare(page(8, 1600)).size == (28, 1596)
    with pytest.raises(InputError, match="more than 200 times"):
        engine.processor.prepare(page(8, 1601))


def test_a_prompt_that_fills_the_context_is_refused(engine: NativeEngine[Any]) -> None:
    with pytest.raises(InputError, match="fewer than 4096"):
        engine.processor.prepare(page(prompt=Prompt("{text}"), text="long " * 1000))


@pytest.mark.parametrize(("name", "largest"), [("Tiny", 512**2), ("Small", 640**2), ("Base", 1024**2)])
def test_a_preset_bounds_the_pixels(engine: NativeEngine[Any], name: str, largest: int) -> None:
    width, height = engine.processor.prepare(page(1700, 2250, preset=MODELS["dots.ocr"].presets[name])).size
    assert 0.9 * largest < width * height <= largest
    assert width / height == pytest.approx(1700 / 2250, rel=0.06)


def test_no_preset_goes_beyond_the_model_s_own_limit(engine: NativeEngine[Any]) -> None:
    rules = replace(engine.processor.rules, max_pixels=100_000)
    processor = DotsProcessor(engine.processor.tokenizer, 4096, DOTS_OCR, rules)
    assert processor.prepare(page(1700, 2250)).image_tokens <= 100_000 // 28**2
    assert processor.prepare(page(1700, 2250, preset=10**9)).image_tokens <= 127


# --- Reading ----------------------------------------------------------------------------------------------------


def test_pages_read_together_get_the_text_that_each_gets_alone(engine: NativeEngine[Any]) -> None:
    pages = [page(100, 70), page(61, 150, prompt=Prompt("Something else, longer: {text}"), text="x" * 30)]
    together = answers(engine.read(pages, Decoding(max_new_tokens=12)), 2)
    alone = [answers(engine.read([one], Decoding(max_new_tokens=12)), 1)[0] for one in pages]
    assert together == alone


def answers(events: Iterator[Prepared | Piece], count: int) -> list[tuple[Any, ...]]:
    """For each page: prompt tokens, extent, its text, tokens and finish reason."""
    texts, heads, ends = [""] * count, [()] * count, [()] * count
    for event in events:
        if isinstance(event, Prepared):
            heads[event.page] = (event.prompt_tokens, event.image_tokens, event.extent)
        else:
            texts[event.page] += event.text
            ends[event.page] = (event.tokens, event.finish)
    return [(*head, text, *end) for head, text, end in zip(heads, texts, ends, strict=True)]


def test_the_extent_of_the_boxes_is_what_the_model_sees(engine: NativeEngine[Any]) -> None:
    first = next(engine.read([page(100, 70)], Decoding(max_new_tokens=1)))
    assert first == Prepared(page=0, prompt_tokens=8 + 5 + 41, image_tokens=8, extent=(112, 56))


class Script(torch.nn.Module):
    """In place of the last layer: the tokens of a script, one at each step, whatever the model computed."""

    def __init__(self, tokens: Sequence[int], vocabulary: int) -> None:
        super().__init__()
        self.tokens = iter(tokens)
        self.vocabulary = vocabulary

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(len(hidden), self.vocabulary)
        logits[:, next(self.tokens)] = 1.0
        return logits


def scripted(folder: Path, tokens: Sequence[int]) -> NativeEngine[Any]:
    engine = dots.load(folder, DOTS_OCR, FLOAT32)
    engine.network.model.lm_head = Script(tokens, 640)
    return NativeEngine(engine.processor, engine.network)


def test_on_a_processor_it_says_that_it_takes_minutes(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    dots.load(folder, DOTS_OCR, FLOAT32)
    assert "On a CPU dots.ocr takes minutes to see a page" in caplog.text


@pytest.mark.parametrize("end", ["<|endoftext|>", "<|assistant|>", "<|endofassistant|>"])
def test_any_of_the_end_tokens_ends_a_page_and_is_not_shown(folder: Path, end: str) -> None:
    engine = scripted(folder, [*dots_ids(folder, "Grüße"), SPECIAL_IDS[end]])
    [(*_, text, tokens, finish)] = answers(engine.read([page()], Decoding()), 1)
    assert (text, tokens, finish) == ("Grüße", 8, FinishReason.STOP)


def dots_ids(folder: Path, text: str) -> list[int]:
    return load_tokenizer(folder).encode(text, add_special_tokens=False).ids


def test_a_prompt_s_own_temperature_holds_unless_the_caller_gives_one(
    engine: NativeEngine[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    real = engine_module.Sampler
    monkeypatch.setattr(
        engine_module, "Sampler", lambda sampling, *rest: asked.append(sampling.temperature) or real(sampling, *rest)
    )
    svg = MODELS["dots.mocr"].tasks["Image to SVG"]
    for given, prompt in ((None, svg), (0.3, svg), (0.0, svg), (None, Prompt("x"))):
        list(engine.read([page(prompt=prompt)], Decoding(max_new_tokens=1, temperature=given)))
    assert asked == [0.9, 0.3, 0.0, 0.0]


@pytest.mark.parametrize("task", ["Convert to Markdown", "Locate Object by Reference"])
def test_an_element_repeated_with_a_drifting_box_ends_the_page(
    folder: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    monkeypatch.setattr("ocr.reading.attempts.FALLBACKS", ())
    answer = '[{"bbox":[1,2,3,4],"category":"Title","text":"once"}'
    answer += "".join(f',{{"bbox":[5,{y},60,{y + 9}],"category":"Text","text":"again"}}' for y in range(10, 60))
    request = Request(
        model="dots.ocr", resolution=GUNDAM, task=task, reference="once" if task.startswith("Locate") else ""
    )
    engine = scripted(folder, dots_ids(folder, answer))
    *_, result = read_pages(engine, request, [(1, pictures.page())], Decoding(max_new_tokens=9000))
    assert isinstance(result, PageResult)
    assert result.finish_reason is FinishReason.REPETITION
    assert result.text == answer[: result.completion_tokens]
    assert result.text.count("again") == 25  # the last one shows that the one before is whole


@pytest.mark.parametrize("task", MODELS["dots.mocr"].tasks)
def test_every_task_runs(engine: NativeEngine[Any], task: str) -> None:
    words = {"Locate Object by Reference": "Table 1", "Read Region": "1,2,30,40"}.get(task, "")
    request = Request(model="dots.mocr", resolution=GUNDAM, task=task, reference=words)
    given = page(prompt=request.asked, text=request.words, preset=MODELS["dots.ocr"].presets[request.resolution])
    [(*_, tokens, finish)] = answers(engine.read([given], Decoding(max_new_tokens=4)), 1)
    assert (tokens, finish) == (4, FinishReason.LENGTH)


def test_a_task_the_model_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(
        InputError, match=r"not trained for 'Parse Figure'; its tasks are: Convert to Markdown, Free OCR"
    ):
        Request(model="dots.ocr", task="Parse Figure")
    with pytest.raises(InputError, match="'Read Region' needs it: the box to read, as x1,y1,x2,y2"):
        Request(model="dots.ocr", task="Read Region")


def test_features_and_image_tokens_that_do_not_match_raise(engine: NativeEngine[Any]) -> None:
    ids = engine.processor.prepare(page(100, 70)).ids
    with pytest.raises(ModelError, match="10 features for 8 tokens"):
        engine.network.merge(ids, torch.zeros(10, 64), engine.processor.image_token)


@pytest.mark.parametrize("preset", MODELS["dots.ocr"].presets)
@pytest.mark.parametrize("size", [(1240, 1754), (3508, 4961), (600, 9000)])
def test_the_scale_is_that_of_the_resized_page(engine: NativeEngine[Any], preset: str, size: tuple[int, int]) -> None:
    most, rules = MODELS["dots.ocr"].presets[preset], engine.processor.rules
    seen = resized_size(*size, multiple=28, min_pixels=rules.min_pixels, max_pixels=most or rules.max_pixels)
    for axis in (0, 1):  # which is rounded to multiples of 28 px
        assert engine.scale(size, most) * size[axis] == pytest.approx(seen[axis], abs=28)

"""DeepSeek-OCR-2: its pixels and tokens held against transformers' own, its config, its answers."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from transformers import DeepseekOcr2ForConditionalGeneration, Qwen2Config, Qwen2Model
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import (
    DeepseekOcr2ImageProcessorPil,
    get_optimal_tiled_canvas,
)

from bench.shapes_deepseek import CONFIG_2, shapes_2
from ocr.decoding.rules import NgramBan
from ocr.engines.hardware import choose_hardware
from ocr.engines.loading import load_model
from ocr.engines.native import NativeEngine
from ocr.engines.tiles import tile_grid
from ocr.engines.whole_view import WholeViewAttention
from ocr.errors import SetupError
from ocr.faces.cli.options import begun
from ocr.models.catalog import AUTO, MODELS
from ocr.models.deepseek.card import DEEPSEEK_OCR_2
from ocr.models.deepseek.engine_2 import load, model_config
from ocr.models.deepseek.processor import image_token_count
from ocr.models.deepseek.views import SquareViews, square_views
from ocr.models.tasks import BASE, FREE_OCR, GUNDAM, LOCATE, MARKDOWN, OCR_WITH_BOXES
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, Element, PageInput, Piece
from tests.checkpoints import DEEPSEEK_CONFIG
from tests.checkpoints_deepseek_2 import KINDS, Kind, write_deepseek_2
from tests.pictures import page
from tests.references import Reference, are_varied, check_alone, check_together, reference
from tests.sequences import NoEnd, apart
from tests.test_dialects import block, parse

CPU = Settings(device="cpu", dtype="float32")
TOKENS = 24
PRESET = DEEPSEEK_OCR_2.presets[GUNDAM]
SMALL = SquareViews(base=768)
PAGES = ((PRESET, 900, 400), (SMALL, 700, 350), (SMALL, 500, 1000))  # with both sizes of view
PROMPT = DEEPSEEK_OCR_2.tasks[MARKDOWN]
PIXELS = DeepseekOcr2ImageProcessorPil()


class Tiny(NamedTuple):
    """The engine of a checkpoint, and the class with the same weights."""

    kind: Kind
    engine: NativeEngine[Any]
    reference: Any


@pytest.fixture(scope="module", params=KINDS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    kind = KINDS[request.param]
    folder = write_deepseek_2(tmp_path_factory.mktemp("deepseek-2") / "checkpoint", kind)
    hardware = choose_hardware(CPU, "float32")
    reference = load_model(DeepseekOcr2ForConditionalGeneration, folder, kind.reference, hardware, "sdpa")
    return Tiny(kind, load(folder, DEEPSEEK_OCR_2, CPU), reference)


@pytest.mark.parametrize(
    ("size", "shift"),
    [
        ((850, 1125), (0, 0)),
        ((769, 480), (0, 0)),
        ((600, 768), (0, 0)),
        ((900, 120), (1, 0)),
        ((100, 820), (0, 1)),
    ],
)
def test_the_pixels_are_those_of_transformers(size: tuple[int, int], shift: tuple[int, int]) -> None:
    """Where the grey is an odd number of px, the makers' Pillow puts the page to the even one of two places."""
    image = page(*size)
    image.putpixel((size[0] // 2, size[1] // 2), (250, 3, 90))
    views = square_views(image, PRESET)
    theirs = PIXELS(images=[image], do_rescale=False, do_normalize=False, return_tensors="np")
    whole = theirs["pixel_values"][0].transpose(1, 2, 0)
    assert np.array_equal(views.whole, np.roll(whole, shift, axis=(0, 1)))
    assert len(views.tiles) == theirs["num_local_patches"][0]
    assert (max(size) > 768) == bool(views.tiles)
    if views.tiles:
        assert np.array_equal(np.stack(views.tiles), theirs["pixel_values_local"].transpose(0, 2, 3, 1))


def test_the_grids_of_tiles_are_those_of_transformers() -> None:
    for width, height in itertools.product(range(300, 6000, 271), repeat=2):
        theirs = get_optimal_tiled_canvas((height, width), (768, 768), 2, 6)
        assert tile_grid(width, height, tile=768, fewest=2, most=6) == theirs


@pytest.mark.parametrize(
    ("preset", "size", "tokens"),
    [(BASE, (3000, 2000), 257), (GUNDAM, (768, 768), 257), (GUNDAM, (900, 400), 545), (GUNDAM, (3000, 2000), 1121)],
)
def test_a_page_has_the_tokens_of_its_views_and_no_newlines(
    tiny: Tiny, preset: str, size: tuple[int, int], tokens: int
) -> None:
    ready = tiny.engine.processor.prepare(PageInput(page(*size), PROMPT, "", DEEPSEEK_OCR_2.presets[preset]))
    assert ready.image_tokens == image_token_count(ready.views, has_newlines=False) == tokens
    assert ready.ids[: tokens + 1] == (0, *[299] * tokens)
    after = tiny.engine.processor.tokenizer.decode(ready.ids[tokens + 1 :], skip_special_tokens=False)
    assert after == "\n<|grounding|>Convert the document to markdown."


def asked(preset: SquareViews, width: int, height: int) -> PageInput:
    return PageInput(page(width, height), PROMPT, "", preset)


@pytest.fixture(scope="module")
def references(tiny: Tiny) -> list[Reference]:
    return [generated(tiny, *one) for one in PAGES]


def generated(tiny: Tiny, preset: SquareViews, width: int, height: int) -> Reference:
    ready = tiny.engine.processor.prepare(asked(preset, width, height))
    look = {} if preset.tile else {"crop_to_patches": False}  # which also has it see the page at 768 px
    given = PIXELS(images=[page(width, height)], return_tensors="pt", **look)
    return reference(tiny.engine, tiny.reference, ready, TOKENS, min_new_tokens=TOKENS, **given)


@pytest.mark.parametrize(
    "plan",
    [
        [(0, TOKENS)] * 3,
        [(0, 9), (0, TOKENS), (0, 15)],
        [(0, 22), (3, TOKENS), (11, TOKENS)],
        [(7, 20), (0, 12), (3, TOKENS)],
    ],
    ids=["together", "leaving", "joining", "joining and leaving"],
)
def test_a_batch_gives_each_page_what_its_class_gives_it_alone(
    tiny: Tiny, references: list[Reference], plan: list[tuple[int, int]]
) -> None:
    check_together(tiny.engine.network.model, references, plan, budget=NoEnd)
    assert are_varied(references)


def test_a_page_alone_is_what_its_class_makes_of_it(tiny: Tiny, references: list[Reference]) -> None:
    check_alone(tiny.engine.network.model, references, budget=NoEnd)


def test_pages_come_out_of_the_engine_as_text(tiny: Tiny, references: list[Reference]) -> None:
    texts = ["", ""]
    for output in tiny.engine.read([asked(*one) for one in PAGES[1:]], Decoding(max_new_tokens=12)):
        if isinstance(output, Piece):
            texts[output.page] += output.text
    tokenizer = tiny.engine.processor.tokenizer
    assert texts == [tokenizer.decode(one.tokens[:12], skip_special_tokens=False) for one in references[1:]]


def test_the_layers_without_windows_attend_by_parts(tiny: Tiny) -> None:
    layers = tiny.engine.network.model.model.vision_tower.sam_encoder.layers
    parts = [index for index, layer in enumerate(layers) if isinstance(layer.attn, WholeViewAttention)]
    assert parts == list(tiny.kind.sam.whole)


def test_queries_look_at_the_whole_image_and_at_the_queries_before_them(tiny: Tiny) -> None:
    """Against Qwen2's own layers under a mask of our own, as the makers build it."""
    encoder, given = tiny.reference.model.vision_tower.vision_encoder, tiny.kind.encoder_config
    theirs = Qwen2Model(Qwen2Config(**given, vocab_size=1, attn_implementation="eager")).eval()
    missing, unexpected = theirs.load_state_dict(encoder.state_dict(), strict=False)
    assert (missing, unexpected) == (["embed_tokens.weight"], [])
    image, queries = 5, 4
    hidden = torch.randn(1, image + queries, tiny.kind.queries.width, generator=torch.Generator().manual_seed(2))
    sees = torch.ones(image + queries, image + queries).tril().bool()
    sees[:image, :image] = True
    mask = torch.zeros(1, 1, *sees.shape).masked_fill(~sees, -torch.inf)
    with torch.inference_mode():
        ours = encoder(inputs_embeds=hidden, num_patches=image).last_hidden_state
        wanted = theirs(inputs_embeds=hidden, attention_mask={"full_attention": mask}).last_hidden_state
    assert apart(ours, wanted) < 1e-5


def test_the_config_is_the_one_that_the_class_is_to_have(tiny: Tiny) -> None:
    assert model_config(tiny.kind.config, 299).to_dict() == tiny.kind.reference.to_dict()


def test_the_hubs_config_has_the_real_models_dimensions() -> None:
    with torch.device("meta"):
        model = DeepseekOcr2ForConditionalGeneration(model_config(CONFIG_2, 128815))
    assert sum(parameter.numel() for parameter in model.parameters()) == sum(
        int(np.prod(shape)) for shape in shapes_2().values()
    )
    encoder = model.config.vision_config.encoder_config
    assert encoder.num_attention_heads == 14
    assert encoder.rope_parameters == {"rope_type": "default", "rope_theta": 1e6}
    assert model.config.vision_config.sam_config.downsample_channels == [512, 896]


def test_another_models_config_is_refused() -> None:
    with pytest.raises(SetupError, match=r"'qwen2'.*'deepseek_vl_v2'"):
        model_config({"model_type": "qwen2"}, 299)
    with pytest.raises(SetupError, match="clip-l-14-224, as DeepSeek-OCR's has"):
        model_config(DEEPSEEK_CONFIG, 299)
    with pytest.raises(SetupError, match="width 1152"):
        model_config({**DEEPSEEK_CONFIG, "vision_config": {"width": 1152}}, 299)


def test_a_number_that_the_config_lacks_is_asked_for() -> None:
    config = KINDS["small"].config
    del config["language_config"]["num_experts_per_tok"]
    with pytest.raises(SetupError, match="language_config lacks num_experts_per_tok"):
        model_config(config, 299)


def test_an_embedding_that_the_makers_code_takes_out_is_refused(tmp_path: Path) -> None:
    extra = {"model.qwen2_model.model.model.embed_tokens.weight": np.ones((3, 48), np.float32)}
    with pytest.raises(SetupError, match=r"do not fit each other: .*embed_tokens"):
        load(write_deepseek_2(tmp_path, KINDS["small"], extra), DEEPSEEK_OCR_2, CPU)


def test_the_prompts_are_the_makers_own() -> None:
    layout = "<image>\n<|grounding|>Convert the document to markdown."
    templates = {task: prompt.template for task, prompt in DEEPSEEK_OCR_2.tasks.items()}
    assert templates == {
        MARKDOWN: layout,
        FREE_OCR: "<image>\nFree OCR.",
        LOCATE: layout,
        OCR_WITH_BOXES: layout,
    }


def test_no_twenty_tokens_are_repeated_within_ninety(tiny: Tiny) -> None:
    (ban,) = tiny.engine.processor.own_rules(PROMPT)
    assert isinstance(ban, NgramBan)
    assert (ban.n, ban.window) == (20, 90)
    names = {tiny.engine.processor.tokenizer.id_to_token(index) for index in ban.whitelist}
    assert names == {"<td>", "</td>"}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("deepseek", "deepseek-ocr"), ("deepseek-ocr", "deepseek-ocr"), ("deepseek-ocr-2", "deepseek-ocr-2")],
)
def test_the_beginning_of_its_name_still_means_deepseek_ocr(typed: str, meant: str) -> None:
    assert begun((AUTO, *MODELS))(typed) == meant
    assert Request(model="deepseek-ocr-2", resolution=GUNDAM).preset == PRESET


ANSWER = (
    block("title", "[[96, 40, 410, 88]]", "# Pilot book\n\n")
    + block("sub_title", "[[96, 120, 410, 142]]", "## 2. Moorings\n")
    + block("table", "[[80, 300, 920, 512]]", "<table><tr><td>Berth</td><td>Depth</td></tr></table>\n\n")
    + block("image", "[[0, 520, 500, 700]]")
    + block("text", "[[100, 710, 900, 800], [100, 810, 500, 830]]", "Keep the light [red] abeam; depth < 4 m.")
)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_an_answer_becomes_elements_in_page_pixels(size: int) -> None:
    elements, problems, _ = parse(ANSWER, [size], PROMPT.dialect)
    assert elements == [
        Element("title", "title", (192, 40, 820, 88), "# Pilot book"),
        Element("heading", "sub_title", (192, 120, 820, 142), "## 2. Moorings"),
        Element("table", "table", (160, 300, 1840, 512), "<table><tr><td>Berth</td><td>Depth</td></tr></table>"),
        Element("picture", "image", (0, 520, 1000, 700), ""),
        Element("text", "text", (200, 710, 1800, 830), "Keep the light [red] abeam; depth < 4 m."),
    ]
    assert problems == []


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
@pytest.mark.parametrize(
    ("answer", "text", "problem"),
    [
        (block("text", "[[1, 2, 3]]", "kept"), "kept", "not lists of four numbers"),
        (block("text", "__import__('os')", "kept"), "kept", "not lists of four numbers"),
        (block("table", "[[1e400, 2, 3, 4]]", "kept"), "kept", "not lists of four numbers"),
        ("before<|ref|>tab", "before", "ends inside a mark"),
        ("before<|ref|>table<|/ref|><|det|>[[1, 2", "before", "ends inside a mark"),
        ("<|ref|>text<|/ref|>no box", "textno box", "A label without a box"),
        ("<|ref|>text<|/ref|><|det|>[[1, 2, 3, 4]]\nkept" + block("text", "[[5, 6, 7, 8]]", "on"), "kepton", "A mark"),
    ],
)
def test_a_broken_answer_keeps_what_it_says_and_tells_of_it(answer: str, text: str, problem: str, size: int) -> None:
    _, problems, shown = parse(answer, [size], PROMPT.dialect)
    assert shown.replace("\n", "") == text
    assert problem in problems[0]


@pytest.mark.parametrize("change", [lambda text: text[::-1], lambda text: text.replace("|", ""), lambda text: text * 2])
def test_no_answer_raises(change: Callable[[str], str]) -> None:
    for size in (1, 5, 10_000):
        parse(change(ANSWER), [size], PROMPT.dialect)

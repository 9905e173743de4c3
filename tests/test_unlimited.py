"""Unlimited-OCR: its pixels, its window in a running batch held against the class's own generate(), its answers."""

import copy
import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from transformers import UnlimitedOcrConfig, UnlimitedOcrForConditionalGeneration
from transformers.models.deepseek_ocr2.image_processing_pil_deepseek_ocr2 import get_optimal_tiled_canvas

from ocr.decoding.loop import RunningBatch
from ocr.decoding.rules import NgramBan
from ocr.engines.hardware import choose_hardware
from ocr.engines.loading import load_model
from ocr.engines.native import NativeEngine
from ocr.engines.tiles import tile_grid
from ocr.errors import SetupError
from ocr.models.deepseek.card import UNLIMITED_OCR
from ocr.models.deepseek.engine import load, model_config, normalise
from ocr.models.deepseek.processor import image_token_count
from ocr.models.deepseek.views import SquareViews, square_views
from ocr.models.tasks import GUNDAM, MARKDOWN, PAGES_TOGETHER
from ocr.reading.together import GroupedEngine
from ocr.settings import Settings
from ocr.types import Decoding, Element, Failed, PageInput, Piece, Prepared
from tests.checkpoints import DEEPSEEK_CONFIG, byte_tokenizer, deepseek_shapes, seeded, write_weights
from tests.pictures import page
from tests.references import Reference, are_varied, check_alone, check_together, reference
from tests.sequences import NoEnd, Watched, apart, read, sequence
from tests.test_dialects import parse

CPU = Settings(device="cpu", dtype="float32")
TOKENS = 24
LOOK = SquareViews(base=128, tile=64, most_tiles=32)
SIZES = ((90, 61), (40, 140), (64, 50))
PROMPT = UNLIMITED_OCR.tasks[MARKDOWN]


def config_of(window: int, **language: Any) -> dict[str, Any]:
    """A config.json as the hub has it."""
    config = copy.deepcopy(dict(DEEPSEEK_CONFIG))
    config |= {"model_type": "unlimited-ocr", "architectures": ["UnlimitedOCRForCausalLM"], "sliding_window": window}
    config["language_config"] |= {"max_position_embeddings": 4096, **language}
    return config


CONFIGS = {
    "as DeepSeek-OCR's tiny one": config_of(8),
    "of other dimensions": config_of(
        5,
        hidden_size=96,
        num_attention_heads=6,
        num_key_value_heads=3,
        num_hidden_layers=4,
        first_k_dense_replace=2,
        n_routed_experts=6,
        n_shared_experts=1,
        num_experts_per_tok=2,
        rope_theta=4321.0,
        rms_norm_eps=1e-4,
    ),
}


class Tiny(NamedTuple):
    """The engine of a checkpoint, and the class with its own window and the same weights."""

    engine: NativeEngine[Any]
    reference: Any
    window: int


@pytest.fixture(scope="module", params=CONFIGS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    config, folder = CONFIGS[request.param], tmp_path_factory.mktemp("unlimited") / "checkpoint"
    full = model_config(config, 299, "unlimited-ocr")
    windowed = UnlimitedOcrConfig(**full.to_dict())
    windowed.text_config.sliding_window = config["sliding_window"]
    windowed.text_config.layer_types = ["reference_sliding_attention"] * len(full.text_config.layer_types)
    if config is CONFIGS["as DeepSeek-OCR's tiny one"]:
        write_weights(folder, {name: seeded(name, shape) for name, shape in deepseek_shapes().items()})
    else:
        write_random(folder, full)
    (folder / "config.json").write_text(json.dumps(config))
    byte_tokenizer().save(str(folder / "tokenizer.json"))
    hardware = choose_hardware(CPU, "float32")
    reference = load_model(UnlimitedOcrForConditionalGeneration, folder, windowed, hardware, "sdpa")
    return Tiny(load(folder, UNLIMITED_OCR, CPU), reference, config["sliding_window"])


def write_random(folder: Path, config: Any) -> None:
    """A model of random weights under the hub's names, which transformers goes back to when it saves."""
    torch.manual_seed(0)
    model = UnlimitedOcrForConditionalGeneration(config)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.15)
    model.save_pretrained(folder)


@pytest.mark.parametrize("size", [(1700, 2250), (641, 480), (600, 640), (3000, 400), (500, 4100), (5000, 3000)])
def test_the_pixels_are_the_references(size: tuple[int, int]) -> None:
    image = page(*size)
    preset = UNLIMITED_OCR.presets[GUNDAM]
    views = square_views(image, preset)
    grey = (127, 127, 127)
    whole = ImageOps.pad(image, (1024, 1024), method=Image.Resampling.BICUBIC, color=grey)
    assert np.array_equal(views.whole, np.asarray(whole))
    if max(size) <= 640:
        assert not views.tiles
        return
    columns, rows = get_optimal_tiled_canvas(size[::-1], (640, 640), 2, 32)
    assert (views.columns, views.rows) == (columns, rows)
    resized = np.asarray(image.resize((640 * columns, 640 * rows), Image.Resampling.BICUBIC))
    cut = resized.reshape(rows, 640, columns, 640, 3).swapaxes(1, 2).reshape(-1, 640, 640, 3)
    assert np.array_equal(np.stack(views.tiles), cut)
    assert image_token_count(views) == 16 * 17 + 10 * rows * (10 * columns + 1) + 1


def test_the_grids_of_tiles_are_those_of_transformers() -> None:
    for width, height in itertools.product(range(300, 6000, 271), repeat=2):
        ours = tile_grid(width, height, tile=640, fewest=2, most=32)
        assert ours == get_optimal_tiled_canvas((height, width), (640, 640), 2, 32)


def test_the_largest_page_has_the_tokens_of_four_by_eight_tiles() -> None:
    views = square_views(page(2560, 5120), UNLIMITED_OCR.presets[GUNDAM])
    assert (views.columns, views.rows, image_token_count(views)) == (4, 8, 3553)


@pytest.fixture(scope="module")
def references(tiny: Tiny) -> list[Reference]:
    return [generated(tiny, asked(*size)) for size in SIZES]


def asked(width: int, height: int) -> PageInput:
    return PageInput(page(width, height), PROMPT, "", LOOK)


def generated(tiny: Tiny, given: PageInput) -> Reference:
    """What the class's own generate() makes of a prompt's images."""
    ready = tiny.engine.processor.prepare(given)
    views = [ready.views, *ready.more]
    tiles = [tile for each in views for tile in each.tiles]
    return reference(
        tiny.engine,
        tiny.reference,
        ready,
        TOKENS,
        min_new_tokens=TOKENS,
        pixel_values=normalise([each.whole for each in views]),
        num_local_patches=[len(each.tiles) for each in views],
        patches_grid=[[each.columns, each.rows] for each in views],
        **({"pixel_values_local": normalise(tiles)} if tiles else {}),
    )


# --- Several pages in one prompt ----------------------------------------------------------------------------------


def asked_together() -> PageInput:
    together = UNLIMITED_OCR.tasks[PAGES_TOGETHER].together
    assert together is not None
    first, *more = (page(*size) for size in SIZES)
    return PageInput(first, together.prompt, "", replace(LOOK, tile=None), more=tuple(more))


@pytest.fixture(scope="module")
def of_three(tiny: Tiny) -> Reference:
    return generated(tiny, asked_together())


def test_the_prompt_of_several_pages_has_all_images_and_then_the_words(tiny: Tiny) -> None:
    processor = tiny.engine.processor
    ready = processor.prepare(asked_together())
    image = [processor.image_token] * (2 * (2 + 1) + 1)  # rows of two features, each with its end, and a separator
    wording = processor.tokenizer.encode("Multi page parsing.", add_special_tokens=False).ids
    assert ready.ids == (0, *image, *image, *image, *wording)
    assert ready.image_tokens == 3 * len(image)
    for views, size in zip((ready.views, *ready.more), SIZES, strict=True):
        assert np.array_equal(views.whole, square_views(page(*size), SquareViews(base=128)).whole)
        assert not views.tiles


def test_several_pages_in_one_prompt_are_what_their_class_makes_of_them(tiny: Tiny, of_three: Reference) -> None:
    check_alone(tiny.engine.network.model, [of_three], tiny.window, NoEnd)


@pytest.mark.parametrize("plan", [[(0, TOKENS)] * 2, [(7, TOKENS), (0, 15)]], ids=["together", "joining"])
def test_several_pages_in_one_prompt_stay_the_same_beside_a_single_one(
    tiny: Tiny, references: list[Reference], of_three: Reference, plan: list[tuple[int, int]]
) -> None:
    check_together(tiny.engine.network.model, [of_three, references[1]], plan, tiny.window, NoEnd)


def test_the_images_of_a_prompt_come_in_the_order_of_its_pages(tiny: Tiny, of_three: Reference) -> None:
    given = asked_together()
    first, second, third = given.image, *given.more
    turned = tiny.engine.processor.prepare(replace(given, image=third, more=(second, first)))
    assert apart(tiny.engine.network.first_pass(turned).embeds, of_three.first_pass.embeds) > 1e-3


def test_several_pages_have_the_limits_of_as_many(tiny: Tiny) -> None:
    *_, last = tiny.engine.read([asked_together()], Decoding(max_new_tokens=5))
    assert isinstance(last, Piece)
    assert last.tokens == 15


@pytest.mark.parametrize(("task", "window"), [(MARKDOWN, 128), (PAGES_TOGETHER, 1024)])
def test_no_ngram_is_repeated_within_the_makers_window(tiny: Tiny, task: str, window: int) -> None:
    prompt = UNLIMITED_OCR.tasks[task]
    (ban,) = tiny.engine.processor.own_rules(prompt.together.prompt if prompt.together else prompt)
    assert isinstance(ban, NgramBan)
    assert (ban.n, ban.window) == (35, window)


def test_a_group_whose_answer_is_noise_takes_what_its_prompt_takes_and_is_to_be_read_page_by_page(tiny: Tiny) -> None:
    together = UNLIMITED_OCR.tasks[PAGES_TOGETHER].together
    assert together is not None
    small = replace(together, preset=SquareViews(base=128))
    outputs = list(GroupedEngine(tiny.engine, small).read([asked(*size) for size in SIZES], Decoding(max_new_tokens=6)))
    ready = tiny.engine.processor.prepare(asked_together())
    prepared = [output for output in outputs if isinstance(output, Prepared)]
    assert sum(output.prompt_tokens for output in prepared) == len(ready.ids)
    assert [output.image_tokens for output in prepared] == [7, 7, 7]
    failed = [output for output in outputs if isinstance(output, Failed)]
    assert [(output.page, output.again) for output in failed] == [(0, True), (1, True), (2, True)]
    last = {output.page: output.tokens for output in outputs if isinstance(output, Piece)}
    assert sum(last.values()) == 18


# --- One page -----------------------------------------------------------------------------------------------------


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
    check_together(tiny.engine.network.model, references, plan, tiny.window, NoEnd)
    assert are_varied(references)


def test_a_page_alone_is_what_its_class_makes_of_it(tiny: Tiny, references: list[Reference]) -> None:
    check_alone(tiny.engine.network.model, references, tiny.window, NoEnd)


def test_without_the_window_it_would_be_another_model(tiny: Tiny, references: list[Reference]) -> None:
    ((_, scores),) = read(tiny.engine.network.model, references[:1], [(0, TOKENS)], budget=NoEnd)
    full, windowed = scores[tiny.window + 1 :], references[0].logits[tiny.window + 1 :]
    assert apart(scores[: tiny.window], references[0].logits[: tiny.window]) < 1e-5
    assert apart(full, windowed) > 1e-3


def test_the_cache_takes_no_more_than_the_prompt_and_the_window(tiny: Tiny) -> None:
    runner = Watched(tiny.engine.network.model, tiny.window)
    started = sequence(torch.zeros(7, tiny.engine.network.model.config.text_config.hidden_size), [NoEnd(40)])
    batch = RunningBatch(runner)
    batch.join([started])
    while len(started.tokens) < 39:
        batch.step()
        assert runner._cache.layers[0].width == 7 + min(len(started.tokens) - 1, tiny.window)


def test_a_page_claims_no_more_than_its_prompt_and_the_window(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocr.decoding.cache.ROUND", 1)

    def claimed(new_tokens: int) -> float:
        return tiny.engine._claim(100, Decoding(max_new_tokens=new_tokens)).bytes

    assert claimed(tiny.window - 1) < claimed(tiny.window) == claimed(300)


def test_callers_that_share_the_engine_get_what_they_get_alone(tiny: Tiny) -> None:
    def opened(number: int) -> Any:
        return tiny.engine.read([asked(*SIZES[number])], Decoding(max_new_tokens=20))

    def text(outputs: Any) -> str:
        return "".join(output.text for output in outputs if isinstance(output, Piece))

    alone = [text(opened(number)) for number in range(2)]
    first, second = opened(0), opened(1)
    begun = list(itertools.islice(first, 7))
    both: tuple[list[Any], list[Any]] = (begun, [])
    for outputs in itertools.zip_longest(first, second):
        for found, output in zip(both, outputs, strict=True):
            found += [output] if output else []
    assert [text(found) for found in both] == alone


def test_a_config_without_a_window_or_of_another_model_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    config = CONFIGS["as DeepSeek-OCR's tiny one"]
    with pytest.raises(SetupError, match="'unlimited-ocr'"):
        model_config(DEEPSEEK_CONFIG, 299, "unlimited-ocr")
    write_weights(tmp_path, {name: seeded(name, shape) for name, shape in deepseek_shapes().items()})
    byte_tokenizer().save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in config.items() if k != "sliding_window"}))
    with pytest.raises(SetupError, match="lacks sliding_window"):
        load(tmp_path, UNLIMITED_OCR, CPU)


def test_the_prompt_is_the_makers_own() -> None:
    assert PROMPT.template == "<image>document parsing."


ANSWER = (
    "<|det|>title [100, 50, 899, 99]<|/det|>Harbour dues, 1911\n"
    '<|det|>table [100, 130, 900, 412]<|/det|>\n<table><tr><td colspan="2">Tons [net]</td></tr></table>\n'
    "<|det|>image [90, 260, 512, 700]<|/det|>\n"
    "<|det|>text[88,70,910,240]<|/det|>The pilot boards off [4, 5].\n"
    "<|det|>seal [1, 2, 3, 4]<|/det|>\n"
    "<|ref|>text<|/ref|><|det|>[[5, 6, 7, 8]]<|/det|>\nin the older form\n"
    "<|det|>page_number [480, 955, 520, 972]<|/det|>17"
)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_an_answer_becomes_elements_in_page_pixels(size: int) -> None:
    elements, problems, _ = parse(ANSWER, [size], "grounded_blocks")
    assert elements == [
        Element("title", "title", (200, 50, 1798, 99), "# Harbour dues, 1911"),
        Element("table", "table", (200, 130, 1800, 412), '<table><tr><td colspan="2">Tons [net]</td></tr></table>'),
        Element("picture", "image", (180, 260, 1024, 700), ""),
        Element("text", "text", (176, 70, 1820, 240), "The pilot boards off [4, 5]."),
        Element("other", "seal", (2, 2, 6, 4), ""),
        Element("text", "text", (10, 6, 14, 8), "in the older form"),
        Element("page_number", "page_number", (960, 955, 1040, 972), "17"),
    ]
    assert problems == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize(
    ("answer", "elements", "problem"),
    [
        ("<|det|>text [1, 2, 3]<|/det|>kept", [Element("text", "text", None, "kept")], "not lists of four numbers"),
        ("<|det|>text [a, b]<|/det|>kept", [Element("text", "text", None, "kept")], "not lists of four numbers"),
        ("<|det|>text<|/det|>kept", [Element("other", "", None, "kept")], "not lists of four numbers"),
        ("<|det|>title [1, 2, 3, 4]<|/det|># T", [Element("title", "title", (2, 2, 6, 4), "# T")], None),
        (
            "before<|det|>tit",
            [Element("text", "", None, "before"), Element("text", "", None, "tit")],
            "ends inside a mark",
        ),
        ("before<|det|>title [1, 2", [Element("text", "", None, "before")], "ends inside a mark"),
        (
            "<|det|>text [1, 2, 3, 4]\nkept\n<|det|>title [5, 6, 7, 8]<|/det|>T",
            [Element("text", "text", (2, 2, 6, 4), "kept"), Element("title", "title", (10, 6, 14, 8), "# T")],
            "A mark without an end",
        ),
        ("<|/det|>words", [Element("text", "", None, "words")], None),
    ],
)
def test_a_broken_answer_keeps_what_it_has_and_says_so(
    answer: str, elements: list[Element], problem: str | None, size: int
) -> None:
    found, problems, _ = parse(answer, [size], "grounded_blocks")
    assert found == elements
    assert problem in problems[0] if problem else problems == []

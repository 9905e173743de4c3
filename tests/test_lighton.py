"""LightOnOCR against transformers: its processor's pixels, its class's generate(), and the prompt that says nothing."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from PIL import Image
from transformers import LightOnOcrForConditionalGeneration, PixtralImageProcessorPil

from bench.shapes_dots import stand_in_tokenizer
from ocr.engines.native import NativeEngine
from ocr.errors import InputError, SetupError
from ocr.models.catalog import MODELS
from ocr.models.lighton.card import LIGHTONOCR_2
from ocr.models.lighton.engine import load, model_config
from ocr.models.lighton.processor import LightOnProcessor, pixel_rules
from ocr.models.tasks import GUNDAM, MARKDOWN, TASKS
from ocr.reading.request import Request
from ocr.types import Decoding, PageInput, Piece
from ocr.weights.table import checkpoints
from tests.checkpoints_dots import FLOAT32
from tests.checkpoints_lighton import AS_THE_HUB, HUB, IDS, PIXELS, TINY, Tiny, tiny_model, write_lighton
from tests.pictures import page
from tests.references import Reference, are_varied, check_alone, check_together, reference

TOKENS = 16
SIZES = ((90, 61), (40, 140), (131, 75))
ASKED = LIGHTONOCR_2.tasks[MARKDOWN]


class Loaded(NamedTuple):
    """A tiny checkpoint's engine, and the model whose weights it has loaded."""

    tiny: Tiny
    engine: NativeEngine[Any]
    model: Any


@pytest.fixture(scope="module", params=TINY)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    tiny = TINY[request.param]
    model = tiny_model(tiny)
    folder = write_lighton(tmp_path_factory.mktemp("lighton") / "checkpoint", tiny, model)
    return Loaded(tiny, load(folder, LIGHTONOCR_2, FLOAT32), model)


def asked(width: int, height: int) -> PageInput:
    return PageInput(page(width, height), ASKED, "", None)


def pixels(tiny: Tiny, image: Image.Image) -> Any:
    """What transformers' own processor makes of a page, each side a multiple of what an image token covers."""
    square = tiny.config["vision_config"]["patch_size"] * tiny.config["spatial_merge_size"]
    return PixtralImageProcessorPil(**{**tiny.pixels, "patch_size": square})(images=[image], return_tensors="pt")


@pytest.mark.parametrize(
    "size",
    [(90, 61), (5, 41), (6, 500), (12, 24), (1, 1), (17, 200), (333, 222), (640, 9), (97, 131), (132, 98), (199, 350)],
    ids=str,
)
def test_a_page_s_pixels_are_those_of_transformers(loaded: Loaded, size: tuple[int, int]) -> None:
    engine = loaded.engine
    ready = engine.processor.prepare(asked(*size))
    theirs = pixels(loaded.tiny, page(*size))
    assert torch.equal(engine.network.pixels(ready), theirs["pixel_values"])
    assert theirs["image_sizes"].tolist() == [list(reversed(ready.size))]
    assert (
        ready.image_tokens == ready.ids.count(312) == ready.size[0] * ready.size[1] // engine.processor.rules.square**2
    )


@pytest.fixture(scope="module")
def references(loaded: Loaded) -> list[Reference]:
    return [generated(loaded, *size) for size in SIZES]


def generated(loaded: Loaded, width: int, height: int) -> Reference:
    ready = loaded.engine.processor.prepare(asked(width, height))
    return reference(loaded.engine, loaded.model, ready, TOKENS, **pixels(loaded.tiny, page(width, height)))


@pytest.mark.parametrize(
    "plan",
    [[(0, TOKENS)] * 3, [(0, 9), (0, TOKENS), (0, 15)], [(7, 10), (0, 12), (3, TOKENS)]],
    ids=["together", "leaving", "joining and leaving"],
)
def test_a_batch_gives_each_page_what_its_class_gives_it_alone(
    loaded: Loaded, references: list[Reference], plan: Sequence[tuple[int, int]]
) -> None:
    check_together(loaded.engine.network.model, references, plan)
    assert are_varied(references)


def test_a_page_alone_is_what_its_class_makes_of_it(loaded: Loaded, references: list[Reference]) -> None:
    check_alone(loaded.engine.network.model, references)


def test_callers_that_come_and_go_get_what_they_get_alone(loaded: Loaded) -> None:
    def opened(number: int) -> Any:
        return loaded.engine.read([asked(*SIZES[number])], Decoding(max_new_tokens=12, temperature=0.0))

    alone = [text(opened(number)) for number in range(3)]
    first, given_up, last = (opened(number) for number in range(3))
    begun = list(itertools.islice(first, 3))
    list(itertools.islice(given_up, 2))
    then = list(itertools.islice(last, 2))
    given_up.close()
    assert [text([*begun, *first]), text([*then, *last])] == [alone[0], alone[2]]


def text(outputs: Any) -> str:
    return "".join(output.text for output in outputs if isinstance(output, Piece))


def test_every_value_of_the_config_is_the_checkpoint_s(loaded: Loaded) -> None:
    given, model = loaded.tiny.config, loaded.engine.network.model
    for ours, theirs in (
        (model.config.text_config, given["text_config"]),
        (model.config.vision_config, given["vision_config"]),
    ):
        known = {name: value for name, value in theirs.items() if name in ours.to_dict() and name != "rope_parameters"}
        assert len(known) > 8
        assert {name: getattr(ours, name) for name in known} == known
        assert ours.rope_parameters["rope_theta"] == {**theirs, **theirs.get("rope_parameters", {})}["rope_theta"]
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert is_tied is given["text_config"]["tie_word_embeddings"]
    assert loaded.engine.processor.context == given["text_config"]["max_position_embeddings"]


def test_a_number_that_the_config_lacks_is_asked_for(loaded: Loaded) -> None:
    config = loaded.tiny.config
    for place, fields in (
        ("text_config", ("hidden_size", "rope_theta", "head_dim", "rms_norm_eps", "max_position_embeddings")),
        ("vision_config", ("patch_size", "rope_theta", "hidden_act", "num_attention_heads")),
    ):
        for field in fields:
            with pytest.raises(SetupError, match=f"{place} lacks {field}"):
                model_config({**config, place: without(config[place], field)})
    for field in ("spatial_merge_size", "image_token_i"):
        with pytest.raises(SetupError, match=f"config.json lacks {field}"):
            model_config({name: value for name, value in config.items() if not name.startswith(field)})
    with pytest.raises(SetupError, match="lacks tie_word_embeddings"):
        model_config(
            {
                **without(config, "tie_word_embeddings"),
                "text_config": without(config["text_config"], "tie_word_embeddings"),
            }
        )
    for field in ("longest_edge", "image_mean"):
        with pytest.raises(SetupError, match=f"lacks {field}"):
            pixel_rules({name: without(value, field) for name, value in without(PIXELS, field).items()}, 28)


def without(config: Any, field: str) -> Any:
    """A config that lacks a field, and lacks it in what it says of positions too."""
    if not isinstance(config, dict):
        return config
    return {
        name: without(value, field) if name == "rope_parameters" else value
        for name, value in config.items()
        if name != field
    }


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama"},
        {**HUB, "architectures": ["Mistral3ForConditionalGeneration"]},
        {**HUB, "architectures": None},
        {**HUB, "model_type": "pixtral"},
        {**HUB, "text_config": None},
    ],
    ids=["llama", "Mistral 3", "none", "pixtral", "no text_config"],
)
def test_another_model_s_config_is_refused(config: Mapping[str, Any]) -> None:
    with pytest.raises(SetupError, match="LightOnOCRForConditionalGeneration"):
        model_config(config)


@pytest.mark.parametrize(
    ("place", "field", "value"),
    [
        (None, "projector_hidden_act", "silu"),
        (None, "multimodal_projector_bias", True),
        (None, "vision_feature_layer", -2),
        ("text_config", "model_type", "mistral"),
        ("text_config", "use_sliding_window", True),
        ("vision_config", "head_dim", 32),
    ],
)
def test_what_the_class_does_not_compute_is_refused(place: str | None, field: str, value: Any) -> None:
    config = {**HUB, place: {**HUB[place], field: value}} if place else {**HUB, field: value}
    with pytest.raises(SetupError, match=f"has {field} {value!r}"):
        model_config(config)


def test_files_of_different_checkpoints_are_refused(tmp_path: Path) -> None:
    other = AS_THE_HUB._replace(config={**AS_THE_HUB.config, "image_token_id": 311})
    with pytest.raises(SetupError, match="of different checkpoints"):
        load(write_lighton(tmp_path / "checkpoint", other, tiny_model(AS_THE_HUB)), LIGHTONOCR_2, FLOAT32)


def test_the_full_size_model_has_as_many_parameters_as_its_checkpoint() -> None:
    with torch.device("meta"):
        built = LightOnOcrForConditionalGeneration(model_config(HUB))
    parameters = sum(parameter.numel() for parameter in built.parameters())
    assert parameters == 1_005_647_872
    assert checkpoints()["lightonocr-2"].tensor_bytes == 2 * parameters


@pytest.mark.parametrize(
    ("preset", "seen", "tokens"),
    [(GUNDAM, (1092, 1540), 2145), ("Tiny", (364, 532), 247), ("Base", (728, 1036), 962), ("Large", (924, 1288), 1518)],
)
def test_a_page_of_a4_at_200_dpi_is_seen_in_this_size(preset: str, seen: tuple[int, int], tokens: int) -> None:
    processor = LightOnProcessor(stand_in_tokenizer(330, IDS), 16_384, LIGHTONOCR_2, pixel_rules(PIXELS, 28))
    longest = LIGHTONOCR_2.presets[preset]
    ready = processor.prepare(PageInput(Image.new("RGB", (1654, 2339)), ASKED, "", longest))
    assert (ready.size, ready.image_tokens, ready.extent) == (seen, tokens, (1000.0, 1000.0))
    assert processor.scale((1654, 2339), longest) == (longest or 1540) / 2339
    assert processor.scale((300, 200), longest) == 1.0


def test_a_page_that_would_vanish_is_a_square_wide_and_one_that_is_far_too_long_is_refused(loaded: Loaded) -> None:
    processor = loaded.engine.processor  # transformers' own has no size for either
    assert processor.prepare(asked(2, 400)).size[0] == processor.rules.square
    with pytest.raises(InputError, match="more than 200 times the shorter"):
        loaded.engine.processor.prepare(asked(1, 201))


def test_the_prompt_is_the_page_alone(loaded: Loaded) -> None:
    processor = loaded.engine.processor
    ready = processor.prepare(asked(90, 61))
    said = processor.tokenizer.decode(list(ready.ids), skip_special_tokens=False)
    assert said.replace("<|image_pad|>" * ready.image_tokens, "PAGE") == (
        "<|im_start|>system<|im_end|>\n<|im_start|>user\nPAGE<|im_end|>\n<|im_start|>assistant\n"
    )


@pytest.mark.parametrize("model", ["lightonocr-2", "lightonocr-2-bbox"])
def test_it_turns_pages_into_markdown_and_does_nothing_else(model: str) -> None:
    assert MODELS[model] is LIGHTONOCR_2
    assert Request(model=model).asked is ASKED
    for task in TASKS:
        if task != MARKDOWN:
            with pytest.raises(InputError, match=f"{model} was not trained for '{task}'; its tasks are: {MARKDOWN}"):
                Request(model=model, task=task)
    with pytest.raises(InputError, match=f"{model} takes no prompt; its tasks are: {MARKDOWN}"):
        Request(model=model, prompt="Read.")

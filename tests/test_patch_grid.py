"""The engine of all models of a patch grid, against transformers: its processors' pixels, its classes' generate()."""

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from PIL import Image

from bench.shapes_dots import stand_in_tokenizer
from bench.shapes_grid import MODELS as FULL_SIZE
from ocr.engines.native import NativeEngine
from ocr.engines.patches import PatchRules, patch_rows
from ocr.errors import InputError, SetupError
from ocr.models.catalog import MODELS
from ocr.models.patch_grid.card import GridCard, Look
from ocr.models.patch_grid.engine import load, model_config
from ocr.models.patch_grid.processor import GridProcessor
from ocr.types import Decoding, PageInput, Piece, Prompt
from tests.checkpoints_dots import FLOAT32
from tests.checkpoints_grid import KINDS, Kind, tiny_model, write_grid
from tests.pictures import page
from tests.references import Reference, are_varied, check_alone, check_together, reference

TOKENS = 16
CLIP = ((0.48, 0.46, 0.41), (0.27, 0.26, 0.28))
SIZES = ((90, 61), (40, 140), (130, 75))


class Tiny(NamedTuple):
    """A kind's engine, and the model whose weights it has loaded."""

    kind: Kind
    engine: NativeEngine[Any]
    model: Any


@pytest.fixture(scope="module", params=KINDS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    kind = KINDS[request.param]
    model = tiny_model(kind)
    folder = write_grid(tmp_path_factory.mktemp("grid") / "checkpoint", kind, model)
    return Tiny(kind, load(folder, kind.card, FLOAT32), model)


def asked(kind: Kind, width: int, height: int, text: str = "") -> PageInput:
    return PageInput(page(width, height), Prompt(f"{text}Read {width}.", system="So."), "", Look())


def pixels(kind: Kind, image: Image.Image) -> Any:
    """What transformers' own processor makes of a page."""
    given = {**kind.pixels, **kind.card.limits}
    return getattr(transformers, kind.processor)(**given)(images=[image], return_tensors="pt")


@pytest.mark.parametrize(
    "size", [(90, 61), (5, 41), (41, 5), (3, 500), (24, 24), (1, 1), (17, 200), (333, 222), (640, 9), (199, 1)], ids=str
)
def test_a_page_s_pixels_are_those_of_transformers(tiny: Tiny, size: tuple[int, int]) -> None:
    image = page(*size)
    ready = tiny.engine.processor.prepare(PageInput(image, Prompt("Read."), "", Look()))
    theirs = pixels(tiny.kind, image)
    ours = patch_rows(image, ready.size, tiny.engine.processor.rules)
    assert torch.equal(torch.from_numpy(ours), theirs["pixel_values"].flatten(1))
    assert theirs["image_grid_thw"].tolist() == [[1, *ready.grid]]
    assert ready.image_tokens == ready.grid[0] * ready.grid[1] // 4


@pytest.fixture(scope="module")
def references(tiny: Tiny) -> list[Reference]:
    return [generated(tiny, *size) for size in SIZES]


def generated(tiny: Tiny, width: int, height: int) -> Reference:
    asking = asked(tiny.kind, width, height)
    ready = tiny.engine.processor.prepare(asking)
    kinds = (torch.tensor([ready.ids]) == tiny.engine.processor.image_token).int()
    given = pixels(tiny.kind, asking.image)
    return reference(tiny.engine, tiny.model, ready, TOKENS, mm_token_type_ids=kinds, **given)


@pytest.mark.parametrize(
    "plan",
    [[(0, TOKENS)] * 3, [(0, 9), (0, TOKENS), (0, 15)], [(7, 10), (0, 12), (3, TOKENS)]],
    ids=["together", "leaving", "joining and leaving"],
)
def test_a_batch_gives_each_page_what_its_class_gives_it_alone(
    tiny: Tiny, references: list[Reference], plan: Sequence[tuple[int, int]]
) -> None:
    check_together(tiny.engine.network.model, references, plan)
    assert are_varied(references, 3)


def test_a_page_alone_is_what_its_class_makes_of_it(tiny: Tiny, references: list[Reference]) -> None:
    check_alone(tiny.engine.network.model, references)


def test_callers_that_come_and_go_get_what_they_get_alone(tiny: Tiny, references: list[Reference]) -> None:
    """Three callers come a step after one another to the batch that all share, and one gives up."""

    def opened(number: int) -> Any:
        return tiny.engine.read([asked(tiny.kind, *SIZES[number])], Decoding(max_new_tokens=12))

    alone = [text(opened(number)) for number in range(3)]
    callers: dict[int, Any] = {}
    found: dict[int, list[Any]] = {number: [] for number in range(3)}
    for turn in itertools.count():
        if turn < 3:
            callers[turn] = opened(turn)
        for number, outputs in list(callers.items()):
            found[number] += (output := list(itertools.islice(outputs, 1)))
            if not output or getattr(output[0], "finish", None):
                del callers[number]
        if turn == 4 and 1 in callers:
            callers.pop(1).close()
        if not callers:
            break
    assert [text(found[0]), text(found[2])] == [alone[0], alone[2]]


def text(outputs: Any) -> str:
    return "".join(output.text for output in outputs if isinstance(output, Piece))


# What says nothing of the network's shape, or is looked at below, or off.
OTHERWISE = ("architectures", "model_type", "rope_parameters", "rope_scaling", "sliding_window")


def test_every_value_of_the_config_is_the_checkpoint_s(tiny: Tiny) -> None:
    given, config = tiny.kind.config, tiny.engine.network.model.config
    text, of_text, of_vision = given.get("text_config", given), config.get_text_config(), config.vision_config
    for ours, theirs in ((of_text, text), (of_vision, given["vision_config"])):
        known = {name: value for name, value in theirs.items() if name in ours.to_dict() and name not in OTHERWISE}
        assert len(known) > 8
        assert {name: getattr(ours, name) for name in known} == known
    rope = {**text, **(text.get("rope_scaling") or {}), **(text.get("rope_parameters") or {})}
    for name in ("rope_theta", "mrope_section", "partial_rotary_factor"):
        assert of_text.rope_parameters.get(name) == rope.get(name)
    model = tiny.engine.network.model
    is_tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert is_tied is given["tie_word_embeddings"]


def test_a_number_that_the_config_lacks_is_asked_for(tiny: Tiny) -> None:
    config, family = tiny.kind.config, tiny.kind.card.family
    text = config.get("text_config", config)
    for field in ("hidden_size", "rope_theta", "rms_norm_eps", *family.text_fields):
        rest = without(text, field)
        with pytest.raises(SetupError, match=f"config.json lacks {field}"):
            model_config({**config, "text_config": rest} if "text_config" in config else rest, family)
    for field in ("patch_size", *family.vision_fields):
        with pytest.raises(SetupError, match=f"vision_config lacks {field}"):
            model_config({**config, "vision_config": without(config["vision_config"], field)}, family)


def without(config: Mapping[str, Any], field: str) -> dict[str, Any]:
    """A config that lacks a field, and lacks it in what it says of positions too."""
    return {
        name: without(value, field) if name.startswith("rope_") and isinstance(value, dict) else value
        for name, value in config.items()
        if name != field
    }


def test_another_model_s_config_is_refused(tiny: Tiny) -> None:
    with pytest.raises(SetupError, match=tiny.kind.card.family.model_type):
        model_config({"model_type": "llama"}, tiny.kind.card.family)


def test_a_page_that_is_too_long_is_refused_in_the_size_that_it_came_in(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="has 8 x 2000 pixels"):
        tiny.engine.processor.prepare(asked(tiny.kind, 8, 2000))


def test_words_cannot_smuggle_a_token_of_the_model_s(tiny: Tiny) -> None:
    for token in tiny.kind.ids:
        with pytest.raises(InputError, match="meaning of its own"):
            tiny.engine.check(Prompt("{text}"), f"a {token} b")


def test_a_preset_is_an_area_that_the_checkpoint_s_limit_bounds(tiny: Tiny) -> None:
    processor = tiny.engine.processor
    for look in (Look(), Look(area=4_000), Look(side=120)):
        size = processor.prepare(PageInput(page(300, 200), Prompt("Read."), "", look)).size
        assert size[0] * size[1] <= (look.area or processor.rules.max_pixels)
        assert (size[0] / 300 * size[1] / 200) ** 0.5 == pytest.approx(processor.scale((300, 200), look), rel=0.25)


@pytest.mark.parametrize("size", [(40, 30), (1499, 20), (1500, 20)], ids=str)
def test_paddleocr_vl_looks_closer_where_it_spots_text(tmp_path: Path, size: tuple[int, int]) -> None:
    kind = KINDS["paddleocr-vl"]
    processor = load(write_grid(tmp_path / "checkpoint", kind, tiny_model(kind)), kind.card, FLOAT32).processor
    image = page(*size)
    ready = processor.prepare(PageInput(image, kind.card.tasks["OCR with Boxes"], "", Look()))
    seen = image if size[0] >= 1500 else image.resize((2 * size[0], 2 * size[1]), Image.Resampling.LANCZOS)
    spotting = replace(kind.card, limits={"max_pixels": 1_605_632})
    theirs = pixels(kind._replace(card=spotting), seen)["pixel_values"].flatten(1)
    assert torch.equal(torch.from_numpy(patch_rows(ready.image, ready.size, processor.rules)), theirs)


@pytest.mark.parametrize(
    ("template", "end"), [("{{ 'Assistant: ' }}", " "), ("{{ 'Assistant:\\n' }}", "\n"), (None, "\n")]
)
def test_how_paddleocr_vl_is_given_the_word_is_read_from_its_chat_template(
    tmp_path: Path, template: str | None, end: str
) -> None:
    kind = KINDS["paddleocr-vl"]
    folder = write_grid(tmp_path / "checkpoint", kind, tiny_model(kind))
    if template:
        (folder / "chat_template.jinja").write_text(template)
    processor = load(folder, kind.card, FLOAT32).processor
    ready = processor.prepare(PageInput(page(), kind.card.tasks["Free OCR"], "", Look()))
    said = processor.tokenizer.decode(list(ready.ids), skip_special_tokens=False)
    assert said.endswith(f"<|IMAGE_END|>OCR:\nAssistant:{end}")
    assert said.startswith("<|begin_of_sentence|>User: <|IMAGE_START|><|IMAGE_PLACEHOLDER|>")


@pytest.mark.parametrize(
    ("model", "preset", "rules", "seen"),
    [
        ("olmocr-2", "Gundam (Recommended)", PatchRules(14, 2, 3_136, 12_845_056, *CLIP, frames=2), (924, 1288)),
        ("qwen2.5-vl-7b", "Gundam (Recommended)", PatchRules(14, 2, 3_136, 12_845_056, *CLIP, frames=2), (1652, 2352)),
        ("qwen2.5-vl-7b", "Tiny", PatchRules(14, 2, 3_136, 12_845_056, *CLIP, frames=2), (420, 588)),
        ("qwen3-vl-4b", "Gundam (Recommended)", PatchRules(16, 2, 65_536, 16_777_216, *CLIP, frames=2), (1664, 2336)),
        (
            "paddleocr-vl",
            "Gundam (Recommended)",
            PatchRules(14, 2, 112_896, 1_003_520, *CLIP, raster=True),
            (840, 1176),
        ),
    ],
)
def test_a_page_of_a4_at_200_dpi_is_seen_in_this_size(
    model: str, preset: str, rules: PatchRules, seen: tuple[int, int]
) -> None:
    card = MODELS[model]
    assert isinstance(card, GridCard)
    tokens = {
        token: 300 + index
        for index, token in enumerate({*re.findall(r"<[|].+?[|]>", card.frame.around("")), *card.end_tokens})
    }
    processor = GridProcessor(stand_in_tokenizer(400, tokens), 32_768, card, rules)
    ready = processor.prepare(PageInput(Image.new("RGB", (1654, 2339)), Prompt("Read."), "", card.presets[preset]))
    assert ready.size == seen
    assert ready.image_tokens == seen[0] * seen[1] // rules.multiple**2


PADDLE_UNUSED = (
    32_768 * 1152 + (3 * 1152 + 4 * 1152**2 + 4 * 1152) + (2 * 1152 * 4304 + 4304 + 1152)
)  # positions, a head
GLM_UNUSED = (
    30_676_992 + 2 * 59_392 * 1536 + 2 * 1536**2 + 3 * 1536
)  # a layer that foretells, with a vocabulary of its own


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("qwen3-vl-4b", 4_437_815_808),
        ("qwen2.5-vl-7b", 8_292_166_656),
        ("paddleocr-vl", 958_588_736 - PADDLE_UNUSED),
        ("glm-ocr", 1_325_258_240 - GLM_UNUSED),
    ],
)
def test_a_full_size_model_has_as_many_parameters_as_its_checkpoint(model: str, parameters: int) -> None:
    card = MODELS[model]
    assert isinstance(card, GridCard)
    with torch.device("meta"):
        built = getattr(transformers, card.family.model)(model_config(FULL_SIZE[model].config, card.family))
    assert sum(parameter.numel() for parameter in built.parameters()) == parameters

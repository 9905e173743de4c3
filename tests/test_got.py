"""GOT-OCR 2.0 against transformers: its processor's pixels, its class's generate(); its prompts and its answers."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import GotOcr2ForConditionalGeneration
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.decoding.rules import Budget, NgramBan
from ocr.engines.native import NativeEngine
from ocr.engines.whole_view import WholeViewAttention
from ocr.errors import InputError, SetupError
from ocr.models.catalog import MODELS
from ocr.models.got.card import GOT_OCR2, Look
from ocr.models.got.engine import load, model_config
from ocr.models.got.processor import region, view_rules
from ocr.models.tasks import BASE, DETECT_LAYOUT, FREE_OCR, GUNDAM, LARGE, LOCATE, MARKDOWN, OCR_WITH_BOXES, READ_REGION
from ocr.output.blocks import Kind, blocks
from ocr.output.markdown import MarkdownPage
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, FinishReason, PageInput, Piece, Prompt
from tests.checkpoints_dots import FLOAT32
from tests.checkpoints_got import CONFIGS, HUB_CONFIG, IDS, hub_name, preprocessor, tiny_model, write_got
from tests.pictures import page
from tests.references import Reference, are_varied, check_alone, check_together, reference
from tests.sequences import read
from tests.test_dialects import cut, parse

TOKENS = 10
WHOLE, TILED = Look(), Look(tiled=True)
# A page each: its size, and how it is looked at. They are seen in 7, 1 and 5 views.
PAGES = (((90, 131), TILED), ((90, 61), WHOLE), ((160, 41), TILED))


class Tiny(NamedTuple):
    """An engine, and the model whose weights it has loaded."""

    config: Any
    engine: NativeEngine[Any]
    model: Any


@pytest.fixture(scope="module", params=CONFIGS)
def tiny(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    config = CONFIGS[request.param]
    model = tiny_model(config)
    folder = write_got(tmp_path_factory.mktemp("got") / "checkpoint", config, model)
    return Tiny(config, load(folder, GOT_OCR2, FLOAT32), model)


def asked(size: tuple[int, int], look: Look, task: str = MARKDOWN, text: str = "") -> PageInput:
    return PageInput(page(*size), GOT_OCR2.tasks[task], text, look)


def pixels(tiny: Tiny, asking: PageInput) -> torch.Tensor:
    """What transformers' own processor makes of a page."""
    processor = GotOcr2ImageProcessorPil(**preprocessor(tiny.config))
    made = processor(images=[asking.image], crop_to_patches=asking.preset.tiled, return_tensors="pt")
    seen: torch.Tensor = made["pixel_values"]
    return seen


@pytest.mark.parametrize("look", [WHOLE, TILED])
@pytest.mark.parametrize(
    "size", [(90, 61), (5, 41), (3, 500), (48, 48), (1, 1), (96, 96), (333, 222), (640, 9)], ids=str
)
def test_a_page_s_pixels_are_those_of_transformers(tiny: Tiny, size: tuple[int, int], look: Look) -> None:
    asking = asked(size, look)
    ready = tiny.engine.processor.prepare(asking)
    theirs = pixels(tiny, asking)
    assert torch.equal(tiny.engine.network.pixels(ready.views), theirs)
    assert ready.image_tokens == len(theirs) * tiny.engine.processor.rules.tokens == ready.ids.count(IDS["<imgpad>"])


@pytest.fixture(scope="module")
def references(tiny: Tiny) -> list[Reference]:
    return [generated(tiny, asked(*one), TOKENS) for one in PAGES]


def generated(tiny: Tiny, asking: PageInput, tokens: int, **more: Any) -> Reference:
    ready = tiny.engine.processor.prepare(asking)
    return reference(tiny.engine, tiny.model, ready, tokens, pixel_values=pixels(tiny, asking), **more)


@pytest.mark.parametrize(
    "plan",
    [[(0, TOKENS)] * 3, [(0, 5), (0, TOKENS), (0, 9)], [(5, 6), (0, 8), (2, TOKENS)]],
    ids=["together", "leaving", "joining and leaving"],
)
def test_a_batch_gives_each_page_what_its_class_gives_it_alone(
    tiny: Tiny, references: list[Reference], plan: Sequence[tuple[int, int]]
) -> None:
    check_together(tiny.engine.network.model, references, plan)
    assert are_varied(references)


def test_a_page_alone_is_what_its_class_makes_of_it(tiny: Tiny, references: list[Reference]) -> None:
    check_alone(tiny.engine.network.model, references)


class Banned(Budget):
    """A budget, and the model's own ban beside it."""

    def __init__(self, tokens: int) -> None:
        super().__init__(tokens)
        assert GOT_OCR2.ngram_limit
        self.ban = NgramBan(GOT_OCR2.ngram_limit.n, GOT_OCR2.ngram_limit.window)

    def banned(self) -> Any:
        return self.ban.banned()

    def accept(self, token: int) -> FinishReason | None:
        self.ban.accept(token)
        return super().accept(token)


def test_no_twenty_tokens_are_repeated_in_a_whole_answer(tmp_path: Path) -> None:
    config, count = CONFIGS["as the hub writes it"], 60
    model = tiny_model(config, norm=0.0)
    dull = Tiny(config, load(write_got(tmp_path / "checkpoint", config, model), GOT_OCR2, FLOAT32), model)
    free = generated(dull, asked((90, 61), WHOLE), count)
    one = generated(dull, asked((90, 61), WHOLE), count, no_repeat_ngram_size=20)
    assert one.tokens != free.tokens
    ((tokens, _),) = read(dull.engine.network.model, [one], [(0, count)], budget=Banned)
    assert tokens == one.tokens
    (rule,) = dull.engine.processor.own_rules(GOT_OCR2.tasks[MARKDOWN])
    assert isinstance(rule, NgramBan)
    assert (rule.n, rule.window) == (20, 32768)


def test_views_are_attended_to_as_a_whole_where_that_is_faster(tiny: Tiny) -> None:
    layers = tiny.engine.network.model.model.vision_tower.layers
    parts = [index for index, layer in enumerate(layers) if isinstance(layer.attn, WholeViewAttention)]
    assert parts == tiny.config["vision_config"]["global_attn_indexes"]


def test_callers_that_come_and_go_get_what_they_get_alone(tiny: Tiny) -> None:
    """Three callers come a step after one another to the batch that all share, and one gives up."""

    def opened(number: int) -> Any:
        return tiny.engine.read([asked(*PAGES[number])], Decoding(max_new_tokens=7))

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


def test_weights_in_fewer_bits_are_read_too(tiny: Tiny, tmp_path: Path) -> None:
    folder = write_got(tmp_path / "checkpoint", tiny.config, tiny.model)
    engine = load(folder, GOT_OCR2, Settings(device="cpu", dtype="float32", quantization="8bit"))
    pieces = list(engine.read([asked((90, 61), WHOLE)], Decoding(max_new_tokens=3)))
    assert pieces[-1].finish is not None


def test_every_value_of_the_config_is_the_checkpoint_s(tiny: Tiny) -> None:
    config = tiny.engine.network.model.config
    for ours, theirs in ((config.text_config, "text_config"), (config.vision_config, "vision_config")):
        given = {
            k: v for k, v in tiny.config[theirs].items() if k not in ("model_type", "rope_theta", "rope_parameters")
        }
        assert {name: getattr(ours, name) for name in given} == given
    text = tiny.config["text_config"]
    assert config.text_config.rope_parameters["rope_theta"] == {**text, **text.get("rope_parameters", {})}["rope_theta"]
    model = tiny.engine.network.model
    assert (model.lm_head.weight is model.get_input_embeddings().weight) is text["tie_word_embeddings"]


def test_the_hub_s_config_is_read_with_the_model_s_numbers() -> None:
    assert len(json.dumps(HUB_CONFIG, indent=2)) + 1 == 608
    config = model_config(HUB_CONFIG)
    text, vision = config.text_config, config.vision_config
    assert (text.max_position_embeddings, text.rms_norm_eps, text.rope_parameters["rope_theta"]) == (32768, 1e-6, 1e6)
    assert (vision.hidden_size, vision.num_hidden_layers, vision.image_size, vision.patch_size) == (768, 12, 1024, 16)
    rules = view_rules(preprocessor({"vision_config": {"image_size": 1024}}), side=1024, patch=16)
    assert (rules.tokens, rules.fewest_tiles, rules.most_tiles) == (256, 1, 12)


def test_a_full_size_model_has_as_many_bytes_as_its_checkpoint() -> None:
    with torch.device("meta"):
        model = GotOcr2ForConditionalGeneration(model_config(HUB_CONFIG))
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in sorted((hub_name(name), tensor) for name, tensor in model.named_parameters()):
        start, end = end, end + 2 * tensor.numel()
        header[name] = {"dtype": "BF16", "shape": list(tensor.shape), "data_offsets": [start, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    assert (len(header) - 1, end) == (471, 1_121_057_280)
    assert 8 + (length + 7) // 8 * 8 + end == 1_121_114_488


@pytest.mark.parametrize("field", ["hidden_size", "num_attention_heads", "num_key_value_heads", "rope_theta"])
def test_a_number_that_the_config_lacks_is_asked_for(field: str) -> None:
    text = {name: value for name, value in HUB_CONFIG["text_config"].items() if name != field}
    with pytest.raises(SetupError, match=f"text_config lacks {field}"):
        model_config({**HUB_CONFIG, "text_config": text})


def test_files_that_do_not_fit_each_other_are_refused(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="'got_ocr2'"):
        model_config({"model_type": "qwen2"})
    with pytest.raises(SetupError, match="lacks image_token_index"):
        model_config({name: value for name, value in HUB_CONFIG.items() if name != "image_token_index"})
    with pytest.raises(SetupError, match="has size"):
        view_rules(preprocessor(tiny.config), side=1024, patch=16)
    folder = write_got(tmp_path / "checkpoint", tiny.config, tiny.model)
    (folder / "config.json").write_text(json.dumps({**tiny.config, "image_token_index": 311}))
    with pytest.raises(SetupError, match="of different checkpoints"):
        load(folder, GOT_OCR2, FLOAT32)


SYSTEM = (
    "<|im_start|>system\nYou should follow the instructions carefully and explain your answers in detail.<|im_end|>"
)


@pytest.mark.parametrize(
    ("task", "look", "words"),
    [
        (FREE_OCR, WHOLE, "OCR: "),
        (MARKDOWN, WHOLE, "OCR with format: "),
        (READ_REGION, WHOLE, "[111, 163, 500, 1000] OCR: "),
        (FREE_OCR, TILED, "OCR upon the patch reference: "),
        (MARKDOWN, TILED, "OCR with format upon the patch reference: "),
    ],
)
def test_a_prompt_is_what_the_makers_trained_word_for_word(tiny: Tiny, task: str, look: Look, words: str) -> None:
    box = "10, 10, 45, 61" if task == READ_REGION else ""
    ready = tiny.engine.processor.prepare(asked((90, 61), look, task, box))
    said = tiny.engine.processor.tokenizer.decode(list(ready.ids), skip_special_tokens=False)
    image = "<imgpad>" * ready.image_tokens
    assert said == f"{SYSTEM}<|im_start|>user\n<img>{image}</img>\n{words}<|im_end|><|im_start|>assistant\n"


def test_a_prompt_of_ones_own_ends_in_the_space_that_all_trained_ones_end_in(tiny: Tiny) -> None:
    request = Request(model="got-ocr2", prompt=" [red] OCR: ")
    for look in (WHOLE, TILED):
        ready = tiny.engine.processor.prepare(PageInput(page(90, 61), request.asked, request.words, look))
        said = tiny.engine.processor.tokenizer.decode(list(ready.ids), skip_special_tokens=False)
        assert said.endswith("</img>\n[red] OCR: <|im_end|><|im_start|>assistant\n")


def test_a_region_is_in_thousandths_rounded_down() -> None:
    assert region("1, 2.5, 3, 4", (7, 9)) == "[142, 277, 428, 444]"
    assert region("[0, 0, 1654, 2339]", (1654, 2339)) == "[0, 0, 1000, 1000]"


def test_what_cannot_be_asked_is_refused(tiny: Tiny) -> None:
    for box in ("", "1,2,3", "9,9,1,1"):
        with pytest.raises(InputError, match="four numbers"):
            tiny.engine.check(GOT_OCR2.tasks[READ_REGION], box)
    with pytest.raises(InputError, match="0 <= x1 < x2 <= 90"):
        tiny.engine.processor.prepare(asked((90, 61), WHOLE, READ_REGION, "1,1,91,9"))
    with pytest.raises(InputError, match="choose the preset Base"):
        tiny.engine.processor.prepare(asked((90, 61), TILED, READ_REGION, "1,1,9,9"))
    for token in IDS:
        with pytest.raises(InputError, match="meaning of its own"):
            tiny.engine.check(Prompt("{text}"), f"a {token} b")


@pytest.mark.parametrize("task", [LOCATE, OCR_WITH_BOXES, DETECT_LAYOUT])
def test_a_task_that_needs_boxes_is_refused_with_those_there_are(task: str) -> None:
    reference = "title" if task == LOCATE else ""
    with pytest.raises(InputError, match=f"not trained for '{task}'; its tasks are: .*{READ_REGION}"):
        Request(model="got-ocr2", task=task, reference=reference)


def test_a_preset_is_one_view_or_tiles_of_the_same_size(tiny: Tiny) -> None:
    assert MODELS["got-ocr2"].presets == {GUNDAM: WHOLE, BASE: WHOLE, LARGE: TILED}
    scale, side = tiny.engine.processor.scale, tiny.engine.processor.rules.side
    assert scale((200, 300), WHOLE) == pytest.approx(side / 300)
    assert scale((200, 300), TILED) == pytest.approx(2 * side / 200)


ANSWERS = [
    "Lighthouse Service Notice to Mariners No. 14 The light [1, 2] will be exhibited <from> dusk",
    "\\title{\nThe harbour at Elve\n}\n\n\\section*{1 Depths}\nAt low water \\( d=3.5 \\mathrm{~m} \\) ; see Table 1.\n"
    "\\begin{tabular}{|l|r|}\n\\hline Buoy & Depth \\\\\n\\hline \\multicolumn{2}{|c|}{ none \\& all } \\\\\n\\hline\n"
    "\\end{tabular}\n\\[\nh=\\left(\\frac{a}{b}\\right)^{2}\n\\]\n\\footnotetext{\nAfter the survey of 1911 .\n}",
    "\\begin{tabular}{ll}\n\\begin{tabular}{l} inner \\\\ \\end{tabular} & outer \\\\\n\\end{tabular}",
    "**kern\t**kern\n*clefF4\t*clefG2\n4C\t4e\n==\t==\n",
    "<smiles>C1CCCCC1</smiles> \\draw (0.5, 1.5) -- (2, 2); 100 % \\ \\beg \\begin \\begin{",
]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_an_answer_is_kept_as_it_stands(size: int) -> None:
    for answer, task in itertools.product(ANSWERS, GOT_OCR2.tasks.values()):
        assert parse(answer, [size], task.dialect) == ([], [], answer)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 6, 7, 10_000])
def test_markdown_has_tables_and_headings_as_they_were_written_and_formulas_in_dollars(size: int) -> None:
    page, parser = MarkdownPage(1), PARSERS["mathpix"](Scale(extent=(1000, 1000), page=(10, 10)))
    fed = itertools.chain(*(parser.feed(piece) for piece in cut(ANSWERS[1], [size])), parser.close())
    shown = "".join(map(page.write, fed)) + page.close()
    formulas = {"\\( d=3.5 \\mathrm{~m} \\)": "$d=3.5 \\mathrm{~m}$", "\\[": "$$", "\\]": "$$"}
    wanted = ANSWERS[1]
    for written, in_dollars in formulas.items():
        wanted = wanted.replace(written, in_dollars)
    assert shown == wanted
    assert [block.kind for block in blocks(shown)].count(Kind.TABLE) == 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 10_000])
@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("a\n\\begin{tabular}{l|r}\n\\hline a & b \\\\", "breaks off inside a table"),
        ("\\begin{tabular}{l}\\begin{tabular}{l}\\end{tabular}", "breaks off inside a table"),
        ("a & b \\\\ \\end{tabular} c", "no beginning"),
        ("\\end{tabular}\\begin{tabular}", "breaks off inside a table"),
        ("\\begin{tabular}" * 500, "breaks off inside a table"),
    ],
)
def test_a_table_that_is_not_whole_is_told_and_kept(answer: str, problem: str, size: int) -> None:
    _, problems, shown = parse(answer, [size], "mathpix")
    assert shown == answer
    assert problem in problems[0]

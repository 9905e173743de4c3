"""Pages that are read region by region: what is read with which words, in which order, and the one result."""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ocr.errors import InputError, ModelError, OCRError, SetupError
from ocr.models.catalog import MODELS
from ocr.models.layout.labels import CHECKPOINT, kind
from ocr.models.patch_grid.card import Look
from ocr.models.tasks import GUNDAM
from ocr.reading.reader import Reader, read_pages
from ocr.reading.regions import distinct
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import (
    Decoding,
    Element,
    Failed,
    FinishReason,
    Markdown,
    PageEvent,
    PageInput,
    PageResult,
    PageStart,
    Piece,
    Prepared,
    Region,
)
from tests.checkpoints_grid import KINDS, tiny_model, write_grid
from tests.checkpoints_layout import tiny_detector, write_detector
from tests.pictures import golden_picture, page

PARSE = Request(model="paddleocr-vl", resolution=GUNDAM, task="Parse Layout")
DETECT = replace(PARSE, task="Detect Layout")
PAGE = page(400, 300)
TITLE = Region("doc_title", (10.4, 10.0, 390.0, 40.0), 0.9)
PICTURE = Region("image", (10.0, 50.0, 190.0, 140.0), 0.8)
LEFT = Region("text", (10.0, 150.0, 190.0, 200.0), 0.9)
TABLE = Region("table", (210.0, 50.0, 390.0, 200.0), 0.7)
FORMULA = Region("display_formula", (10.0, 210.0, 390.0, 250.6), 0.6)
NUMBER = Region("number", (190.0, 280.0, 210.0, 295.0), 0.5)
REGIONS = (TITLE, PICTURE, LEFT, TABLE, FORMULA, NUMBER)
ANSWERS = {
    "OCR:": "Some\nprint",
    "Table Recognition:": "<fcel>a<lcel><nl><fcel>b<fcel>c<nl>",
    "Formula Recognition:": r"\[ x^2 \]",
}


class Finding:
    """A detector that finds these regions on every page."""

    def __init__(self, *regions: Region) -> None:
        self.regions = regions
        self.seen: list[tuple[int, int]] = []

    def find(self, image: Image.Image) -> Sequence[Region]:
        self.seen.append(image.size)
        return self.regions


Say = Callable[[PageInput], str | FinishReason | OCRError]


def by_prompt(asked: PageInput) -> str:
    return ANSWERS[asked.prompt.template]


class Answering:
    """An engine that answers what a test says to each page that it is given, all at once where they are."""

    def __init__(self, say: Say = by_prompt, scale: float = 1.0, backwards: bool = False) -> None:
        self._say, self._scale, self._backwards = say, scale, backwards
        self.asked: list[PageInput] = []

    def check(self, *_args: Any) -> None:
        """Anything may be asked."""

    def scale(self, _size: tuple[int, int], _preset: Any) -> float:
        return self._scale

    def read(self, pages: Iterable[PageInput], _decoding: Decoding) -> Iterator[Prepared | Piece | Failed]:
        given = list(enumerate(pages)) if self._backwards else enumerate(pages)
        for index, asked in reversed(given) if isinstance(given, list) else given:
            self.asked.append(asked)
            yield Prepared(index, 7, 5, (1000.0, 1000.0))
            stopped, said = asked.stop(), self._say(asked)
            if stopped:
                yield Piece(index, "", 0, stopped)
            elif isinstance(said, FinishReason):
                yield Piece(index, "half", 3, said, 0.5)
            elif isinstance(said, str):
                yield Piece(index, said, 3, FinishReason.STOP, 0.5)
            else:
                yield Failed(index, said)


def read(engine: Any, *regions: Region, request: Request = PARSE, image: Image.Image = PAGE) -> list[PageEvent]:
    return list(read_pages(engine, request, [(4, image)], Decoding(), detector=Finding(*regions)))


def result_of(events: Sequence[PageEvent]) -> PageResult:
    (result,) = [event for event in events if isinstance(event, PageResult)]
    return result


@pytest.mark.parametrize("backwards", [False, True])
def test_each_region_is_asked_about_as_its_kind_and_is_an_element_in_its_place(backwards: bool) -> None:
    engine = Answering(backwards=backwards)
    start, *events, result = read(engine, *REGIONS)
    assert start == PageStart(4, 400, 300) and isinstance(result, PageResult)
    wanted = (
        Element("title", "doc_title", TITLE.bbox, "# Some print"),
        Element("picture", "image", PICTURE.bbox),
        Element("text", "text", LEFT.bbox, "Some\nprint"),
        Element(
            "table",
            "table",
            TABLE.bbox,
            '<table><tr><td colspan="2">a</td></tr><tr><td>b</td><td>c</td></tr></table>',
        ),
        Element("formula", "display_formula", FORMULA.bbox, r"\[ x^2 \]"),
        Element("page_number", "number", NUMBER.bbox, "Some\nprint"),
    )
    assert result.elements == wanted == tuple(event for event in events if isinstance(event, Element))
    assert result.markdown.split("\n\n") == [
        "# Some print",
        "![](images/page-4-1.png)",
        "Some\nprint",
        wanted[3].text,
        "$$\nx^2\n$$",
    ]
    assert "".join(event.text for event in events if isinstance(event, Markdown)) == result.markdown
    asked = sorted((each.image.size, each.prompt.template) for each in engine.asked)
    assert asked == sorted(
        [
            ((380, 30), "OCR:"),  # from 10.4: what is touched of a pixel belongs to it
            ((180, 50), "OCR:"),
            ((180, 150), "Table Recognition:"),
            ((380, 41), "Formula Recognition:"),
            ((20, 15), "OCR:"),
        ]
    )
    assert (result.prompt_tokens, result.image_tokens, result.completion_tokens) == (35, 25, 15)
    assert (result.finish_reason, result.error, result.problems, result.seconds) == (FinishReason.STOP, "", (), 2.5)
    assert result.text.split("\n\n").count("Some\nprint") == 3 and result.image is PAGE


def test_glm_ocr_is_asked_in_its_own_words_and_reads_seals() -> None:
    engine = Answering(lambda asked: asked.prompt.template)
    seal = Region("seal", (300.0, 210.0, 380.0, 290.0), 0.9)
    result = result_of(read(engine, TITLE, TABLE, FORMULA, seal, request=replace(PARSE, model="glm-ocr")))
    assert [element.text for element in result.elements] == [
        "# Text Recognition:",
        "Table Recognition:",
        "Formula Recognition:",
        "Text Recognition:",
    ]
    assert {asked.prompt.sampling.repetition_penalty for asked in engine.asked} == {1.1}
    assert result.elements[3].type == "picture"


def test_regions_stream_in_reading_order_as_they_are_over() -> None:
    engine = Answering()
    events = read_pages(engine, PARSE, [(1, PAGE)], Decoding(), detector=Finding(*REGIONS))
    assert next(event for event in events if isinstance(event, Element)).label == "doc_title"
    assert len(engine.asked) == 1
    assert next(event for event in events if isinstance(event, Element)).label == "image"
    assert len(engine.asked) == 2  # a picture comes with the next that is read


def test_pages_stay_in_order_and_are_counted_once() -> None:
    detector = Finding(TITLE, LEFT)
    pages = [(number, PAGE) for number in (2, 3, 7)]
    events = list(read_pages(Answering(backwards=True), PARSE, pages, Decoding(), detector=detector))
    assert [event.page for event in events if isinstance(event, PageStart | PageResult)] == [2, 2, 3, 3, 7, 7]
    assert {event.completion_tokens for event in events if isinstance(event, PageResult)} == {6}
    assert detector.seen == [(400, 300)] * 3


def failing(asked: PageInput) -> str | FinishReason | OCRError:
    if asked.prompt.template == "Table Recognition:":
        return ModelError("It broke.")
    if asked.image.size == (180, 50):
        return FinishReason.LENGTH
    return by_prompt(asked)


def test_a_region_that_fails_is_a_problem_and_costs_no_other() -> None:
    result = result_of(read(Answering(failing), *REGIONS))
    assert [element.label for element in result.elements] == [region.label for region in REGIONS]
    assert result.problems == (
        "The region text at [10, 150, 190, 200] may not be whole: its text ended with length.",
        "The region table at [210, 50, 390, 200] could not be read: It broke.",
    )
    assert (result.finish_reason, result.error) == (FinishReason.LENGTH, "")
    assert [element.text for element in result.elements][2:4] == ["half", ""]


def test_a_page_of_which_no_region_can_be_read_is_an_error() -> None:
    result = result_of(read(Answering(lambda _asked: ModelError("It broke.")), *REGIONS))
    assert (result.finish_reason, result.error) == (FinishReason.ERROR, "It broke.")


def test_what_a_parser_does_not_understand_is_told_with_its_region() -> None:
    result = result_of(read(Answering(lambda _asked: "<fcel>a<nl><fcel>b<fcel>c<fcel>d<nl><fcel>e"), TABLE))
    assert [problem.startswith("In the region table at [210, 50, 390, 200]: ") for problem in result.problems] == [
        True,
        True,
    ]


def test_a_cancelled_page_ends_with_what_was_read() -> None:
    engine = Answering()

    def stop() -> FinishReason | None:
        return FinishReason.CANCELLED if len(engine.asked) > 1 else None

    result = result_of(list(read_pages(engine, PARSE, [(1, PAGE)], Decoding(), stop=stop, detector=Finding(*REGIONS))))
    assert (result.finish_reason, result.problems) == (FinishReason.CANCELLED, ())
    assert [element.text for element in result.elements] == ["# Some print", "", "", "", "", ""]


def test_the_layout_alone_needs_no_answer() -> None:
    engine = Answering()
    events = read(engine, *REGIONS, request=DETECT)
    result = result_of(events)
    assert engine.asked == [] and isinstance(events[0], PageStart)
    assert result.elements == tuple(Element(kind(each.label).type, each.label, each.bbox) for each in REGIONS)
    assert result.markdown.split("\n\n")[:2] == ["doc_title [10, 10, 390, 40]", "image [10, 50, 190, 140]"]
    assert (result.finish_reason, result.completion_tokens, result.problems) == (FinishReason.STOP, 0, ())


def test_a_page_of_pictures_needs_no_answer() -> None:
    engine = Answering()
    result = result_of(read(engine, PICTURE))
    assert engine.asked == [] and result.markdown == "![](images/page-4-1.png)"


def test_a_page_without_regions_is_read_as_one() -> None:
    result = result_of(read(Answering()))
    assert result.elements == (Element("text", "text", (0, 0, 400, 300), "Some\nprint"),)
    assert result.problems == ("No regions were found on the page, so it was read as one.",)
    layout = result_of(read(Answering(), request=DETECT))
    assert (layout.elements, layout.problems) == ((), ("No regions were found on the page.",))


def test_a_blank_page_is_not_looked_at() -> None:
    detector = Finding(TITLE)
    blank = Image.new("RGB", (400, 300), "white")
    (*_, result) = read_pages(Answering(), PARSE, [(1, blank)], Decoding(), detector=detector)
    assert isinstance(result, PageResult)
    assert (result.finish_reason, result.elements, detector.seen) == (FinishReason.BLANK, (), [])


def test_a_label_of_another_detector_is_read_as_print() -> None:
    result = result_of(read(Answering(), replace(LEFT, label="stamp")))
    assert result.elements == (Element("other", "stamp", LEFT.bbox, "Some\nprint"),)


def test_a_long_page_is_looked_at_in_parts() -> None:
    long = Image.new("RGB", (400, 4400), "white")
    for top in range(0, 4400, 100):
        long.paste((20, 20, 20), (20, top + 20, 380, top + 60))
    for cut, looks in ((True, 8), (False, 1)):
        detector = Finding(Region("text", (0.0, 10.0, 400.0, 90.0), 0.9))
        events = read_pages(Answering(), replace(PARSE, cut_long_pages=cut), [(1, long)], Decoding(), detector=detector)
        tops = [element.bbox[1] for element in result_of(list(events)).elements if element.bbox]
        heights = [height for _, height in detector.seen]
        assert (len(heights), sum(heights)) == (looks, 4400)
        assert tops == [10 + sum(heights[:index]) for index in range(looks)]


def test_print_too_small_to_be_read_is_a_problem() -> None:
    lines = Image.new("RGB", (400, 600), "white")
    for top in range(10, 600, 20):
        for x in range(20, 380, 8):
            lines.paste((20, 20, 20), (x, top, x + 4, top + 10))
    whole = Region("text", (0.0, 0.0, 400.0, 600.0), 0.9)
    (problem,) = result_of(read(Answering(scale=0.2), whole, image=lines)).problems
    assert "px high as the model sees them" in problem


def region(label: str, *box: float) -> Region:
    x1, y1, x2, y2 = box
    return Region(label, (x1, y1, x2, y2), 0.9)


WHOLE = region("text", 0, 0, 100, 100)


@pytest.mark.parametrize(
    ("found", "kept", "lost"),
    [
        ([WHOLE, region("text", 10, 10, 90, 90)], [0], False),
        ([region("table", 10, 10, 90, 90), WHOLE], [1], False),
        ([WHOLE, region("text", 50, 0, 118, 100)], [0], True),  # 74 % inside
        ([WHOLE, region("text", 50, 0, 125, 100)], [0, 1], False),  # 67 % inside
        ([region("image", 0, 0, 100, 100), region("text", 10, 10, 90, 90)], [0, 1], False),
        ([region("image", 0, 0, 100, 100), region("image", 10, 10, 90, 90)], [0], False),
        ([WHOLE, region("text", 0, 200, 100, 203)], [0], False),
        ([region("reference", 0, 0, 100, 100), region("reference_content", 0, 0, 100, 50)], [1], False),
        ([region("reference", 0, 0, 100, 100), region("text", 0, 200, 100, 250)], [0, 1], False),
    ],
)
def test_of_regions_that_are_one_the_larger_is_kept(found: list[Region], kept: list[int], lost: bool) -> None:
    ours, problems = distinct(found)
    assert ours == [found[index] for index in kept]
    assert [problem.endswith("[50, 0, 118, 100].") for problem in problems] == [True] * lost


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Those of an installation that has the detector and tiny models which read regions."""
    folder = tmp_path_factory.mktemp("checkpoints")
    write_detector(folder / CHECKPOINT, tiny_detector())
    for model in ("paddleocr-vl", "glm-ocr"):
        write_grid(folder / model, KINDS[model], tiny_model(KINDS[model]))
    return Settings(checkpoints=folder, device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def reader(settings: Settings) -> Reader:
    return Reader(settings)


@pytest.mark.parametrize("model", ["paddleocr-vl", "glm-ocr"])
def test_a_whole_page_is_what_the_detector_and_the_model_make_of_it(reader: Reader, model: str) -> None:
    image, limit = golden_picture("tiny"), Decoding(max_new_tokens=12)
    request = Request(model=model, task="Parse Layout")
    found, _ = distinct(reader.detector().find(image))
    assert {each.label for each in found} == {"header", "table", "image"}
    texts = []
    for each in found:
        prompt = (request.asked.regions or {}).get(kind(each.label).holds)
        x1, y1, x2, y2 = each.bbox
        crop = image.crop((math.floor(x1), math.floor(y1), math.ceil(x2), math.ceil(y2)))
        pieces = reader.engine(model).read([PageInput(crop, prompt, "", Look())], limit) if prompt else ()
        texts.append("".join(piece.text for piece in pieces if isinstance(piece, Piece)))
    *_, result = reader.read(request, [(1, image), (2, image)], limit)
    assert isinstance(result, PageResult) and result.page == 2
    assert [(element.label, element.bbox) for element in result.elements] == [(each.label, each.bbox) for each in found]
    assert result.text == "\n\n".join(filter(None, texts))
    assert len(set(texts)) == 3 and texts[2] == ""
    assert result.completion_tokens == 24 and result.finish_reason is FinishReason.LENGTH
    assert len([problem for problem in result.problems if "ended with length" in problem]) == 2


def test_the_detector_s_weights_are_asked_for_only_where_regions_are_read(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "paddleocr-vl").symlink_to(settings.checkpoints / "paddleocr-vl")
    alone = Reader(replace(settings, checkpoints=tmp_path))
    whole = list(alone.read(Request(model="paddleocr-vl"), [(1, PAGE)], Decoding(max_new_tokens=2)))
    assert result_of(whole).completion_tokens == 2
    with pytest.raises(SetupError, match=rf"weights of {CHECKPOINT} are not in .* fetch {CHECKPOINT}"):
        next(alone.read(PARSE, [(1, PAGE)], Decoding()))


@pytest.mark.parametrize(("name", "field"), [("paddleocr-vl", "num_hidden_layers"), (CHECKPOINT, "id2label")])
def test_a_config_that_a_class_cannot_take_is_told_of_with_its_folder(
    settings: Settings, tmp_path: Path, name: str, field: str
) -> None:
    folder = Path(shutil.copytree(settings.checkpoints / name, tmp_path / name))
    config = folder / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), field: "x"}))
    reader = Reader(replace(settings, checkpoints=tmp_path))
    load = reader.detector if name == CHECKPOINT else partial(reader.engine, name)
    with pytest.raises(SetupError, match=rf"{folder} cannot be loaded \(.*weights verify {name}`"):
        load()


def test_closing_stops_the_work(reader: Reader) -> None:
    events = reader.read(PARSE, [(1, golden_picture("tiny"))], Decoding(max_new_tokens=2000))
    assert isinstance(next(events), PageStart)
    events.close()
    again = list(reader.read(PARSE, [(1, golden_picture("tiny"))], Decoding(max_new_tokens=1)))
    assert result_of(again).completion_tokens == 2


@pytest.mark.parametrize("model", [name for name, card in MODELS.items() if "Parse Layout" not in card.tasks])
def test_other_models_say_that_they_read_no_regions(model: str) -> None:
    with pytest.raises(InputError, match=r"not trained for 'Parse Layout'"):
        Request(model=model, task="Parse Layout")


def test_the_detector_computes_as_it_is_whatever_the_settings_say(settings: Settings) -> None:
    found = Reader(replace(settings, dtype="bfloat16", quantization="8bit")).detector()
    assert {parameter.dtype for parameter in found.model.parameters()} == {torch.float32}  # type: ignore[attr-defined]

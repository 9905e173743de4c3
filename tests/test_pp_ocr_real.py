"""pp-ocr on its own weights, which script/test fetches where the package index answers."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw, ImageFont

from bench.pp_ocr.trees import teds
from ocr.lines.reader import LineReader
from ocr.models.catalog import MODELS
from ocr.models.pp_ocr.card import PP_OCR
from ocr.models.pp_ocr.engine import LinesEngine, load
from ocr.models.tasks import FREE_OCR, GUNDAM, MARKDOWN
from ocr.reading.reader import read_pages
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, Line, PageResult
from ocr.weights.status import status

PROJECT = Path(__file__).resolve().parent.parent
PAGES = [PROJECT / "examples" / name for name in ("invoice.png", "noisy.jpg", "prose.png", "table.png")]


@pytest.fixture(scope="module")
def engine() -> LinesEngine:
    found = status("pp-ocr", PROJECT / "checkpoints")
    if not found.is_ready:
        pytest.skip(f"the weights of pp-ocr are {found.summary}")
    return load(found.folder, PP_OCR, Settings(threads=1))


@pytest.fixture(scope="module")
def reader(engine: LinesEngine) -> LineReader:
    return engine._reader


def result(engine: LinesEngine, image: Image.Image, task: str = FREE_OCR) -> PageResult:
    *_, last = read_pages(engine, Request(model="pp-ocr", resolution=GUNDAM, task=task), [(1, image)], Decoding())
    assert isinstance(last, PageResult)
    return last


def font(size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype("DejaVuSans.ttf", size)
    except OSError:
        pytest.skip("the font DejaVu Sans, which has many scripts, is not installed")


def drawn(*lines: str, size: int = 28, ink: str = "black", paper: str = "white", width: int = 700) -> Image.Image:
    image = Image.new("RGB", (width, 60 + 2 * size * len(lines)), paper)
    for n, line in enumerate(lines):
        ImageDraw.Draw(image).text((40, 30 + 2 * size * n), line, font=font(size), fill=ink)
    return image


def texts(lines: Iterator[Line]) -> list[str]:
    return [line.text for line in lines]


def signs(text: str) -> str:
    return "".join(sorted("".join(text.split())))


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_the_example_pages_are_read_without_an_error(engine: LinesEngine, path: Path) -> None:
    expected = path.with_suffix(".md").read_text()
    for mark in ("# ", "<table>", "</table>", "<tr>", "</tr>", "<td>", "</td>"):
        expected = expected.replace(mark, " ")
    found = result(engine, Image.open(path).convert("RGB"))
    assert signs(found.text) == signs(expected) and found.problems == ()


def test_a_scan_with_a_table_and_small_print_comes_back_as_it_was_set(engine: LinesEngine) -> None:
    scan = PROJECT / "examples" / "statement.jpg"
    found = result(engine, Image.open(scan).convert("RGB"), MARKDOWN)
    assert teds(found.markdown, scan.with_suffix(".md").read_text()) == 1 and found.problems == ()


def test_a_page_of_small_print_is_read_in_all_its_lines(reader: LineReader, shared: Path) -> None:
    image = Image.open(shared / "images" / "paper_page_1700x2250.jpg").convert("RGB")
    assert len(reader.find(image)) == 350
    part = image.crop((200, 100, 1500, 420))
    found = " ".join(texts(reader.read(part)))
    for words in ("EXPOSURE TO MEAT AND RISK OF LYMPHOMA", "Duration of exposure", "0.57-2.30"):
        assert words in found


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_page_that_stands_on_its_side_is_known_by_its_turn(reader: LineReader, degrees: int) -> None:
    image = Image.open(PROJECT / "examples" / "prose.png").convert("RGB")
    found = reader.turns(image.rotate(-degrees, expand=True))
    assert max(found, key=lambda turn: found[turn]) == degrees and found[degrees] > 0.8
    assert math.isclose(sum(found.values()), 1, abs_tol=1e-3)


@pytest.mark.parametrize("turn", [90, -90])
def test_a_line_that_stands_upright_is_read_whichever_way_it_runs(reader: LineReader, turn: int) -> None:
    image = Image.new("RGB", (500, 800), "white")
    image.paste(drawn("Standing upright", width=400).rotate(turn, expand=True), (100, 100))
    (line,) = reader.read(image)
    assert line.text == "Standing upright"
    assert (line.corners[0][1] > line.corners[1][1]) == (turn == 90)  # the text begins below where it runs up


def test_white_on_black_is_read(reader: LineReader) -> None:
    assert texts(reader.read(drawn("White on black 42", ink="white", paper="black"))) == ["White on black 42"]


@pytest.mark.parametrize("side", [60, 300])
def test_a_tiny_picture_is_read(reader: LineReader, side: int) -> None:
    image = Image.new("RGB", (side, side), "white")
    ImageDraw.Draw(image).text((8, 20), "Oak 7", font=font(18), fill="black")
    assert texts(reader.read(image)) == ["Oak 7"]


def test_a_picture_without_print_has_no_lines(reader: LineReader) -> None:
    sky = Image.linear_gradient("L").resize((900, 700)).convert("RGB")
    assert texts(reader.read(sky)) == []


def test_a_script_that_it_does_not_know_is_told_with_its_place(engine: LinesEngine) -> None:
    found = result(engine, drawn("\u0412\u0441\u0435 люди рождаются", "and in Latin letters"))
    assert found.text == "and in Latin letters"
    assert found.problems[0].startswith("Print in a place was found and could not be read")


def test_vietnamese_is_told_to_lose_letters(engine: LinesEngine) -> None:
    found = result(engine, drawn("Tất cả mọi người sinh ra đều được tự do"))
    assert any("Vietnamese" in problem for problem in found.problems)


def test_its_card_has_what_the_engine_needs() -> None:
    assert MODELS["pp-ocr"] is PP_OCR and PP_OCR.own_prompt is None

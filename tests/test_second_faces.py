"""The second reading as the command line shows it, and with the networks' own weights where they are."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image, ImageDraw, ImageFont

from ocr.documents.page import DrawnPage
from ocr.lines.reader import LineReader
from ocr.output.folder import Folder
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.reading.turning import upright
from ocr.settings import Settings
from ocr.weights.status import status
from tests.commands import Answers, Run
from tests.pictures import page
from tests.second import WrittenLines, lines

PROJECT = Path(__file__).resolve().parent.parent
READ = lines("The keeper climbed the stairs", "in 1904 and carried oil.")
ANSWER = "The keeper climbed the stairs in 1904 and carried oil."
CHECKED = ("read", "a.png", "b.png", "--task", "free", "--check")


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch, run: Run) -> WrittenLines:
    """Two pages in the folder of the command, and the lines that are found on them."""
    found = WrittenLines(*READ)
    monkeypatch.setattr(Reader, "_line_reader", lambda self, needed: found)
    for name in ("a.png", "b.png"):
        page().save(name)
    return found


def test_each_page_has_its_line_and_those_that_disagree_a_table(
    run: Run, answers: Answers, second: WrittenLines, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(ANSWER, ANSWER.replace("1904", "1906") + " And the sea was loud.")
    assert run(*CHECKED, "-o", "out") == 0
    said = capsys.readouterr().err
    assert "; no disagreement" in said
    assert "; 1 unsupported, 1 conflict" in said
    assert said.endswith(
        "1 of 2 pages disagree with a second reading, which may be wrong too:\n"
        "  OMITTED  UNSUPPORTED  CONFLICTS  PAGE\n"
        "  0        1            1          b.png, page 1\n"
    )


def test_what_cannot_be_checked_is_told_once_more_at_the_end(
    run: Run, answers: Answers, second: WrittenLines, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(ANSWER)
    second.lines = tuple(replace(line, text="") for line in READ)
    assert run(*CHECKED, "-o", "out") == 0
    said = capsys.readouterr().err
    assert "; cannot be checked" in said
    assert "2 could not be checked:\n  a.png, page 1: Most of the print" in said


def test_a_page_that_an_earlier_run_left_keeps_its_check(
    run: Run, answers: Answers, second: WrittenLines, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers(ANSWER.replace("1904", "1906") + " And the sea was loud.")
    add = Folder.add
    monkeypatch.setattr(Folder, "add", lambda self, entry: (_ for _ in ()).throw(OSError(28, "No space left")))
    run(*CHECKED, "-o", "out", "--format", "json")
    monkeypatch.setattr(Folder, "add", add)
    seen = len(second.seen)
    assert run(*CHECKED, "-o", "out", "--format", "json", "--resume") == 0
    assert len(second.seen) == seen
    (result,) = json.loads(Path("out/a.json").read_text())["pages"]
    assert result["check"]["conflicts"][0]["answer"] == "1906"
    assert result["check"]["unsupported"][0]["bbox"] is None


@pytest.mark.parametrize(
    ("request_", "is_ready", "is_checked"),
    [
        (Request(model="deepseek-ocr"), True, True),
        (Request(model="deepseek-ocr"), False, False),
        (Request(model="deepseek-ocr", task="Describe Image"), True, False),
        (Request(model="deepseek-ocr-tiny"), True, False),
        (Request(model="pp-ocr"), True, False),
    ],
)
def test_a_check_is_the_default_where_it_can_be_made_and_takes_little_beside_the_model(
    monkeypatch: pytest.MonkeyPatch, request_: Request, is_ready: bool, is_checked: bool
) -> None:
    monkeypatch.setattr("ocr.reading.reader.status", lambda *_: SimpleNamespace(is_ready=is_ready))
    assert Reader(Settings()).checks_by_default(request_) is is_checked


def test_a_wrong_orient_and_a_check_of_nothing_are_wrong_usage(
    run: Run, second: WrittenLines, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("read", "a.png", "--orient", "45") == 2
    assert "'45' must be, or unambiguously begin, one of: auto, off, 90, 180, 270" in capsys.readouterr().err
    assert run("read", "a.png", "--task", "describe", "--check") == 2
    assert "error: --check would have no effect here" in capsys.readouterr().err


@pytest.fixture(scope="module")
def reader() -> LineReader:
    found = status("pp-ocr", PROJECT / "checkpoints")
    if not found.is_ready:
        pytest.skip(f"the weights of pp-ocr are {found.summary}")
    return LineReader.load(found.folder, threads=1)


def printed() -> Image.Image:
    """A small page of five lines."""
    sheet = Image.new("RGB", (600, 700), "white")
    for number in range(5):
        words = f"Line {number + 1} of this page is read"
        ImageDraw.Draw(sheet).text((60, 80 + 90 * number), words, "black", ImageFont.load_default(30))
    return sheet


def test_a_printed_page_is_turned_upright_from_every_side(reader: LineReader) -> None:
    for turned in (0, 90, 180, 270):
        found = upright(DrawnPage(printed().rotate(-turned, expand=True)), "auto", reader)
        assert (turned + found.turned) % 360 == 0
        assert found.image == printed()


def test_a_drawing_without_print_is_not_turned(reader: LineReader) -> None:
    drawing = Image.effect_noise((500, 700), 60).convert("RGB")
    ImageDraw.Draw(drawing).ellipse((100, 100, 400, 600), "green")
    for turned in (0, 90, 180, 270):
        assert upright(DrawnPage(drawing.rotate(turned, expand=True)), "auto", reader).turned == 0

"""What is told of texts that cannot stand on a page, and what is not told of those that can."""

import json
from pathlib import Path
from random import Random

import pytest

from bench.implausible import GARBAGE, NOISE, TEXTS, noise
from ocr.checking.plausible import MOST_TEXT, implausible
from ocr.faces.cli.doctor import State, examine
from ocr.models.catalog import MODELS, demo_note
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import Settings
from ocr.types import Decoding, PageResult
from tests.growth import LINEAR, growth
from tests.pictures import page
from tests.scripted import scripted


@pytest.mark.parametrize("name", TEXTS)
def test_nothing_is_told_of_a_text_that_a_page_can_have(name: str) -> None:
    assert implausible(TEXTS[name]) == ""


@pytest.mark.parametrize("path", sorted(Path("examples").glob("*.md")), ids=str)
def test_nothing_is_told_of_the_examples(path: Path) -> None:
    assert implausible(path.read_text()) == ""


def test_nothing_is_told_of_the_golden_answers() -> None:
    lines = json.loads(Path("tests/golden/pp_ocr/lines.json").read_text())
    answers = json.loads(Path("tests/golden/dots/layout_answers.json").read_text())
    for golden in (lines, answers):
        for each in golden.values() if isinstance(golden, dict) else golden:
            assert implausible(json.dumps(each, ensure_ascii=False)) == ""


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_told(name: str) -> None:
    assert implausible(GARBAGE[name])


def test_noise_of_the_embedded_model_is_told_where_there_is_much_of_it() -> None:
    told = [bool(implausible(text)) for text in noise()]
    assert sum(told) >= NOISE


def test_a_short_text_is_not_judged() -> None:
    assert implausible("xqzt kvvv 8gh7") == implausible("") == ""


def test_what_a_text_takes_is_in_proportion_to_it() -> None:
    random = Random(1)
    letters = "".join(random.choice("abc ef\n$[<") for _ in range(MOST_TEXT))
    assert growth(lambda size: implausible(letters[:size]), MOST_TEXT) < LINEAR


def read(answer: str, request: Request, monkeypatch: pytest.MonkeyPatch) -> PageResult:
    monkeypatch.setattr(Reader, "engine", lambda self, model: scripted(answer))
    *_, result = Reader(Settings()).read(request, [(1, page())], Decoding())
    assert isinstance(result, PageResult)
    return result


def test_a_page_whose_answer_is_noise_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Request(model="deepseek-ocr", task="Free OCR", resolution="Tiny", orient="off")
    (problem,) = read(GARBAGE["letters in another's place"], free, monkeypatch).problems
    assert problem.startswith("The text reads as noise: ")
    assert read(TEXTS["German"], free, monkeypatch).problems == ()
    described = Request(model="deepseek-ocr", task="Describe Image", resolution="Tiny", orient="off")
    assert read(GARBAGE["letters in another's place"], described, monkeypatch).problems == ()


def test_a_demo_model_says_that_it_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(model="deepseek-ocr-tiny", task="Free OCR", orient="off")
    (problem,) = read("A page.", request, monkeypatch).problems
    assert problem == demo_note("deepseek-ocr-tiny")
    assert problem.startswith("deepseek-ocr-tiny is a demo model")
    assert "`script/ocr weights fetch deepseek-ocr` gets a real one" in problem
    assert [name for name in MODELS if demo_note(name)] == ["deepseek-ocr-tiny"]


def test_the_doctor_tells_a_demo_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_MODELS", "deepseek-ocr-tiny")
    (auto,) = (finding for finding in examine() if finding.what == "auto")
    assert (auto.state, "a demo model" in auto.says) == (State.NOTE, True)

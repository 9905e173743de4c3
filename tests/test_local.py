"""The command line that stands in for `cog predict`, without a server."""

import base64
import json
from pathlib import Path

import pytest

from ocr.errors import InputError, OCRError, SetupError
from ocr.faces.cog.client import parse_inputs
from ocr.faces.cog.failures import failure
from ocr.faces.cog.main import main
from ocr.faces.cog.server import worker_text
from tests.pictures import encoded, page


def test_inputs_are_read_by_their_types(tmp_path: Path) -> None:
    path = tmp_path / "a page.png"
    path.write_bytes(encoded(page()))
    inputs = parse_inputs([f"image=@{path}", "max_new_tokens=12", "prompt=a=b", "task_type=Free OCR"])
    assert inputs == {
        "image": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode(),
        "max_new_tokens": 12,
        "prompt": "a=b",
        "task_type": "Free OCR",
    }


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("imag=@x", "'imag=@x' is no input.*image, task_type"),
        ("image", "'image' is no input"),
        ("image=@/nowhere/x.png", "'/nowhere/x.png' cannot be read: No such file"),
        ("max_new_tokens=many", "'many'; it must be a whole number"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(pair: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=words):
        parse_inputs([pair])
    assert main(["predict", "-i", pair]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_only_what_the_predictor_prints_is_passed_on() -> None:
    def line(message: str, **fields: str) -> str:
        return json.dumps({"level": "INFO", "fields": {"message": message, **fields}, "target": "coglet"})

    assert worker_text(line("Fetched 10%", source="Stderr")) == "Fetched 10%"
    assert worker_text(line("Server ready")) == ""
    assert worker_text(line("x:1: DeprecationWarning: old", source="Stderr")) == ""
    assert worker_text("not json") == ""


@pytest.mark.parametrize(
    ("told", "kind", "message"),
    [
        ("Prediction failed: Prediction failed: InputError: Wrong.", InputError, "Wrong."),
        (
            "Loaded one.\nworker setup failed: worker setup failed (slot 1f-2a): Setup failed: setup failed: "
            "SetupError: No weights.",
            SetupError,
            "No weights.",
        ),
        (
            "Prediction failed: InputError: 'a' is an InputError: b\nand c",
            InputError,
            "'a' is an InputError: b\nand c",
        ),
        ("Prediction failed: KeyError: 'x'", OCRError, "Prediction failed: KeyError: 'x'"),
        ("The prediction ended as canceled.", OCRError, "The prediction ended as canceled."),
    ],
)
def test_the_predictors_own_error_comes_out_of_what_the_server_says(
    told: str, kind: type[OCRError], message: str
) -> None:
    error = failure(told)
    assert (type(error), str(error)) == (kind, message)

"""An error's message, and the name that each face gives the option it is about."""

import copy
import io
import logging
import sys
from pathlib import Path

import pytest

from ocr.errors import LONGEST, InputError, ModelError, SetupError, shortened
from ocr.faces import failures
from ocr.faces.cli import options
from ocr.faces.cog.schema import openapi

ERROR = InputError("is 'x'; it must be one of: a, b.", "reference")


def test_each_face_calls_an_option_by_its_own_name() -> None:
    assert str(ERROR) == "reference is 'x'; it must be one of: a, b."
    assert ERROR.named(failures.INPUTS) == "reference_text is 'x'; it must be one of: a, b."
    assert ERROR.named(options.NAMES) == "--reference is 'x'; it must be one of: a, b."


def test_a_message_about_no_option_is_the_same_everywhere() -> None:
    for error in (InputError("The file is empty."), SetupError("No memory.")):
        assert str(error) == error.named(options.NAMES) == error.args[0]


def test_a_copy_of_an_error_is_about_the_same_option() -> None:
    assert copy.copy(ERROR).named(options.NAMES) == ERROR.named(options.NAMES)


def test_the_core_speaks_of_no_input_of_cogs() -> None:
    inputs = set(failures.INPUTS.values())
    assert inputs <= set(openapi(Path("predict.py").read_text())["components"]["schemas"]["Input"]["properties"])
    for path in Path("ocr").rglob("*.py"):
        if "faces" not in path.parts and path != Path("ocr/reading/request.py"):
            assert not any(name in path.read_text() for name in inputs), path


def test_a_long_message_keeps_its_beginning_and_its_end() -> None:
    assert shortened("x" * LONGEST) == "x" * LONGEST
    short = shortened("The pages " + "1," * 5_000_000 + " cannot be read.")
    assert len(short) <= LONGEST
    assert short.startswith("The pages 1,1,")
    assert short.endswith(",1, cannot be read.")


@pytest.mark.parametrize(
    ("error", "kind", "start"),
    [
        (InputError("is " + "x" * 9_000_000, "reference"), InputError, "reference_text is xx"),
        (SetupError("x" * 9_000_000), SetupError, "xx"),
        (ModelError("x" * 9_000_000), ModelError, "xx"),
        (ValueError("x" * 9_000_000), RuntimeError, "ValueError: xx"),
        (ValueError("Short."), ValueError, "Short."),
        (InputError("Short."), InputError, "Short."),
    ],
    ids=lambda value: str(value)[:20],
)
def test_no_message_that_goes_out_through_cog_is_long(error: Exception, kind: type, start: str) -> None:
    with pytest.raises(kind) as raised, failures.told_in_short():
        raise error
    assert str(raised.value).startswith(start)
    assert len(str(raised.value)) <= LONGEST


def test_no_line_of_the_log_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(logging.root, "handlers", [])
    failures.log_to_stderr()
    try:
        raise ValueError("x" * 9_000_000)
    except ValueError:
        logging.getLogger("ocr").exception("It failed.")
    assert shown.getvalue().startswith("It failed.\nTraceback")
    assert len(shown.getvalue()) <= LONGEST + 1

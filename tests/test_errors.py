"""An error's message, and the name that each face gives the option it is about."""

import copy
from pathlib import Path

from ocr.errors import InputError, SetupError
from ocr.faces.cli import options
from ocr.faces.cog import failures
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

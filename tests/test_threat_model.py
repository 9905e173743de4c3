"""docs/threat-model.md says what is: its settings, constants, defaults and tests are there."""

import importlib
import re
from pathlib import Path

import pytest

from ocr.faces.gateway.main import cli
from ocr.settings import VARIABLES, Settings

PROJECT = Path(__file__).resolve().parent.parent
TEXT = (PROJECT / "docs" / "threat-model.md").read_text()
ROWS = [[cell.strip(" `") for cell in line.strip("|").split(" | ")] for line in TEXT.splitlines() if "::test_" in line]
LIMITS = [(row[2], row[3]) for row in ROWS if len(row) == 5 and row[2] != "-"]
TESTS = re.findall(r"`(test_\w+\.py)::(test_\w+)`", TEXT)


def test_there_are_limits_and_tests_to_look_at() -> None:
    assert len(LIMITS) > 15
    assert len(TESTS) > 25
    assert all(len(row) in (1, 5) for row in ROWS)


@pytest.mark.parametrize(("name", "default"), LIMITS)
def test_a_limit_is_there_and_has_this_default(name: str, default: str) -> None:
    if name.startswith("OCR_GATEWAY_"):
        (value,) = [option.default for option in cli.params if name == getattr(option, "envvar", None)]
    elif name.startswith("OCR_"):
        (field,) = [field for field, (variable, _) in VARIABLES.items() if variable == name]
        value = getattr(Settings(), field)
    else:
        module, _, constant = name.rpartition(".")
        value = getattr(importlib.import_module(module), constant)
    assert str(value) == default


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_a_test_that_is_named_is_there(file: str, name: str) -> None:
    assert f"def {name}(" in (PROJECT / "tests" / file).read_text()


def test_the_settings_that_bound_strangers_are_all_named() -> None:
    bounding = {variable for variable, _ in VARIABLES.values() if re.match("OCR_(MAX|FETCH|DEADLINE)", variable)}
    assert bounding <= {name for name, _ in LIMITS}


def test_security_names_the_files_it_links_to() -> None:
    for document in ("SECURITY.md", "docs/threat-model.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (PROJECT / document).read_text()):
            assert (PROJECT / document).parent.joinpath(link).exists(), link

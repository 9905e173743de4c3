"""The commands of README.md, CONTRIBUTING.md and docs/: run as they stand there, or known to the program they call."""

import contextlib
import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click
import pytest

from ocr.faces.cli.main import cli as ocr
from ocr.faces.cog.main import cli as cog
from ocr.faces.cog.schema import openapi
from ocr.faces.gateway.main import cli as gateway
from ocr.faces.serving import cli as serve
from ocr.settings import VARIABLES
from ocr.weights import commands as weights
from ocr.weights.status import status
from tests.pdfs import words as words_at
from tests.pdfs import written

PROJECT = Path(__file__).resolve().parent.parent
PAGES = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", PROJECT / "SECURITY.md", *(PROJECT / "docs").rglob("*.md")]
BLOCK = re.compile(r"^ *```(sh|console)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`((?:script/|\.venv/bin/|python -m |ocr |cog |pip |uvx |pipx )[^`\n]+)`")
OPERATORS = re.compile(r"[|&;()<>]+")

# Commands whose words nothing here knows, and why.
NOT_KNOWN = {
    ".venv/bin/ray": "a program of Ray's, which no test installs",
    "apt-get": "a program of the system, which changes it",
    "base64": "a program of the system",
    "cd": "a part of the shell",
    "cog": "needs Docker and Cog's own program",
    "curl": "a program of the system; tests/test_http_clients.py runs the whole line",
    "cut": "a program of the system",
    "docker": "needs a Docker daemon",
    "echo": "a part of the shell",
    "git": "the address of the repository is not known here",
    "printf": "a part of the shell",
    "tr": "a program of the system",
}
ELSEWHERE = {"OCR_API_KEY": "a setting of LibreChat"}  # names that look like settings of this project, and are none

# Commands that are run, in this order, each as it stands on its page.
RUN = {
    "script/ocr read examples/statement.jpg -o out --format md,json,annotated": "README.md",
    "script/ocr read scans/ -o out --pages 1-3 --resume --log out.log": "docs/cli.md",
    "script/ocr report out": "docs/cli.md",
    "script/ocr read report.pdf --text-layer auto --format md,json -o out": "docs/text-layer.md",
    ".venv/bin/python weights.py verify": "docs/weights.md",
    ".venv/bin/python weights.py list": "docs/weights.md",
}


def lines(page: Path) -> list[str]:
    """The commands of a page as they are written, in fences and between backticks: each is a line for the shell."""
    text = page.read_text()
    found = []
    for kind, block in BLOCK.findall(text):
        written = re.sub(r"(\||\\)\n\s+", r"\1 ", textwrap.dedent(block)).splitlines()
        found += written if kind == "sh" else [line[2:] for line in written if line.startswith("$ ")]
    return [*filter(None, found), *INLINE.findall(BLOCK.sub("", text))]


def commands(line: str) -> list[list[str]]:
    """The words of each command of a line, without what it reads and writes, settings before it, and comments."""
    words = shlex.shlex(line, posix=True, punctuation_chars=True)
    words.whitespace_split = True
    found: list[list[str]] = [[]]
    is_file = False
    for word in words:
        if OPERATORS.fullmatch(word):
            is_file = word.strip("<>") == ""
            if not is_file:
                found.append([])
        elif is_file:
            is_file = False
        elif found[-1] or not re.match(r"[A-Z_]+=", word):
            found[-1].append(word)
    return [command for command in found if command]


def parsed(command: click.Command, words: Sequence[str]) -> None:
    """Raise an error unless a program takes these words."""
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        command, words = command.commands[words[0]], words[1:]
    if words:  # else it is named alone
        with contextlib.suppress(click.exceptions.Exit), command.make_context("", list(words)):  # Exit: after --version
            pass


def of_ocr(words: Sequence[str]) -> None:
    if words[:1] == ["weights"]:
        of_weights(words[1:])
    elif words:
        parsed(ocr, words)


def of_weights(words: Sequence[str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "COMMANDS", dict.fromkeys(weights.COMMANDS, lambda _models, _root: 0))
        assert weights.main([word.replace("MODEL", "pp-ocr") for word in words]) == 0


def of_predict(words: Sequence[str]) -> None:
    if words:
        parsed(cog, ["predict", *words])
    given = {word.partition("=")[0] for option, word in itertools.pairwise(words) if option == "-i"}
    assert given <= set(openapi((PROJECT / "predict.py").read_text())["components"]["schemas"]["Input"]["properties"])


def of_serve(words: Sequence[str]) -> None:
    with serve.make_context("", list(words)) as context:
        parsed(gateway, context.params["options"])


def of_python(words: Sequence[str]) -> None:
    if words[0] == "-c":
        compile(words[1], "", "exec")
    elif words[0] == "weights.py":
        of_weights(words[1:])
    elif words[1] == "pip":
        of_pip(words[2:])
    elif words[1] == "pytest":
        of_pytest(words[2:])
    else:
        of_module(*words[1:])


def of_module(name: str, *words: str) -> None:
    found = importlib.util.find_spec(name)
    assert found and found.origin, name
    path = Path(found.origin)
    source = (path.with_name("__main__.py") if path.name == "__init__.py" else path).read_text()
    for option in (word for word in words if word.startswith("-")):
        assert f'"{option}"' in source, option


def of_pytest(words: Sequence[str]) -> None:
    for word in words:
        assert (PROJECT / word).exists() or not word.startswith("tests"), word


def of_gpu_check(words: Sequence[str]) -> None:
    assert set(words) <= {"wheels"} and "= wheels ]" in (PROJECT / "script" / "gpu-check").read_text()


def of_pip(words: Sequence[str]) -> None:
    extras = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"]["dynamic"]
    for extra in re.findall(r"\[(\w+)\]", " ".join(words)):
        assert extra in extras["optional-dependencies"], extra
    for option, file in itertools.pairwise(words):
        assert option != "-r" or (PROJECT / file).is_file(), file


def of_uvx(words: Sequence[str]) -> None:
    """Also pipx: the words after the name of this project's program."""
    names = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["scripts"]
    start = next((n for n, word in enumerate(words) if word in names), len(words))
    of_ocr(words[start + 1 :])


PROGRAMS: Mapping[str, Callable[[Sequence[str]], None]] = {
    "ocr": of_ocr,
    "script/ocr": of_ocr,
    "script/predict": of_predict,
    "script/serve": of_serve,
    "script/test": of_pytest,
    "script/gpu-check": of_gpu_check,
    ".venv/bin/python": of_python,
    "python": of_python,
    "pip": of_pip,
    "pipx": of_uvx,
    "uvx": of_uvx,
}


def check(line: str) -> None:
    """Raise an error unless each command of a line is known to its program, or has a reason above."""
    for program, *words in commands(line):
        if program not in NOT_KNOWN:
            PROGRAMS[program](words)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_command_of_a_page_is_known_to_its_program(page: Path) -> None:
    for line in lines(page):
        check(line)


@pytest.mark.parametrize(
    "line",
    [
        "script/ocr read page.jpg --colour",
        "script/ocr read page.jpg --format md,doc",
        "script/ocr sing",
        "script/ocr cluster read page.jpg -o out --colour",
        "script/ocr weights fetch no-model",
        "script/predict -i picture=@page.jpg",
        "script/serve --gateway-only --servers http://a:5000",
        ".venv/bin/python weights.py get",
        ".venv/bin/python -m training.sing",
        "echo | .venv/bin/python -m training.evaluate --sheets 3",
        ".venv/bin/python -m pytest tests/test_none.py",
        "pip install '.[all]'",
        "pip install -r requirements-all.txt",
        "no-program",
    ],
)
def test_a_command_that_is_not_known_is_found(line: str) -> None:
    with pytest.raises((click.UsageError, AssertionError, KeyError, SystemExit, ModuleNotFoundError)):
        check(line)


def test_every_reason_is_of_a_command_that_is_there() -> None:
    programs = {program for page in PAGES for line in lines(page) for program, *_ in commands(line)}
    assert set(NOT_KNOWN) <= programs
    assert programs <= NOT_KNOWN.keys() | PROGRAMS.keys()


def test_every_setting_that_is_named_is_one() -> None:
    settings = {name for name, _ in VARIABLES.values()} | {getattr(option, "envvar", None) for option in gateway.params}
    settings |= set(re.findall(r"\bOCR_\w+", (PROJECT / "script" / "environment").read_text()))
    for page in PAGES:
        named = set(re.findall(r"\bOCR_[A-Z_]*[A-Z]\b", page.read_text()))
        assert named <= settings | ELSEWHERE.keys(), page


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, str]]:
    """What each command of RUN prints, in a folder like a clone with documents in it, whose script sets up nothing."""
    if not status("pp-ocr", PROJECT / "checkpoints").is_ready:
        pytest.skip("the weights of pp-ocr are not here")
    clone = tmp_path_factory.mktemp("clone")
    for name in ("examples", "weights.py", "checkpoints/deepseek-ocr-tiny"):
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).symlink_to(PROJECT / name)
    for name, words in (("script/ocr", "-P -m ocr"), (".venv/bin/python", "")):
        (clone / name).parent.mkdir(parents=True)
        (clone / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {words} "$@"\n')
        (clone / name).chmod(0o755)
    (clone / "scans").mkdir()
    shutil.copy(PROJECT / "examples" / "table.png", clone / "scans")
    (clone / "report.pdf").write_bytes(written(words_at("The keeper lit the lamp.", 40, 220)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(clone)
        yield {line: said(line, clone) for line in RUN}


def said(line: str, clone: Path) -> str:
    root = clone / "checkpoints" if "weights.py" in line else PROJECT / "checkpoints"
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "OCR_MODELS": "pp-ocr", "OCR_CHECKPOINTS": str(root)}
    done = subprocess.run(["bash", "-c", line], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, (line, done.stderr)
    return done.stdout


@pytest.mark.parametrize(("line", "page"), RUN.items())
def test_what_is_run_stands_on_its_page(line: str, page: str) -> None:
    assert line in [written.partition("  #")[0].rstrip() for written in lines(PROJECT / page)]


@pytest.mark.usefixtures("printed")
def test_the_readme_shows_what_comes_out() -> None:
    readme = (PROJECT / "README.md").read_text()
    shown, sample = readme.split("| cut -c -100\n")[1].split("```")[0], readme.split("```json\n")[1].split("```")[0]
    assert [line[:100] for line in Path("out/statement.md").read_text().splitlines()] == shown.rstrip().splitlines()
    (page,), (shortened,) = (json.loads(text)["pages"] for text in (Path("out/statement.json").read_text(), sample))
    for element in page["elements"]:
        element["bbox"] = [round(side, 1) for side in element["bbox"]]
    for element in shortened.pop("elements"):
        assert any(element.items() <= each.items() for each in page["elements"])
    assert shortened.items() <= page.items()
    assert Path("out/statement.annotated/page-1.png").exists()


@pytest.mark.usefixtures("printed")
def test_documents_are_read_and_their_run_is_shown() -> None:
    assert "Rainfall" in Path("out/table.md").read_text() and "table.png" in Path("out.log").read_text()
    assert "Rainfall" in Path("out/report.html").read_text()
    (page,) = json.loads(Path("out/report.json").read_text())["pages"]
    assert (page["source"], page["markdown"].strip()) == ("text layer", "The keeper lit the lamp.")


def test_the_page_of_the_weights_shows_what_is_listed(printed: Mapping[str, str]) -> None:
    command = ".venv/bin/python weights.py list"
    assert f"$ {command}\n{printed[command]}```" in (PROJECT / "docs" / "weights.md").read_text()
    assert "deepseek-ocr-tiny: " in printed[".venv/bin/python weights.py verify"]

"""The one ladder of exit statuses that the command line and Cog's commands end by."""

import subprocess
import sys
from collections.abc import Callable

import click
import pytest

from ocr.errors import InputError, ModelError, SetupError
from ocr.faces import exits
from ocr.faces.cli import main as cli
from ocr.faces.cog import main as cog


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        (InputError("is empty.", "reference"), 2, "error: --reference is empty."),
        (click.BadParameter("no"), 2, "error: Invalid value: no\nSee: it --help"),
        (SetupError("No weights."), 1, "error: No weights."),
        (ModelError("Nothing came."), 1, "error: Nothing came."),
        (FileNotFoundError(2, "No such file", "a.txt"), 1, "error: No such file 'a.txt'"),
        (KeyboardInterrupt(), 130, "Interrupted."),
    ],
)
def test_what_a_command_raises_is_a_status_and_a_line(
    raised: BaseException, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise raised

    assert exits.run(click.Command("it", callback=fail), "it", [], {"reference": "--reference"}) == status
    assert capsys.readouterr() == ("", f"{words}\n")


@pytest.mark.parametrize(("given", "status"), [(None, 0), (0, 0), (1, 1)])
def test_what_a_command_gives_back_is_its_status(given: int | None, status: int) -> None:
    assert exits.run(click.Command("it", callback=lambda: given), "it", [], {}) == status


def test_a_closed_pipe_ends_a_command_quietly() -> None:
    code = (
        "import sys, click; from ocr.faces import exits\n"
        "def talk():\n    while True: print('x' * 1000)\n"
        "sys.exit(exits.run(click.Command('it', callback=talk), 'it', [], {}))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(timeout=20) == 141


@pytest.mark.parametrize("main", [cli.main, cog.main])
@pytest.mark.parametrize(("words", "status"), [(["--help"], 0), (["-h"], 0), ([], 2), (["nothing"], 2)])
def test_every_command_line_ends_by_the_same_ladder(
    main: Callable[[list[str]], int], words: list[str], status: int
) -> None:
    assert main(words) == status

"""What the tests of fetching share: the tiny checkpoint's row, a pget, other processes, and looks at what is left."""

import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ocr.errors import SetupError
from ocr.weights.fetching import fetch
from ocr.weights.table import Checkpoint, File
from tests.hub import REPOSITORY, REVISION, SHARDS, Hub, checkpoint

PROJECT = Path(__file__).resolve().parent.parent
LARGE = SHARDS[0]
TENTHS = [tenth / 10 for tenth in range(10)]
TINY = Checkpoint(
    name="tiny",
    licence="MIT",
    total_bytes=100_000,
    repository=REPOSITORY,
    revision=REVISION,
    files=tuple(File(name) for name in checkpoint()),
)


def install_pget(folder: Path) -> None:
    folder.mkdir()
    script = (PROJECT / "tests" / "pget_double.py").read_text()
    (folder / "pget").write_text(f"#!{sys.executable} -IS\n{script}")
    (folder / "pget").chmod(0o755)


def failure(root: Path, name: str = "tiny") -> str:
    """What a fetch that must fail says."""
    with pytest.raises(SetupError) as caught:
        fetch(name, root, report=lambda line: None)
    return str(caught.value)


def left(root: Path) -> list[str]:
    """What is in root, but for the lock files that stay."""
    return sorted(path.name for path in root.iterdir() if not path.name.endswith(".lock"))


def aside(root: Path) -> set[str]:
    """The files that wait for the next start."""
    folder = root / ".tiny.partial"
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def own(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    for file, content in checkpoint().items():
        (folder / file).write_bytes(content)
    return folder


DRIVER = """
    import sys
    sys.path.insert(0, {project!r})
    {before}
    from ocr.weights import commands, network, table
    network.RETRY_PAUSES_S = (0.01, 0.01)
    table.checkpoints = lambda: {{"tiny": table.Checkpoint("tiny", "MIT", 100_000, {repository!r}, {revision!r},
        tuple(table.File(name) for name in {files!r}))}}
    sys.exit(commands.main(sys.argv[1:]))
"""


def start(hub: Hub, root: Path, *arguments: str, before: str = "") -> "subprocess.Popen[str]":
    """`python weights.py ARGUMENTS --root ROOT` in a process of its own, with the tiny checkpoint in its table."""
    code = DRIVER.format(
        project=str(PROJECT), before=before, repository=REPOSITORY, revision=REVISION, files=list(hub.files)
    )
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code), *arguments, "--root", str(root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def command(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, str(PROJECT / "weights.py"), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

"""Only what runs enters an image: .dockerignore lets in the code and the embedded model, and nothing of a checkout."""

import os
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
PATTERNS = [
    line.strip() for line in (PROJECT / ".dockerignore").read_text().splitlines() if line.strip() and line[0] != "#"
]


def is_ignored(path: str) -> bool:
    """By Docker's rules: a pattern also speaks of everything in a folder it names, and the last that speaks decides."""
    ignored = False
    for pattern in PATTERNS:
        bare = pattern.removeprefix("!").rstrip("/")
        parts = path.split("/")
        folders = ["/".join(parts[: end + 1]) for end in range(len(parts))]
        if any(_matches(folder, bare) for folder in folders):
            ignored = not pattern.startswith("!")
    return ignored


def _matches(path: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(path.rsplit("/", 1)[-1], pattern.removeprefix("**/"))
    return path.count("/") == pattern.count("/") and fnmatch(path, pattern)


def files(root: Path) -> Iterator[str]:
    for folder, _, names in os.walk(root):
        for name in names:
            yield (Path(folder) / name).relative_to(root).as_posix()


def entering(root: Path) -> list[str]:
    return [path for path in files(root) if not is_ignored(path)]


def test_all_that_runs_enters() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "ocr", "predict.py", "weights.py", "checkpoints"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("git does not know this folder")
    assert len(listed.stdout.split()) > 100
    assert not [path for path in listed.stdout.split() if is_ignored(path)]


def test_little_else_enters_however_a_checkout_was_used() -> None:
    found = entering(PROJECT)
    assert {path.split("/")[0] for path in found} <= {
        "ocr", "predict.py", "weights.py", "checkpoints", "LICENSE", "NOTICE", ".cog"
    }  # fmt: skip
    assert (
        sum((PROJECT / path).stat().st_size for path in found) < 30e6
    )  # bytes, of which the embedded model has 23 million


@pytest.mark.parametrize(
    "path",
    [
        ".venv/lib/python3.11/site-packages/torch/lib/libtorch_cpu.so",
        ".git/objects/pack/pack-1.pack",
        "checkpoints/deepseek-ocr/model-00001-of-000001.safetensors",
        "checkpoints/.deepseek-ocr.fetching/model.safetensors",
        "training/state/step-100.pt",
        "ocr/__pycache__/types.cpython-311.pyc",
        "page.pdf",
        "out/page.md",
    ],
)
def test_what_a_user_leaves_in_the_folder_stays_out(path: str) -> None:
    assert is_ignored(path)

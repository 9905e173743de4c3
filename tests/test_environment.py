"""What the scripts install: torch only where a model needs it, and not without a word about its size."""

import subprocess
from pathlib import Path

import pytest

STUBS = """
install_requirements() { echo "$*"; }
fetch_weights() { :; }
are_installed() { return 1; }
uname() { echo Linux x86_64; }
"""


def bash(code: str, tmp_path: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "OCR_CHECKPOINTS": str(tmp_path / "checkpoints"), **settings}
    command = ["bash", "-c", f". script/environment; {code}"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.parametrize(
    ("arguments", "setting", "folder", "installs"),
    [
        ("read page.jpg", "", "pp-ocr", "base"),
        ("read page.jpg --max-new-tokens 9", "pp-ocr", "deepseek-ocr-tiny", "base"),
        ("read page.jpg --model deepseek-ocr-tiny", "", "pp-ocr", "cpu"),
        ("-i image=@page.jpg -i model=dots.ocr", "", "pp-ocr", "cpu"),
        ("read page.jpg", "dots.ocr", "pp-ocr", "cpu"),
        ("read page.jpg", "", "deepseek-ocr", "cpu"),
        ("read page.jpg", "", "my-own", "cpu"),
    ],
)
def test_torch_is_installed_only_where_a_model_needs_it(
    tmp_path: Path, arguments: str, setting: str, folder: str, installs: str
) -> None:
    for name in ("pp-ocr", folder):
        (tmp_path / "checkpoints" / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "checkpoints" / "pp-ocr" / "weights.lock").touch()
    done = bash(f"{STUBS} install_reader {arguments}", tmp_path, OCR_MODELS=setting)
    assert done.stdout == f"requirements-{installs}.txt\n"


def test_torch_is_installed_where_pp_ocr_cannot_be_had(tmp_path: Path) -> None:
    done = bash(f"{STUBS} install_reader read page.jpg", tmp_path)
    assert done.stdout.split() == ["requirements-base.txt", "requirements-cpu.txt"]


@pytest.mark.parametrize("index", ["", "http://127.0.0.1:9/simple"])
def test_the_size_of_torch_is_told_unless_an_index_of_cpu_builds_is_named(tmp_path: Path, index: str) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    code = f"venv={tmp_path}; root={tmp_path}; touch {tmp_path}/requirements-cpu.txt; uname() {{ echo Linux x86_64; }}"
    said = bash(f"{code}; install_requirements requirements-cpu.txt", tmp_path, OCR_TORCH_INDEX=index).stderr
    assert ("2.8 GB" in said and "OCR_TORCH_INDEX" in said) is not bool(index)
    assert (f"--extra-index-url={index}" in said) is bool(index)
    assert "--quiet" not in said
    assert (tmp_path / ".installed-requirements-cpu.txt").exists()

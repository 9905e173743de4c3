"""The package: what is in its wheel, that it runs from there without torch, and that docs/python.md is true."""

import importlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import ocr
from ocr.types import PageResult
from tests.pdfs import page_of, stream, two_pages
from tests.test_architecture import pins

PROJECT = Path(__file__).resolve().parent.parent
PAGE = PROJECT / "docs" / "python.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
NOT_IN_BASE = ("torch", "transformers", "tokenizers", "safetensors", "cog", "starlette", "httpx_sse")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, built from a copy."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for part in ("pyproject.toml", "LICENSE", "NOTICE", "docs/python.md", *map(str, Path().glob("requirements*.txt"))):
        (source / part).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / part, source / part)
    shutil.copytree(PROJECT / "ocr", source / "ocr", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel's files, as an environment would have them."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def run(code: str, installed: Path) -> subprocess.CompletedProcess[str]:
    """Run code with the installed package, where nothing is that the base lacks, and no checkout is near."""
    missing = f"import sys; sys.modules.update(dict.fromkeys({NOT_IN_BASE}))\n"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed), "HOME": str(installed / "home")}
    command = [sys.executable, "-P", "-c", missing + code]
    return subprocess.run(command, cwd=installed, env=environment, capture_output=True, text=True)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {path.relative_to(PROJECT).as_posix() for path in (PROJECT / "ocr").rglob("*") if path.is_file()}
    assert names == {name for name in there if "__pycache__" not in name}
    assert {Path(name).suffix for name in names} <= {".py", ".typed", ".json", ".toml", ".html", ".css", ".js"}
    assert wheel.stat().st_size < 2**20


def test_the_wheels_metadata_are_this_projects(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = archive.read(name).decode()
    base = set(re.findall(r"^Requires-Dist: ([^;\n]+)$", metadata, re.MULTILINE))
    assert base == {f"{name}=={version}" for name, version in pins("requirements-base.txt").items()}
    assert f"\nVersion: {ocr.__version__}\n" in metadata
    assert set(re.findall(r"^Provides-Extra: (.+)$", metadata, re.MULTILINE)) == {"models", "gateway", "ray"}


def test_the_base_is_a_part_of_the_cpu_set() -> None:
    assert pins("requirements-base.txt").items() <= pins("requirements-cpu.txt").items()


def test_the_installed_command_runs_without_what_the_base_lacks(installed: Path) -> None:
    code = "from ocr.faces.cli.main import main\nfor words in (['--version'], ['models']): main(words)"
    done = run(code, installed)
    assert done.stdout.startswith(f"{ocr.__version__}\n"), done.stderr
    assert "absent; `ocr weights fetch pp-ocr`" in done.stdout
    assert not (installed / "checkpoints").exists()


def test_a_model_whose_libraries_are_missing_says_what_to_install(installed: Path) -> None:
    checkpoint = installed / "home" / ".local" / "share" / "ocr-pages" / "checkpoints"
    shutil.copytree(PROJECT / "checkpoints" / "deepseek-ocr-tiny", checkpoint / "deepseek-ocr-tiny")
    code = f"import ocr; next(iter(ocr.read({str(PROJECT / 'examples' / 'table.png')!r})))"
    assert "`pip install 'ocr-pages[models]'`" in run(code, installed).stderr


@pytest.mark.parametrize("example", EXAMPLES, ids=["a file", "a PDF", "a folder"])
def test_the_examples_of_the_page_run(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCR_MODELS", "pp-ocr" if (PROJECT / "checkpoints" / "pp-ocr").exists() else "deepseek-ocr-tiny")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(PROJECT / "examples")
    (tmp_path / "document.pdf").write_bytes(two_pages(page_of(5), stream(b""), page_of(5)))
    (tmp_path / "scans").mkdir()
    shutil.copy(PROJECT / "examples" / "table.png", tmp_path / "scans")
    (tmp_path / "scans" / "broken.png").write_bytes(b"no picture")
    exec(example, {})
    said = capsys.readouterr().out
    if "statement" in example:
        assert "Statement of harbour dues" in said
    elif "document.pdf" in example:
        assert said.startswith("1 blank ")
    else:
        assert "broken.png: " in said and "Sum" in (tmp_path / "scans" / "table.md").read_text()


def test_read_keeps_no_pictures_and_refuses_what_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OCR_MODELS", "deepseek-ocr-tiny")
    with (PROJECT / "examples" / "table.png").open("rb") as file:
        (page,) = ocr.read(file, max_new_tokens=4)
    assert isinstance(page, PageResult) and page.image is None and page.finish_reason == "length"
    errors = importlib.import_module("ocr.errors")
    for wrong in ({"task": "Sing"}, {"model": "none"}, {"pages": "x"}, {"dpi": 1}):
        with pytest.raises(errors.InputError, match=r"must be|Write it like|must be from"):
            next(iter(ocr.read(PROJECT / "examples" / "table.png", **wrong)))

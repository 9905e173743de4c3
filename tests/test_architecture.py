"""The design, checked: what a light start leaves out, what happens at import. Which way imports point is held by
import-linter: its contracts are in pyproject.toml, and script/test runs it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

WEIGHTS = [Path("weights.py"), *sorted(Path("ocr/weights").rglob("*.py"))]


@pytest.mark.parametrize("path", WEIGHTS, ids=str)
def test_weights_need_the_standard_library_alone(path: Path) -> None:
    top = {node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)}
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
    others = {name for name in names if name.split(".")[0] not in sys.stdlib_module_names}
    assert all(name == "ocr.errors" or f"{name}.".startswith("ocr.weights.") for name in others), others


@pytest.mark.parametrize(
    "module",
    [
        "predict",
        "ocr.faces.cog.main",
        "ocr.faces.cog.server",
        "ocr.faces.cli.main",
        "ocr.faces.cog.schema",
        "ocr.faces.gateway.main",
        "ocr.documents.document",
        "ocr.reading.reader",
        "weights",
    ],
)
def test_the_faces_start_without_torch(module: str) -> None:
    heavy = {"torch", "transformers", "tokenizers", "huggingface_hub"}
    code = f"import sys, {module}; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_evaluates_text() -> None:
    for path in [*Path("ocr").rglob("*.py"), Path("predict.py"), Path("weights.py")]:
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"eval", "exec", "compile"}, path


def test_every_requirement_is_pinned_and_explained() -> None:
    for name in map(str, Path().glob("requirements*.txt")):
        above = ""
        for line in Path(name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert "==" in line or " @ https://" in line, line
                assert "#" in line or above.startswith("#"), line
            above = line


def pins(name: str) -> dict[str, str]:
    lines = [line.split("#")[0].strip() for line in Path(name).read_text().splitlines()]
    return dict(line.split("==") for line in lines if "==" in line)


def test_both_images_have_the_same_versions_but_for_torch() -> None:
    gpu, cpu = pins("requirements.txt"), pins("requirements-cpu.txt")
    assert {name for name in gpu.keys() & cpu.keys() if gpu[name] != cpu[name]} == {"torch"}


def test_the_gateway_has_the_same_versions_as_the_images() -> None:
    gateway, cpu = pins("requirements-gateway.txt"), pins("requirements-cpu.txt")
    assert all(gateway[name] == cpu[name] for name in gateway.keys() & cpu.keys())

"""The design, checked: which way imports point, what a light start leaves out, what happens at import."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from ocr.settings import VARIABLES

# Each module may import those before it. reader is the first that knows of weights on disk.
LAYERS = (
    ("errors",),
    ("types",),
    ("catalog",),
    ("settings", "rules"),
    ("answers", "images", "json_text", "decoding", "hardware", "pdf_process"),
    ("layout_json", "scene_text", "pdf", "loading", "dots_vision", "engine"),
    ("layout", "documents"),
    ("matching", "repetition", "writers"),
    ("draw", "progress"),
    ("outputs",),
    ("sources",),
    ("deepseek", "dots", "attempts"),
    ("reader",),
    ("batch", "doctor"),
    ("cli",),
    ("schema",),
    ("local",),
)
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
WITH_TORCH = {"decoding", "hardware", "engine", "loading", "deepseek", "dots", "dots_vision"}


def imports(path: Path) -> set[str]:
    """What a file imports anywhere in it, by full name."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module))
    return found


@pytest.mark.parametrize("path", sorted(Path("ocr").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_imports_point_one_way(path: Path) -> None:
    ours = {name.removeprefix("ocr.") for name in imports(path) if name.startswith("ocr.")}
    assert all(LEVELS[name] < LEVELS[path.stem] for name in ours), ours


def test_engines_alone_import_torch() -> None:
    heavy = {"torch", "transformers", "tokenizers", "safetensors"}
    assert {
        path.stem for path in Path("ocr").glob("*.py") if {name.split(".")[0] for name in imports(path)} & heavy
    } == WITH_TORCH


def test_weights_need_the_standard_library_alone() -> None:
    top = {
        node for node in ast.parse(Path("weights.py").read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
    }
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {str(node.module) for node in top if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in names} <= sys.stdlib_module_names


@pytest.mark.parametrize(
    "module", ["predict", "ocr.local", "ocr.cli", "ocr.schema", "ocr.documents", "ocr.reader", "weights"]
)
def test_the_faces_start_without_torch(module: str) -> None:
    code = f"import sys, {module}; print(sorted({{'torch', 'transformers', 'huggingface_hub'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_evaluates_text() -> None:
    for path in [*Path("ocr").glob("*.py"), Path("predict.py"), Path("weights.py")]:
        calls = {
            node.func.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"eval", "exec", "compile"}, path


def test_the_readme_documents_every_setting() -> None:
    readme = Path("README.md").read_text()
    assert all(f"`{name}`" in readme for name, _ in VARIABLES.values())


def test_every_requirement_is_pinned_and_explained() -> None:
    for name in ("requirements.txt", "requirements-cpu.txt", "requirements-dev.txt"):
        above = ""
        for line in Path(name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert "==" in line or " @ https://" in line, line
                assert "#" in line or above.startswith("#"), line
            above = line


def test_both_images_have_the_same_versions_but_for_torch() -> None:
    def pins(name: str) -> dict[str, str]:
        lines = [line.split("#")[0].strip() for line in Path(name).read_text().splitlines()]
        return dict(line.split("==") for line in lines if "==" in line)

    gpu, cpu = pins("requirements.txt"), pins("requirements-cpu.txt")
    assert {name for name in gpu.keys() & cpu.keys() if gpu[name] != cpu[name]} == {"torch"}

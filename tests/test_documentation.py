"""README.md and docs/: short, linked without a gap, and of one mind with the code."""

import re
from pathlib import Path

import pytest

from ocr.faces.cli.options import parameters
from ocr.faces.cog.schema import openapi
from ocr.models.catalog import MODELS
from ocr.output.formats import FORMATS
from ocr.settings import VARIABLES, Settings, read_settings

PROJECT = Path(__file__).resolve().parent.parent
PAGES = [
    *PROJECT.glob("*.md"),
    *(
        path
        for folder in ("docs", "bench", "training", "checkpoints/deepseek-ocr-tiny")
        for path in (PROJECT / folder).rglob("*.md")
    ),
]
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as hosting sites make them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    """The links of a page that lead nowhere in this project."""
    found = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        is_web = link.startswith(("http://", "https://"))
        if not is_web and (not target.exists() or (anchor and anchor not in anchors(target))):
            found.append(link)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    assert broken(page) == []


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A heading\n[a](#a-heading) [b](#no-heading) [c](no.md) [d](page.md#a-heading)\n")
    assert broken(page) == ["#no-heading", "no.md"]


def test_the_readme_has_one_page() -> None:
    assert len((PROJECT / "README.md").read_text().splitlines()) <= 150


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, left = set[Path](), [PROJECT / "README.md"]
    while left:
        page = left.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            links = (
                link.partition("#")[0] for link in LINK.findall(CODE.sub("", page.read_text())) if "://" not in link
            )
            left += [(page.parent / link).resolve() for link in links if link]
    assert {path for path in PAGES if path.is_relative_to(PROJECT / "docs")} <= reached


def test_the_table_of_settings_has_every_variable_with_its_default() -> None:
    text = (PROJECT / "docs" / "settings.md").read_text()
    rows = dict(re.findall(r"^\| `(OCR_\w+)` \| ?`?([^|`]*?)`? \|", text, re.MULTILINE))
    of_scripts = re.findall(r"\bOCR_\w+", (PROJECT / "script" / "environment").read_text())
    assert set(rows) == {name for name, _ in VARIABLES.values()}.union(of_scripts)
    assert read_settings(rows) == Settings()


@pytest.mark.parametrize("name", FORMATS)
def test_the_page_of_the_command_line_has_the_format(name: str) -> None:
    assert re.search(
        rf"^\| `{name}` \| `NAME{re.escape(FORMATS[name].suffix)}",
        (PROJECT / "docs" / "cli.md").read_text(),
        re.MULTILINE,
    )


def test_the_page_of_the_command_line_has_every_option_of_read() -> None:
    text = (PROJECT / "docs" / "cli.md").read_text()
    for option in parameters()[1:]:
        assert any(f"`{name}" in text for name in option.opts if name.startswith("-")), option.opts


def test_the_page_of_the_http_api_has_every_input_with_its_default() -> None:
    text = (PROJECT / "docs" / "http.md").read_text()
    fields = openapi((PROJECT / "predict.py").read_text())["components"]["schemas"]["Input"]["properties"]
    for name, field in fields.items():
        row = re.search(rf"^\| `{name}` \| ?`?([^|`]*?)`? \|", text, re.MULTILINE)
        assert row, name
        assert row[1] == str(field.get("default", "")).replace("True", "true").replace("False", "false"), name


@pytest.mark.parametrize("model", MODELS)
def test_the_page_of_the_models_has_the_model(model: str) -> None:
    assert f"`{model}`" in (PROJECT / "docs" / "models.md").read_text()


def test_commits_are_checked_as_script_test_does() -> None:
    hooks = re.findall(r"entry: \.venv/bin/(.*)", (PROJECT / ".pre-commit-config.yaml").read_text())
    script = (PROJECT / "script" / "test").read_text().splitlines()
    start, end = script.index(hooks[0]), next(n for n, line in enumerate(script) if line.startswith("python -m pytest"))
    assert script[start:end] == hooks


def test_the_gpu_image_loads_the_model_that_is_documented() -> None:
    assert "OCR_MODELS=deepseek-ocr\n" in (PROJECT / "cog.yaml").read_text()
    assert "`cog.yaml` sets `OCR_MODELS=deepseek-ocr`." in (PROJECT / "docs" / "deploy.md").read_text()

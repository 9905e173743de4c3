"""`python -m ocr` as its users type it, in this process: the real stack on tiny weights, or with a scripted model."""

import json
import re
import weakref
from collections.abc import Sequence
from pathlib import Path

import docx
import jsonschema
import pypdfium2
import pytest
from PIL import Image

from ocr.documents.document import Document
from ocr.documents.page import DrawnPage
from ocr.errors import InputError
from ocr.models.catalog import MODELS
from ocr.models.tasks import TASKS
from ocr.output.drawing import annotate
from ocr.reading.reader import Reader
from ocr.types import Check, Element
from tests.commands import Answers, Run, files, write
from tests.pictures import page
from tests.strips import lines
from tests.test_document_schema import SCHEMA

ANSWER = (
    "<|ref|>title<|/ref|><|det|>[[0, 0, 999, 100]]<|/det|>\n# Größe\n\n"
    "<|ref|>image<|/ref|><|det|>[[0, 200, 500, 999]]<|/det|>\n"
)


def test_one_document_is_printed_as_plain_text(run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    answers(ANSWER)
    write("a.pdf", page(), page())
    assert run("read", "a.pdf") == 0
    assert capsys.readouterr().out == (
        "# Größe\n\n![](images/page-1-1.png)\n\n<--- Page Split --->\n\n# Größe\n\n![](images/page-2-1.png)\n"
    )


def test_several_documents_are_printed_below_their_names(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    write("a.png")
    write("b\n.png")
    assert run("read", "a.png", "b\n.png") == 0
    assert capsys.readouterr().out == "==> a.png <==\nsome text\n\n==> b\\n.png <==\nsome text\n"


def test_a_long_page_is_read_in_parts_unless_whole_pages_are_asked_for(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    write("a.png", lines((100, 1400), 40, pitch=34, font_px=16)[0])
    for option, text in (([], "above\n\nbelow"), (["--whole-pages"], "above")):
        answers("above", "below")
        assert run("read", "a.png", *option) == 0
        assert capsys.readouterr().out == text + "\n"


def test_json_is_printed_where_it_is_asked_for(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.pdf", page(), page())
    assert run("read", "a.pdf", "--format", "json", "--pages", "2") == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["page"] for entry in document["pages"]] == [2]


def test_json_lines_have_a_page_each_and_name_its_document(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.pdf", page(), page())
    write("ü\n.png")
    assert run("read", "a.pdf", "ü\n.png", "--jsonl") == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["document"], line["page"]) for line in lines] == [("a.pdf", 1), ("a.pdf", 2), ("ü\n.png", 1)]
    assert all(line["elements"] is not None and line["usage"] for line in lines)


def test_every_format_is_written_and_the_markdown_leads_to_the_figures(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers(ANSWER)
    write("my scan.pdf", page(400, 200))
    assert run("read", "my scan.pdf", "-o", "out", "--format", "md,json,annotated,figures", "--dpi", "72") == 0
    assert files() == [
        "my scan.annotated/page-1.png",
        "my scan.images/page-1-1.png",
        "my scan.json",
        "my scan.md",
    ]
    link = "![](my%20scan.images/page-1-1.png)"
    assert Path("out/my scan.md").read_text() == f"# Größe\n\n{link}\n"
    document = json.loads(Path("out/my scan.json").read_text())
    jsonschema.validate(document, SCHEMA)
    (read,) = document["pages"]
    assert read["markdown"] == f"# Größe\n\n{link}"
    with Image.open("out/my scan.images/page-1-1.png") as figure:
        assert figure.size == pytest.approx((200, 160), abs=1)
    with Image.open("out/my scan.annotated/page-1.png") as annotated:
        assert annotated.size == (400, 200)
        assert annotated.getpixel((0, 120)) != (255, 255, 255)  # the picture's frame
    assert capsys.readouterr().out == ""


def test_pixels_are_held_no_longer_than_their_page_is_read(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[weakref.ref[Image.Image]] = []
    held: list[int] = []
    draw = Document._page

    def noted(document: Document, number: int) -> DrawnPage | InputError:
        page = draw(document, number)
        assert isinstance(page, DrawnPage)
        drawn.append(weakref.ref(page.image))
        return page

    def annotated(image: Image.Image, elements: Sequence[Element], check: Check | None) -> Image.Image:
        held.append(sum(reference() is not None for reference in drawn))
        return annotate(image, elements, check)

    monkeypatch.setattr(Document, "_page", noted)
    monkeypatch.setattr("ocr.output.formats.annotate", annotated)
    answers("some text")
    write("a.pdf", *(page() for _ in range(8)))
    assert run("read", "a.pdf", "-o", "out", "--format", "annotated", "--batch", "2") == 0
    assert len(held) == 8
    assert max(held) <= 3  # a batch, and the page that a loop has just let go of


def test_by_default_a_folder_gets_the_markdown_and_what_it_links_to(run: Run, answers: Answers) -> None:
    answers(ANSWER)
    write("a.png")
    assert run("read", "a.png", "-o", "deep/out") == 0
    assert files("deep/out") == ["a.images/page-1-1.png", "a.md"]


@pytest.mark.parametrize(
    "name", ["two words.png", "naïve 文書 🦉.png", "line\nbreak\t.png", "100% (1) [x].png", "-.png"]
)
def test_any_file_name_is_kept(run: Run, answers: Answers, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    answers(ANSWER)
    write(name)
    assert run("read", "-o", "out", f"./{name}") == 0
    stem = name.removesuffix(".png")
    assert files() == [f"{stem}.images/page-1-1.png", f"{stem}.md"]
    assert all(line.count(".png") < 2 for line in capsys.readouterr().err.splitlines() if "page 1" in line)


def test_a_name_that_is_no_unicode_is_kept(run: Run, answers: Answers) -> None:
    answers(ANSWER)
    name = b"caf\xe9.png".decode("utf-8", "surrogateescape")
    try:
        write(name)
    except OSError:
        pytest.skip("this file system takes Unicode names alone")
    assert run("read", ".", "-o", "out", "--format", "md,json,figures") == 0
    assert "(caf%E9.images/page-1-1.png)" in Path("out", name).with_suffix(".md").read_text()
    assert run("read", ".", "-o", "out", "--resume") == 0


@pytest.mark.parametrize("letter", ["a", "ж", "文"])
def test_a_name_as_long_as_a_file_system_takes_gets_every_output(run: Run, answers: Answers, letter: str) -> None:
    answers(ANSWER)
    stem = letter * (251 // len(letter.encode()))
    write(f"{stem}.png")
    write(f"b/{stem}.png")
    for _ in range(2):  # the second run finds them whole
        assert run("read", "-o", "out", ".", "--format", "md,json,annotated,figures", "--resume") == 0
        suffixes = (".annotated/page-1.png", ".images/page-1-1.png", ".json", ".md")
        found = files()
        assert len(found) == 2 * len(suffixes)
        assert all(sum(name.endswith(suffix) for name in found) == 2 for suffix in suffixes)


def test_a_linked_folder_is_read_and_a_loop_told(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    write("elsewhere/a.png")
    Path("in").mkdir()
    Path("in/link").symlink_to(Path("elsewhere").resolve())
    Path("in/loop").symlink_to(Path("in").resolve())
    assert run("read", "in", "-o", "out") == 0
    assert files() == ["link/a.md"]
    assert f"in/loop leads to {Path.cwd()}/in, which is read already.\n" in capsys.readouterr().err


def test_two_inputs_of_one_name_both_survive(run: Run, answers: Answers) -> None:
    answers("first", "second", "third", "fourth")
    write("a/scan.png")
    write("b/scan.png")
    write("b/scan.pdf")
    write("c/SCAN.png")
    assert run("read", "a/scan.png", "b", "c", "-o", "out") == 0
    texts = {name: Path("out", name).read_text().strip() for name in files()}
    assert texts == {"scan.md": "first", "scan-2.md": "second", "scan-3.md": "third", "SCAN-4.md": "fourth"}


def test_folders_keep_their_folders(run: Run) -> None:
    write("in/x/scan.png")
    write("in/y/scan.png")
    assert run("read", "in", "-o", "out") == 0
    assert files() == ["x/scan.md", "y/scan.md"]


def test_one_unreadable_file_does_not_stop_the_batch(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("good.png")
    Path("bad\n.pdf").write_bytes(b"%PDF-1.7 nothing")
    Path("empty.png").touch()
    assert run("read", "bad\n.pdf", "empty.png", "gone.png", "no*.png", "good.png", "-o", "out") == 1
    assert files() == ["good.md"]
    *_, first, second, third, fourth = capsys.readouterr().err.splitlines()
    assert first.startswith("  bad\\n.pdf: The PDF is damaged")
    assert second.startswith("  empty.png: The file is empty")
    assert third == "  gone.png: It cannot be read: No such file or directory."
    assert fourth == "  no*.png: Nothing matches this pattern."


TABLE = "<|ref|>table<|/ref|><|det|>[[0, 100, 999, 200]]<|/det|>\n<table><tr><td>7</td><td>8</td></tr></table>\n"


def test_files_for_other_programs_hold_the_same_text(run: Run, answers: Answers) -> None:
    answers(ANSWER + TABLE)
    write("a.pdf", page(400, 200), page(400, 200))
    assert run("read", "a.pdf", "-o", "out", "--format", "txt,html,docx,pdf,pdf-pages,hocr,csv", "--dpi", "72") == 0
    assert files() == [
        "a.docx",
        "a.hocr",
        "a.html",
        "a.pages/page-1.pdf",
        "a.pages/page-2.pdf",
        "a.searchable.pdf",
        "a.tables/page-1-1.csv",
        "a.tables/page-2-1.csv",
        "a.txt",
    ]
    assert Path("out/a.txt").read_text() == "Größe\n\n7\t8\n\fGröße\n\n7\t8\n"
    assert Path("out/a.html").read_text().count('src="data:image/png;base64,') == 2
    assert len(docx.Document("out/a.docx").inline_shapes) == 2
    assert Path("out/a.tables/page-2-1.csv").read_bytes() == b"7,8\r\n"
    assert Path("out/a.hocr").read_text().count('class="ocr_carea"') == 6
    searchable = pypdfium2.PdfDocument("out/a.searchable.pdf")
    texts = [sheet.get_textpage().get_text_range().split() for sheet in searchable]
    assert texts == [["Größe", "7", "8"]] * 2


def test_a_page_that_could_not_be_drawn_is_in_the_pdf_and_says_so(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers("some text")
    page().save("a.tif", save_all=True, append_images=[page(800, 600), page()])
    with monkeypatch.context() as limited:
        limited.setenv("OCR_MAX_PIXELS", "30000")
        assert run("read", "a.tif", "-o", "out", "--format", "pdf,txt") == 1
    searchable = pypdfium2.PdfDocument("out/a.searchable.pdf")
    assert len(searchable) == 3
    assert searchable[1].render().to_numpy().min() < 100  # its words
    assert "[Page 2 could not be read: Page 2 has 800 x 600" in Path("out/a.txt").read_text()
    assert run("read", "a.tif", "-o", "out", "--format", "pdf,txt", "--resume") == 0
    again = pypdfium2.PdfDocument("out/a.searchable.pdf")
    assert [sheet.get_textpage().get_text_range().split() for sheet in again] == [["some", "text"]] * 3


def test_one_unreadable_page_does_not_stop_the_others(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    monkeypatch.setenv("OCR_MAX_PIXELS", "30000")
    page().save("a.tif", save_all=True, append_images=[page(800, 600), page()])
    assert run("read", "a.tif", "-o", "out", "--format", "md,json,annotated") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("  a.tif, page 2: Page 2 has 800 x 600")
    assert files() == ["a.annotated/page-1.png", "a.annotated/page-3.png", "a.json", "a.md"]
    assert "some text\n\n<--- Page Split --->\n\n<!-- Page 2 could not be read: " in Path("out/a.md").read_text()
    reasons = [entry["finish_reason"] for entry in json.loads(Path("out/a.json").read_text())["pages"]]
    assert reasons == ["stop", "error", "stop"]


def test_a_page_that_ends_early_is_listed_and_is_no_failure(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("".join(f"{number} " for number in range(100)))
    write("a.png")
    assert run("read", "a.png", "-o", "out") == 0
    *_, heading, line = capsys.readouterr().err.splitlines()
    assert (heading, line) == ("1 ended early; the text so far is kept:", "  a.png, page 1: length")


def test_a_page_with_problems_is_listed_and_is_no_failure(
    run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("fine", "<|ref|>text<|/ref|><|det|>[[1, 2]]<|/det|>\nWords")
    write("a.pdf", page(), page())
    assert run("read", "a.pdf", "-o", "out") == 0
    *lines, heading, line = capsys.readouterr().err.splitlines()
    assert lines[-2].endswith(" s, 1 problem")
    assert "problem" not in lines[-3]
    assert heading == "1 with problems; the rest of their text is kept:"
    assert line.startswith("  a.pdf, page 2: ")
    assert "[[1, 2]]" in line


def test_an_error_that_nobody_foresaw_ends_one_document_only(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    monkeypatch.setattr("ocr.output.formats.document_markdown", _out_of_luck)
    write("a.png")
    write("b.png")
    assert run("read", "a.png", "b.png", "-o", "out") == 1
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("  b")] == [
        "  b.png: RuntimeError: out of luck"
    ]
    assert files() == []


def _out_of_luck(_pages: object) -> str:
    raise RuntimeError("out of luck")


def test_a_folder_without_documents_is_one_clear_sentence(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in").mkdir()
    Path("in/notes.txt").touch()
    assert run("read", "in") == 1
    assert "in: The folder contains no documents; files are read if their names end in one of: .apng" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["read"], "error: Missing argument 'SOURCE...'"),
        (["read", "a.png", "--colour"], "error: No such option '--colour'"),
        (["models", "more"], "error: Got unexpected extra argument (more)"),
        (
            ["read", "a.png", "--format", "md,doc"],
            "'doc' is no format; it must be one of: md, json, txt, html, docx, pdf, hocr, annotated",
        ),
        (["read", "a.png", "--format", "annotated"], "--format is annotated; one of md, json can be printed"),
        (["read", "a.png", "b.png", "--format", "json"], "json of several documents cannot be printed as one"),
        (["read", "a.png", "--format", "md", "--jsonl"], "--jsonl and --format cannot both print"),
        (["read", "a.png", "--resume"], "name it with -o DIR"),
        (
            ["read", "a.png", "--task", "ocri"],
            "'ocri' must be, or unambiguously begin, one of: Convert to Markdown, Free OCR",
        ),
        (
            ["read", "a.png", "--model", "dots"],
            "'dots' must be, or unambiguously begin, one of: auto, deepseek-ocr, dots.ocr",
        ),
        (["read", "a.png", "--task", "spot", "--model", "deepseek"], "deepseek-ocr was not trained for 'Spot"),
        (["read", "a.png", "--task", "locate"], "--reference is empty; 'Locate Object by Reference' needs it"),
        (["read", "a.png", "--dpi", "9"], "'9' must be a whole number from 72 to 600"),
        (["read", "a.png", "--batch", "many"], "'many' must be a whole number from 1 to 64"),
        (["read", "a.png", "--pages", "1-x"], "--pages is '1-x'; '1-x' is no page or range"),
        (["read", "a.png", "-o", "a.png"], "The output folder a.png cannot be written: Not a directory"),
        (["read", "a.png", "-o", "a.png/out"], "The output folder a.png/out cannot be written: Not a directory"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Reader, "engine", lambda _reader, model: pytest.fail(f"{model} was loaded"))
    write("a.png")
    assert run(*words) == 2
    assert message in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    write("a.png")
    assert run("read", "a.png", "-o", "/proc/out\nput") == 2
    assert "The output folder /proc/out\\nput cannot be written: " in capsys.readouterr().err


def test_names_of_rows_may_be_begun_in_any_case(run: Run, answers: Answers) -> None:
    answers("some text")
    write("a.png")
    assert run("read", "a.png", "-o", "out", "--format=json", "--task", "free-ocr", "--model", "DEEPSEEK") == 0
    (read,) = json.loads(Path("out/a.json").read_text())["pages"]
    assert (read["model"], read["markdown"]) == ("deepseek-ocr", "some text")


def test_without_weights_nothing_is_read_and_the_command_that_fetches_them_is_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCR_CHECKPOINTS", "empty")
    write("a.png")
    assert run("read", "a.png") == 1
    assert "script/ocr weights fetch deepseek-ocr" in capsys.readouterr().err


def test_models_are_listed_with_their_weights(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("models") == 0
    out = capsys.readouterr().out
    rows = dict(line.split(maxsplit=1) for line in out.splitlines() if line.startswith(("deepseek", "dots")))
    assert re.match("MIT +about 100, .*ready in ", rows["deepseek-ocr"])
    absent = r"absent; `script/ocr weights fetch dots\.ocr`"
    assert re.match(rf"MIT \+ supplement +about 100 +Small +{absent}", rows["dots.ocr"])
    assert "absent; " in rows["deepseek-ocr-tiny"]
    assert "auto stands for deepseek-ocr." in out
    assert "The resolution Auto stands for Gundam (Recommended), and for what is listed" in out


def test_tasks_are_listed_with_the_models_that_have_them(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("tasks") == 0
    out = capsys.readouterr().out
    lines = {line.split("  ")[0]: re.findall(r" (yes|-)(?= |$)", line) for line in out.splitlines()}
    for task in TASKS:
        having = [model for model, has in zip(MODELS, lines[task], strict=True) if has == "yes"]
        assert having == [model for model, card in MODELS.items() if task in card.tasks]


def test_the_doctor_says_what_would_be_used(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("doctor") == 0
    findings = {line.split()[1]: line.split(maxsplit=2)[2] for line in capsys.readouterr().out.splitlines()[:-2]}
    assert findings["device"].startswith("cpu")
    assert (findings["dtype"], findings["attention"]) == ("float32", "sdpa")
    assert {"python", "settings", "torch", "weights", "auto", "pget", "flash-attn"} <= findings.keys()
    assert findings["resolution"] == "Auto stands for Gundam (Recommended) with deepseek-ocr"


@pytest.mark.parametrize(
    ("setting", "value", "words"),
    [
        ("OCR_DTYPE", "int4", "WRONG  settings    OCR_DTYPE is 'int4'; it must be one of"),
        ("OCR_ATTENTION", "flash_attention_2", "WRONG  device      OCR_ATTENTION is 'flash_attention_2', but"),
        ("OCR_MODELS", "dots.ocr", "WRONG  weights     dots.ocr: absent; `script/ocr weights fetch dots.ocr`"),
    ],
)
def test_the_doctor_says_what_is_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch, setting: str, value: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(setting, value)
    assert run("doctor") == 1
    assert words in capsys.readouterr().out


def test_broken_weights_are_wrong(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OCR_CHECKPOINTS", "weights")
    Path("weights/deepseek-ocr").mkdir(parents=True)
    assert run("doctor") == 1
    assert "WRONG  weights     deepseek-ocr: not whole: " in capsys.readouterr().out

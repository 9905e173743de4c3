"""What a second run with --resume does again, and what not."""

import json
from pathlib import Path

import pytest

from ocr.documents.document import Document
from tests.commands import Answers, Run, files, write
from tests.pictures import page


def texts(folder: str = "out") -> dict[str, str]:
    return {name: Path(folder, name).read_text().strip() for name in files(folder) if name.endswith(".md")}


def test_what_is_whole_is_not_read_again(run: Run, answers: Answers, capsys: pytest.CaptureFixture[str]) -> None:
    answers("first")
    write("a.png")
    assert run("read", "a.png", "-o", "out") == 0
    write("b.png")
    answers("second")
    assert run("read", "a.png", "b.png", "-o", "out", "--resume") == 0
    assert texts() == {"a.md": "first", "b.md": "second"}
    assert "a.png: whole already" in capsys.readouterr().err


def test_without_resume_everything_is_read_again(run: Run, answers: Answers) -> None:
    write("a.png")
    for text in ("first", "second"):
        answers(text)
        assert run("read", "a.png", "-o", "out") == 0
        assert texts() == {"a.md": text}


@pytest.mark.parametrize(
    "options",
    [
        ["--task", "free"],
        ["--prompt", "What is it?"],
        ["--dpi", "72"],
        ["--pages", "1"],
        ["--whole-pages"],
        ["--format", "md,json"],
    ],
    ids=lambda words: words[0],
)
def test_outputs_made_with_other_options_are_made_again(run: Run, answers: Answers, options: list[str]) -> None:
    write("a.pdf")
    answers("first")
    assert run("read", "a.pdf", "-o", "out", "--format", "md") == 0
    answers("second")
    assert run("read", "a.pdf", "-o", "out", "--format", "md", *options, "--resume") == 0
    assert texts() == {"a.md": "second"}


def test_other_content_under_the_same_name_is_read_again(run: Run, answers: Answers) -> None:
    answers("first")
    write("a.png")
    assert run("read", "a.png", "-o", "out") == 0
    answers("second")
    write("a.png", page(300, 300))
    assert run("read", "a.png", "-o", "out", "--resume") == 0
    assert texts() == {"a.md": "second"}


def test_a_file_that_was_deleted_is_made_again(run: Run, answers: Answers) -> None:
    answers("first")
    write("a.png")
    assert run("read", "a.png", "-o", "out", "--format", "md,json") == 0
    Path("out/a.json").unlink()
    assert run("read", "a.png", "-o", "out", "--format", "md,json", "--resume") == 0
    assert files() == ["a.json", "a.md"]


def test_of_a_document_with_failed_pages_those_alone_are_read_again(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("read", "a.tif", "-o", "out", "--format", "md,annotated")
    page().save("a.tif", save_all=True, append_images=[page(800, 600)])
    answers("first")
    with monkeypatch.context() as limited:
        limited.setenv("OCR_MAX_PIXELS", "30000")
        assert run(*command) == 1
        assert run(*command, "--resume") == 1
    assert "a.tif: 1 of 2 pages are there already" in capsys.readouterr().err
    assert files() == ["a.annotated/page-1.png", "a.md"]
    answers("second")
    assert run(*command, "--resume") == 0
    assert texts() == {"a.md": "first\n\n<--- Page Split --->\n\nsecond"}
    assert files() == ["a.annotated/page-1.png", "a.annotated/page-2.png", "a.md"]
    assert sorted(path.name for path in Path("out/.ocr").iterdir()) == ["record.jsonl", "report"]


def test_a_damaged_record_costs_a_second_reading_and_nothing_else(run: Run, answers: Answers) -> None:
    answers("first")
    write("a.png")
    assert run("read", "a.png", "-o", "out") == 0
    record = Path("out/.ocr/record.jsonl")
    record.write_bytes(b"[]\n7\n{}\nnull\n\xff\n" + record.read_bytes()[:-20])
    answers("second")
    assert run("read", "a.png", "-o", "out", "--resume") == 0
    assert texts() == {"a.md": "second"}


def interrupted_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Has someone press Ctrl-C when the page of this number is to be drawn."""
    draw = Document._page

    def drawn(document: Document, page: int) -> object:
        if page == number:
            raise KeyboardInterrupt
        return draw(document, page)

    monkeypatch.setattr(Document, "_page", drawn)


def test_an_interrupted_document_goes_on_after_its_last_page(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = "<|ref|>image<|/ref|><|det|>[[0, 200, 500, 999]]<|/det|>\n"
    write("a.pdf", page(), page(), page())
    command = ("read", "a.pdf", "-o", "out", "--format", "md,json,annotated,figures", "--batch", "1")
    answers(picture)
    with monkeypatch.context() as hurried:
        interrupted_at(3, hurried)
        assert run(*command) == 130
    assert "2 pages read, 0 documents done" in capsys.readouterr().err
    assert files() == []
    answers("third")
    assert run(*command, "--resume") == 0
    assert "a.pdf: 2 of 3 pages are there already" in capsys.readouterr().err
    pages = json.loads(Path("out/a.json").read_text())["pages"]
    assert [entry["markdown"] for entry in pages] == [
        "![](a.images/page-1-1.png)",
        "![](a.images/page-2-1.png)",
        "third",
    ]
    assert [len(entry["elements"]) for entry in pages] == [1, 1, 1]
    assert len(files()) == 2 + 3 + 2
    assert sorted(path.name for path in Path("out/.ocr").iterdir()) == ["record.jsonl", "report"]


def test_an_interrupted_document_begins_again_where_the_options_are_others(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("a.pdf", page(), page())
    answers("first")
    with monkeypatch.context() as hurried:
        interrupted_at(2, hurried)
        assert run("read", "a.pdf", "-o", "out", "--batch", "1") == 130
    answers("second")
    assert run("read", "a.pdf", "-o", "out", "--task", "free", "--resume") == 0
    assert texts() == {"a.md": "second\n\n<--- Page Split --->\n\nsecond"}


def test_what_was_done_before_ctrl_c_is_whole(
    run: Run, answers: Answers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers("some text")
    write("a.png")
    write("b.pdf", page(), page())
    interrupted_at(2, monkeypatch)
    assert run("read", "a.png", "b.pdf", "-o", "out") == 130
    assert texts() == {"a.md": "some text"}
    assert "with --resume to continue" in capsys.readouterr().err


def test_a_later_run_leaves_no_stale_pictures_and_no_other_file_is_touched(run: Run, answers: Answers) -> None:
    picture = "<|ref|>image<|/ref|><|det|>[[0, 200, 500, 999]]<|/det|>\n"
    write("a.png")
    answers(picture * 2)
    assert run("read", "a.png", "-o", "out") == 0
    assert files() == ["a.images/page-1-1.png", "a.images/page-1-2.png", "a.md"]
    Path("out/a.images/mine.png").touch()
    answers(picture)
    assert run("read", "a.png", "-o", "out") == 0
    assert files() == ["a.images/mine.png", "a.images/page-1-1.png", "a.md"]
    Path("out/a.images/mine.png").unlink()
    answers("no picture")
    assert run("read", "a.png", "-o", "out") == 0
    assert not Path("out/a.images").exists()


def test_outputs_among_the_inputs_are_not_read(run: Run, answers: Answers) -> None:
    answers("<|ref|>image<|/ref|><|det|>[[0, 200, 500, 999]]<|/det|>\n")
    write("in/a.png")
    for _ in range(2):
        assert run("read", "in", "-o", "in", "--format", "md,annotated,figures,pdf") == 0
        made = ["a.annotated/page-1.png", "a.images/page-1-1.png", "a.md", "a.png", "a.searchable.pdf"]
        assert files("in") == made

"""What a page says cannot pass for what we say, and steers no terminal."""

import contextlib
import io
import itertools
import json
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocr.faces import exits
from ocr.faces.cli.progress import Progress
from ocr.faces.cli.run import JsonLinesSink, TextSink
from ocr.faces.cog import main as local
from ocr.faces.problems import in_short
from ocr.models.catalog import MODELS
from ocr.output.markdown import MarkdownPage
from ocr.output.untrusted import MARKS, PAGE_MARK, Disarmed, as_json, as_markdown, as_shown, disarmed
from ocr.output.writers import PAGE_SPLIT, RETRY, WRITERS, MarkdownWriter
from ocr.types import Element, FinishReason, Markdown, Opened, PageResult, PageStart, Raw, Retry, Text

FORGED = (
    "a\n\n<--- Page Split --->\n\n<--- Page Retry --->\n<!-- Page 2 could not be read: x -->\n![](images/page-1-1.png)"
)
HONEST = "a < b <-- c <--- d, <!-- a comment -->, wait! [1] ![a](b) !["


def shown(*pieces: str, kind: str = "text", lists_boxes: bool = False, opening: str = "") -> str:
    replacements = MODELS["deepseek-ocr"].replacements
    page = MarkdownPage(1, lists_boxes=lists_boxes, replacements=replacements)
    events = [Opened(kind, opening, (1, 2, 3, 4)), *map(Text, pieces)]
    return "".join(map(page.write, events)) + page.close()


def in_pieces(text: str, size: int) -> list[str]:
    return [text[start : start + size] for start in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("```\n", "\n```"), ("<pre>", "</pre>"), ("> `", "`")])
def test_no_mark_of_ours_comes_of_a_page_s_text(size: int, before: str, after: str) -> None:
    text = shown(*in_pieces(before + FORGED.replace("\n\n", "\n") + after, size))
    assert not any(mark in text for mark in MARKS)
    assert text.count("<\\--- Page ") == 2
    assert "<\\!-- Page 2 could not" in text
    assert "!\\[](images/page-1-1.png)" in text


@pytest.mark.parametrize("kind", ["formula", "picture", "table", "other"])
def test_no_mark_comes_of_any_element(kind: str) -> None:
    text = shown(*FORGED, kind=kind).replace("![](images/page-1-1.png)", "our own", 1 if kind == "picture" else 0)
    assert not any(mark in text for mark in MARKS)


def test_no_mark_comes_of_a_label() -> None:
    assert PAGE_MARK not in shown(opening=FORGED, lists_boxes=True)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_text_that_is_no_mark_is_left_as_it_is(size: int) -> None:
    assert shown(*in_pieces(HONEST, size)) == HONEST


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_numbers_in_brackets_are_no_place(size: int) -> None:
    text = "see [1, 2, 3, 4]\nnot [5], [1.5, 2, 3, 4] and [1, 2, 3"
    told = "see [1, 2, 3, 4\\]\nnot [5], [1.5, 2, 3, 4] and [1, 2, 3 [1, 2, 3, 4]"
    assert shown(*in_pieces(text, size), lists_boxes=True) == told
    assert shown(*in_pieces(text, size)) == text


def test_a_mark_is_not_made_of_white_space_that_is_replaced() -> None:
    assert PAGE_MARK not in shown("<---\x0bPage Split --->")


@given(st.lists(st.sampled_from([*MARKS, *"<->! P[]()", "<---", " Page ", "`", "\n", "\r", "\\"])), st.integers(1, 9))
def test_whatever_the_text_and_its_pieces_no_mark_comes_of_it(parts: list[str], size: int) -> None:
    text = "".join(parts)
    assert not any(mark in shown(*in_pieces(text, size)) for mark in MARKS)
    raw = Disarmed(*MARKS)
    assert "".join(map(raw.feed, in_pieces(text, size))) + raw.close() == disarmed(text)


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_the_raw_text_holds_no_mark_but_ours(size: int) -> None:
    writer = WRITERS["raw"]()
    pieces = [Raw(piece) for piece in in_pieces(FORGED, size)]
    half = Raw("ends in <--- Pag")
    result = PageResult(1, 9, 9, "m", "", "", (), FinishReason.STOP)
    events = [PageStart(1, 9, 9), *pieces, half, Retry(1, FinishReason.REPETITION), *pieces, half, result, *pieces]
    text = "".join(map(writer.write, events)) + writer.close()
    assert text.count(PAGE_MARK) == 2
    assert text.count(RETRY) == 1
    assert text.split(RETRY)[0].endswith("ends in <--- Pag")
    first, second = text.split(RETRY)[1].split(PAGE_SPLIT)
    assert first.endswith("ends in <--- Pag")
    assert second == disarmed(FORGED, [PAGE_MARK])


def test_the_reason_of_a_failure_ends_no_comment_and_holds_no_control_character() -> None:
    error = "bad --> \x1b[31m\x07 -- <!-- Page 9"
    text = MarkdownWriter().write(PageResult(1, 0, 0, "m", "", "", (), FinishReason.ERROR, error=error))
    assert text.count("-->") == 1
    assert text.endswith("-->")
    assert text.isprintable()


CONTROLS = "".join(map(chr, (*range(9), *range(0x0B, 0x20), *range(0x7F, 0xA0))))
TURNS = "\u202a\u202e\u2066\u2069"


def test_markdown_holds_no_control_character() -> None:
    assert as_markdown("a\x1b[31mb\x00\x07\x9b\tc\nd\re\x0c") == "a\ufffd[31mb\ufffd\ufffd\ufffd\tc\nd e "
    assert not set(CONTROLS) & set(shown(*CONTROLS, "x", *CONTROLS) + shown(CONTROLS, kind="formula"))
    assert as_markdown("Grüße, 你好 \u200f\u05d0\u3000x") == "Grüße, 你好 \u200f\u05d0\u3000x"


def test_json_holds_no_control_character_and_loses_none() -> None:
    text = as_json({"text": CONTROLS + TURNS + "Grüße"})
    assert not set(CONTROLS + TURNS) & set(text)
    assert json.loads(text) == {"text": CONTROLS + TURNS + "Grüße"}
    assert "Grüße" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def reconfigure(self, **_: object) -> None:
        pass


@pytest.mark.parametrize("writer", ["raw", "markdown", "json"])
def test_nothing_steers_a_terminal_that_text_is_printed_on(writer: str) -> None:
    out = Terminal()
    sink = TextSink(out, WRITERS[writer]())
    text = f"Grüße\tand\n{CONTROLS}{TURNS}"
    element = Element("text", "text", None, text)
    result = PageResult(1, 9, 9, "m", text, text, (element,), FinishReason.STOP)
    for event in (PageStart(1, 9, 9), Raw(text), Markdown(text), element, result):
        sink.write(event)
    sink.close()
    assert not set(CONTROLS + TURNS) & set(out.getvalue())
    assert "Grüße" in out.getvalue()


def test_nothing_steers_the_terminal_of_a_prediction_without_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    out = Terminal()
    monkeypatch.setattr("sys.stdout", out)
    monkeypatch.setattr("ocr.faces.cog.main.LocalServer", lambda **_: contextlib.nullcontext(SimpleNamespace(url="")))
    monkeypatch.setattr("ocr.faces.cog.main.stream", lambda *_: iter(["Grüße\n", f"{CONTROLS}{TURNS}"]))
    assert local.main(["predict", "-i", "image=data:,x"]) == 0
    assert not set(CONTROLS + TURNS) & set(out.getvalue())
    assert out.getvalue().startswith("Grüße\n\\x00")


def test_a_file_gets_the_model_s_own_text_as_it_is() -> None:
    out = io.StringIO()
    sink = TextSink(out, WRITERS["raw"]())
    sink.write(Raw("\x1b[31m"))
    sink.close()
    assert out.getvalue() == "\x1b[31m\n"


@pytest.mark.parametrize("size", [1, 1000])
def test_no_line_of_a_page_passes_for_the_heading_of_a_document(size: int) -> None:
    out = io.StringIO()
    sink = TextSink(out, MarkdownWriter(), "==> a.png <==\n")
    for piece in in_pieces("==> b.png <==\nx ==> y\n==> c.png <==\n", size):
        sink.write(Markdown(piece))
    sink.close()
    assert out.getvalue() == "==> a.png <==\n\\==> b.png <==\nx ==> y\n\\==> c.png <==\n"


def test_lines_of_json_name_a_document_without_control_characters() -> None:
    out = io.StringIO()
    JsonLinesSink(out, f"{CONTROLS}.png").write(PageResult(1, 9, 9, "m", "", "", (), FinishReason.STOP))
    assert not set(CONTROLS) & set(out.getvalue())


def test_messages_hold_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_short([f"a{CONTROLS}{TURNS}b"]).isprintable()
    Progress(1).say(f"first{CONTROLS}\nsecond{TURNS}")
    assert exits.run(exits.click.Command("x"), "x", [f"--no\x1b[31m{TURNS}"], {}) == exits.WRONG_USAGE
    told = capsys.readouterr().err
    assert not set(CONTROLS + TURNS) & set(told)
    assert "\\x1b[31m" in told
    assert told.startswith("first")
    assert "\nsecond" in told


def test_what_a_terminal_shows_of_ordinary_text_is_the_text() -> None:
    assert as_shown("Grüße,\n\t你好\u3000\u00a0\u200f") == "Grüße,\n\t你好\u3000\u00a0\u200f"


def test_the_marks_are_those_that_the_formats_write() -> None:
    failed = PageResult(1, 0, 0, "m", "", "", (), FinishReason.ERROR, error="x")
    picture = MarkdownPage(1).write(Opened("picture", "", (0, 0, 1, 1)))
    for mark, written in zip(MARKS, (PAGE_SPLIT.strip(), MarkdownWriter().write(failed), picture), strict=True):
        assert written.startswith(mark)
    assert all(mark[0] in set(itertools.chain.from_iterable(MARKS)) for mark in MARKS)

"""Answers into markdown, results into JSON."""

import json
from collections.abc import Sequence
from dataclasses import replace

import pytest

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.output.writers import PAGE_SPLIT, RETRY, WRITERS, MarkdownPage, document_markdown, framed, metrics
from ocr.types import AnswerEvent, Element, FinishReason, Markdown, Opened, PageEvent, PageResult, Raw, Retry, Text


def markdown(events: Sequence[AnswerEvent], *, lists_boxes: bool = False) -> str:
    page = MarkdownPage(3, lists_boxes=lists_boxes)
    return "".join([*map(page.write, events), page.close()])


def grounded_markdown(answer: str, size: int) -> str:
    parser, page, out = PARSERS["grounded"](Scale(extent=(999, 999), page=(999, 999))), MarkdownPage(1), ""
    for start in range(0, len(answer), size):
        for event in parser.feed(answer[start : start + size]):
            out += page.write(event)
    for event in parser.close():
        out += page.write(event)
    return out + page.close()


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_a_grounded_answer_reads_as_clean_markdown(size: int) -> None:
    answer = (
        "<|ref|>header<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\nJournal of Things 12\n\n"
        "<|ref|>title<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\n# On Things\n\n"
        "<|ref|>image<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\n"
        "<|ref|>image_caption<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\nA thing.\n\n\n\nStill the caption.\n"
        "<|ref|>equation<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\n\\[a \\coloneqq b\\]\n\n"
        "<|ref|>text<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\nx \\eqqcolon y, \\color."
    )
    assert grounded_markdown(answer, size) == (
        "# On Things\n\n![](images/page-1-1.png)\n\nA thing.\n\nStill the caption.\n\n\\[a := b\\]\n\nx =: y, \\color."
    )


def test_formulas_are_display_blocks() -> None:
    events = [Opened("formula", "Formula"), Text("E = "), Text("mc^2 "), Opened("text", "Text"), Text("so")]
    assert markdown(events) == "$$\nE = mc^2\n$$\n\nso"


@pytest.mark.parametrize("formula", ["$$x$$", "\\[x\\]", "\\(x\\)", "$x$"])
def test_a_formula_that_brings_its_frame_keeps_it(formula: str) -> None:
    assert framed(f" {formula}\n") == formula
    assert framed("  ") == ""


def test_page_furniture_is_left_out() -> None:
    events = [
        Opened("header", "h"),
        Text("no"),
        Opened("text", "t"),
        Text("yes"),
        Opened("page_number", "p"),
        Text("7"),
    ]
    assert markdown(events) == "yes"


def test_a_picture_without_a_place_has_no_crop_to_link_to_and_is_not_counted() -> None:
    events = [Opened("picture", "p"), Text("A fox."), Opened("picture", "p", (1, 2, 3, 4))]
    assert markdown(events) == "A fox.\n\n![](images/page-3-1.png)"


def test_a_table_is_kept_whole() -> None:
    table = "<table><tr><td>1</td><td></td></tr></table>"
    assert markdown([Opened("table", "Table"), Text(table[:10]), Text(table[10:])]) == table


def test_where_the_places_are_the_answer_they_are_shown() -> None:
    events = [
        Opened("text", "", (10.4, 20, 30.6, 40)),
        Text("Total"),
        Opened("picture", "Picture", (1, 2, 3, 4)),
        Opened("header", "Page-header", (5, 6, 7, 8)),
        Opened("text", ""),
        Text("nowhere"),
    ]
    assert markdown(events, lists_boxes=True) == (
        "Total [10, 20, 31, 40]\n\nPicture [1, 2, 3, 4]\n\nPage-header [5, 6, 7, 8]\n\nnowhere"
    )


def test_the_text_does_not_wait_for_the_end_of_its_element() -> None:
    page = MarkdownPage(1)
    assert page.write(Opened("text", "text")) == ""
    assert page.write(Text("one ")) == "one"
    assert page.write(Text("two\n")) == " two"
    assert page.close() == ""


def result(page: int, finish: FinishReason = FinishReason.STOP) -> PageResult:
    return PageResult(
        page=page,
        width=100,
        height=50,
        model="deepseek-ocr",
        text="<|ref|>…",
        markdown="Größe",
        elements=(Element("text", "text", (1.04, 2, 3, 4.96), "Größe"), Element("other", "x")),
        finish_reason=finish,
        prompt_tokens=80,
        completion_tokens=10,
        image_tokens=73,
        time_to_first_token=0.5,
        seconds=2.0,
        problems=("One.",),
    )


def unread(page: int, error: str, **known: str) -> PageResult:
    """A page that could not be read, with what is known of it all the same."""
    nothing = {"text": "", "markdown": "", **known}
    return replace(
        result(page, FinishReason.ERROR), elements=(), error=error, completion_tokens=0, seconds=0, **nothing
    )


BLANK = replace(result(1, FinishReason.BLANK), markdown="", elements=(), completion_tokens=0, seconds=0.0)


def written(kind: str, events: Sequence[PageEvent]) -> str:
    writer = WRITERS[kind]()
    return "".join([*map(writer.write, events), writer.close()])


def test_each_output_takes_its_own_events() -> None:
    events = [Raw("<|ref|>a"), Markdown("a"), Raw("b"), Markdown("b"), result(1)]
    assert written("raw", events) == "<|ref|>ab"
    assert written("markdown", events) == "ab"
    assert json.loads(written("json", events))["pages"][0]["markdown"] == "Größe"


def test_pages_are_kept_apart_by_upstreams_mark() -> None:
    events = [Markdown("a"), result(1), result(2), Markdown("c"), result(3)]
    assert written("markdown", events) == "a" + PAGE_SPLIT + PAGE_SPLIT + "c"
    assert PAGE_SPLIT == "\n\n<--- Page Split --->\n\n"


@pytest.mark.parametrize("kind", ["markdown", "raw"])
def test_where_a_page_begins_again_a_mark_says_so(kind: str) -> None:
    text = {"markdown": Markdown, "raw": Raw}[kind]
    events = [text("a"), result(1), text("loop"), Retry(2, FinishReason.REPETITION), text("b"), result(2), text("c")]
    assert written(kind, events) == f"a{PAGE_SPLIT}loop{RETRY}b{PAGE_SPLIT}c"
    assert RETRY == "\n\n<--- Page Retry --->\n\n"


def test_a_retry_before_any_text_comes_after_the_mark_between_pages() -> None:
    events = [Markdown("a"), result(1), Retry(2, FinishReason.REPETITION), Markdown("b"), result(2)]
    assert written("markdown", events) == f"a{PAGE_SPLIT}{RETRY}b"


def test_a_page_read_again_owes_nothing_to_the_attempt_that_was_given_up() -> None:
    """Here that one ends inside a formula, after a picture and half of a replaced command."""
    picture, formula = Opened("picture", "p", (1, 2, 3, 4)), Opened("formula", "f")
    given_up, again, out = MarkdownPage(1), MarkdownPage(1), []
    for event in (Opened("text", "t"), Text("a \\colon"), picture, formula, Text("x +")):
        out.append(Markdown(given_up.write(event)))
    out.append(Retry(1, FinishReason.REPETITION))
    for event in (picture, Opened("text", "t"), Text("a \\coloneqq b")):
        out.append(Markdown(again.write(event)))
    out += [Markdown(again.close()), result(1)]
    assert written("markdown", out).split(RETRY) == [
        "a \\colon\n\n![](images/page-1-1.png)",
        "![](images/page-1-1.png)\n\na := b",
    ]


def test_json_counts_results_alone_so_that_a_retry_changes_nothing_but_its_count() -> None:
    events = [Markdown("loop"), Element("text", "t"), Retry(1, FinishReason.REPETITION), replace(result(1), retries=1)]
    assert written("json", events) == written("json", events[-1:])
    assert json.loads(written("json", events))["pages"][0]["retries"] == 1


def test_a_page_that_could_not_be_read_says_why_in_the_markdown() -> None:
    pages = [result(1), unread(2, "Page 2 is damaged."), result(3), unread(4, "No memory.", markdown="half")]
    streamed = [Markdown("Größe"), pages[0], pages[1], Markdown("Größe"), pages[2], Markdown("half"), pages[3]]
    assert written("markdown", streamed) == PAGE_SPLIT.join(
        [
            "Größe",
            "<!-- Page 2 could not be read: Page 2 is damaged. -->",
            "Größe",
            "half\n\n<!-- Page 4 could not be read: No memory. -->",
        ]
    )


@pytest.mark.parametrize("error", ["a --> b", "a ---> b", "a --!> b\n\nc", "a-", "--"])
def test_no_error_ends_its_comment_or_its_line(error: str) -> None:
    shown = written("markdown", [unread(1, error)])
    assert shown.startswith("<!-- ") and shown.endswith(" -->")
    assert "--" not in shown[4:-3] and "\n" not in shown


@pytest.mark.parametrize("finish", [FinishReason.LENGTH, FinishReason.REPETITION, FinishReason.DEADLINE])
def test_a_page_that_ended_early_is_not_marked_in_its_markdown(finish: FinishReason) -> None:
    assert written("markdown", [Markdown("a"), result(1, finish)]) == "a"


def test_the_markdown_of_a_whole_document_is_what_streamed() -> None:
    pages = [result(1), unread(2, "Damaged."), BLANK, unread(4, "No memory.", markdown="half"), result(5)]
    streamed = [event for page in pages for event in (Markdown(page.markdown), page)]
    assert document_markdown(pages) == written("markdown", streamed)
    assert document_markdown([]) == ""


def test_the_json_document_tells_everything_of_each_page() -> None:
    document = json.loads(written("json", [result(1), result(2, FinishReason.LENGTH)]))
    assert [page["page"] for page in document["pages"]] == [1, 2]
    assert document["finish_reason"] == "length"
    assert document["usage"] == {"prompt_tokens": 160, "completion_tokens": 20, "image_tokens": 146}
    assert document["pages"][1] == {
        "page": 2,
        "width": 100,
        "height": 50,
        "model": "deepseek-ocr",
        "finish_reason": "length",
        "markdown": "Größe",
        "elements": [
            {"type": "text", "label": "text", "bbox": [1.0, 2, 3, 5.0], "text": "Größe"},
            {"type": "other", "label": "x", "bbox": None, "text": ""},
        ],
        "text": "<|ref|>…",
        "problems": ["One."],
        "usage": {"prompt_tokens": 80, "completion_tokens": 10, "image_tokens": 73},
        "retries": 0,
        "error": None,
        "seconds": 2.0,
    }


def test_the_json_of_a_page_that_could_not_be_read_says_why() -> None:
    (page,) = json.loads(written("json", [unread(1, "Damaged.")]))["pages"]
    assert (page["finish_reason"], page["error"]) == ("error", "Damaged.")


def test_a_document_without_pages_is_still_json() -> None:
    assert json.loads(written("json", []))["pages"] == []


def test_the_metrics_are_those_of_all_pages_and_the_worst_end() -> None:
    assert metrics([replace(result(1), retries=2), replace(result(2, FinishReason.DEADLINE), retries=1)]) == {
        "model": "deepseek-ocr",
        "pages": 2,
        "failed_pages": 0,
        "retries": 3,
        "prompt_tokens": 160,
        "completion_tokens": 20,
        "image_tokens": 146,
        "finish_reason": "deadline",
        "time_to_first_token": 0.5,
        "tokens_per_second": 5.0,
    }


def test_the_metrics_of_a_document_no_model_was_asked_about_are_zeros() -> None:
    figures = metrics([BLANK, unread(2, "Damaged."), unread(3, "Damaged.")])
    assert figures["failed_pages"] == 2
    assert figures["finish_reason"] == "error"
    assert figures["time_to_first_token"] == figures["tokens_per_second"] == 0


def test_the_time_to_the_first_token_is_of_the_first_page_that_has_one() -> None:
    assert metrics([replace(BLANK, time_to_first_token=0.0), result(2)])["time_to_first_token"] == 0.5

"""Layout events into markdown, results into JSON."""

import json
from collections.abc import Sequence

import pytest

from ocr.layout import PARSERS
from ocr.types import Element, FinishReason, Markdown, PageResult, Raw, Text
from ocr.writers import PAGE_SPLIT, WRITERS, MarkdownPage, framed, metrics


def markdown(events: Sequence[Element | Text], *, lists_boxes: bool = False) -> str:
    page = MarkdownPage(3, lists_boxes=lists_boxes)
    return "".join([*map(page.write, events), page.close()])


def grounded_markdown(answer: str, size: int) -> str:
    parser, page, out = PARSERS["grounded"]((999, 999), (999.0, 999.0)), MarkdownPage(1), ""
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
    events = [Element("formula", "Formula"), Text("E = "), Text("mc^2 "), Element("text", "Text"), Text("so")]
    assert markdown(events) == "$$\nE = mc^2\n$$\n\nso"


@pytest.mark.parametrize("formula", ["$$x$$", "\\[x\\]", "\\(x\\)", "$x$"])
def test_a_formula_that_brings_its_frame_keeps_it(formula: str) -> None:
    assert framed(f" {formula}\n") == formula
    assert framed("  ") == ""


def test_page_furniture_is_left_out() -> None:
    events = [
        Element("header", "h"),
        Text("no"),
        Element("text", "t"),
        Text("yes"),
        Element("page_number", "p"),
        Text("7"),
    ]
    assert markdown(events) == "yes"


def test_a_table_is_kept_whole() -> None:
    table = "<table><tr><td>1</td><td></td></tr></table>"
    assert markdown([Element("table", "Table"), Text(table[:10]), Text(table[10:])]) == table


def test_where_the_places_are_the_answer_they_are_shown() -> None:
    events = [
        Element("text", "", (10.4, 20, 30.6, 40)),
        Text("Total"),
        Element("picture", "Picture", (1, 2, 3, 4)),
        Element("header", "Page-header", (5, 6, 7, 8)),
        Element("text", ""),
        Text("nowhere"),
    ]
    assert markdown(events, lists_boxes=True) == (
        "Total [10, 20, 31, 40]\n\nPicture [1, 2, 3, 4]\n\nPage-header [5, 6, 7, 8]\n\nnowhere"
    )


def test_the_text_does_not_wait_for_the_end_of_its_element() -> None:
    page = MarkdownPage(1)
    assert page.write(Element("text", "text")) == ""
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


def written(kind: str, events: Sequence[Raw | Markdown | PageResult]) -> str:
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
        "seconds": 2.0,
    }


def test_a_document_without_pages_is_still_json() -> None:
    assert json.loads(written("json", []))["pages"] == []


def test_the_metrics_are_those_of_all_pages_and_the_worst_end() -> None:
    assert metrics([result(1), result(2, FinishReason.DEADLINE)]) == {
        "model": "deepseek-ocr",
        "pages": 2,
        "prompt_tokens": 160,
        "completion_tokens": 20,
        "image_tokens": 146,
        "finish_reason": "deadline",
        "time_to_first_token": 0.5,
        "tokens_per_second": 5.0,
    }

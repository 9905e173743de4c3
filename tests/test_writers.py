"""A document's events into what a caller reads."""

import json
import weakref
from collections.abc import Sequence
from dataclasses import replace

import pytest
from PIL import Image

from ocr.output.markdown import MarkdownPage
from ocr.output.writers import PAGE_SPLIT, RETRY, WRITERS, document_markdown, metrics
from ocr.types import Element, FinishReason, Markdown, Opened, PageEvent, PageResult, Raw, Retry, Text


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
    replacements = {"\\coloneqq": ":="}
    given_up, again = (MarkdownPage(1, replacements=replacements) for _ in range(2))
    out: list[PageEvent] = []
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
        "turned": 0,
        "model": "deepseek-ocr",
        "source": "model",
        "layer_doubt": None,
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
        "check": None,
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
        "problems": 2,
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


@pytest.mark.parametrize("kind", WRITERS)
def test_no_writer_keeps_or_writes_a_page_s_pixels(kind: str) -> None:
    image = Image.new("RGB", (100, 50))
    pixels, writer = weakref.ref(image), WRITERS[kind]()
    text = writer.write(replace(result(1), image=image))
    assert "image" not in text.replace("image_tokens", "")
    del image
    assert pixels() is None
    assert text + writer.close() == written(kind, [result(1)])

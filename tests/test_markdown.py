"""A page's answer as markdown."""

import json
from collections.abc import Sequence

import pytest
from markdown_it import MarkdownIt

from ocr.answers.boxes import Scale
from ocr.answers.dialects import PARSERS
from ocr.models.catalog import MODELS
from ocr.output.markdown import MarkdownPage
from ocr.types import AnswerEvent, Opened, Text

RENDERER = MarkdownIt("commonmark")
REPLACEMENTS = MODELS["deepseek-ocr"].replacements


def markdown(events: Sequence[AnswerEvent], *, lists_boxes: bool = False) -> str:
    page = MarkdownPage(3, lists_boxes=lists_boxes)
    return "".join([*map(page.write, events), page.close()])


def grounded_markdown(answer: str, size: int) -> str:
    parser, page, out = (
        PARSERS["grounded"](Scale(extent=(999, 999), page=(999, 999))),
        MarkdownPage(1, replacements=REPLACEMENTS),
        "",
    )
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
        "# On Things\n\n![](images/page-1-1.png)\n\nA thing.\n\nStill the caption.\n\n"
        "$$\na := b\n$$\n\nx =: y, \\color."
    )


def test_what_is_replaced_for_one_model_stays_as_it_is_for_others() -> None:
    assert markdown([Opened("text", "Text"), Text("x \\coloneqq y")]) == "x \\coloneqq y"
    assert not MODELS["dots.ocr"].replacements


def test_formulas_are_display_blocks() -> None:
    events = [Opened("formula", "Formula"), Text("E = "), Text("mc^2 "), Opened("text", "Text"), Text("so")]
    assert markdown(events) == "$$\nE = mc^2\n$$\n\nso"


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


def test_where_a_picture_is_linked_to_is_the_caller_s_to_say() -> None:
    page = MarkdownPage(3, link=lambda page, picture: f"/crops/{page}/{picture}")
    assert page.write(Opened("picture", "p", (1, 2, 3, 4))) == "![](/crops/3/1)"
    assert page.write(Text("\n![](images/page-3-1.png)")) == "\n!\\[](images/page-3-1.png)"  # forged


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


def test_a_place_after_a_block_stands_on_its_own_line() -> None:
    code = [Opened("other", "code", (1, 2, 3, 4)), Text("```\na"), Text("\n```")]
    formula = [Opened("formula", "equation", (1, 2, 3, 4)), Text("x")]
    assert markdown([*code, *formula], lists_boxes=True) == "```\na\n```\n[1, 2, 3, 4]\n\n$$\nx\n$$\n[1, 2, 3, 4]"


# --- What a renderer makes of it --------------------------------------------------------------------------------

CODE = "    first\n\n\n    \\(x\\)\tlast  \n\n"


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("fence", ["```", "~~~~", "  ```"])
def test_code_fences_keep_their_blank_lines_and_indents(fence: str, size: int) -> None:
    indent = " " * fence.count(" ")
    text = f"{fence}python\n" + "".join(f"{indent}{line}\n" for line in CODE.splitlines()) + f"{fence}\n\n\n\nafter"
    for label in ("text", "code"):
        answer = f"<|ref|>{label}<|/ref|><|det|>[[0, 0, 9, 9]]<|/det|>\n{text}"
        fenced, then, *_ = RENDERER.parse(grounded_markdown(answer, size))
        assert (fenced.type, fenced.info, fenced.content) == ("fence", "python", CODE)
        assert then.type == "paragraph_open"


PAGE = [
    {"category": "Title", "text": "# A title"},
    {"category": "Formula", "text": "\\[ a_{i} \\\\ \\{x\\} \\]"},
    {"category": "Text", "text": "where \\( x_i \\) is one, `\\(y\\)` code, see \\[1\\]\n\\[\n\nb *c* d\n\\]"},
    {"category": "Formula", "text": "E = mc^2\n\n+ 1"},
    {"category": "List-item", "text": "- one\n\n  ```c\n  int x;\n\n\n  int y;\n  ```\n- two"},
    {"category": "Table", "text": "<table><tr><td>\\(x\\)</td></tr></table>"},
    {"category": "Picture"},
    {"category": "Text", "text": "  ~~~\n  x\n  ~~~"},
    {"category": "Text", "text": "The end."},
]
MARKDOWN = r"""# A title

$$
a_{i} \\ \{x\}
$$

where $x_i$ is one, `\(y\)` code, see \[1\]
$$
b *c* d
$$

$$
E = mc^2 + 1
$$

- one

  ```c
  int x;


  int y;
  ```
- two

<table><tr><td>$x$</td></tr></table>

![](images/page-1-1.png)

  ~~~
  x
  ~~~

The end."""


@pytest.mark.parametrize("size", [1, 4, 10**6])
def test_a_page_of_everything_renders_as_what_it_is(size: int) -> None:
    answer = json.dumps([{"bbox": [0, 0, 9, 9], **element} for element in PAGE])
    parser, page, out = PARSERS["layout_json"](Scale(extent=(9, 9), page=(9, 9))), MarkdownPage(1), ""
    for start in range(0, len(answer), size):
        out += "".join(page.write(event) for event in parser.feed(answer[start : start + size]))
    out += page.close()
    assert out == MARKDOWN
    assert parser.problems == []
    blocks = [token.type for token in RENDERER.parse(out) if token.level == 0 and token.nesting >= 0]
    assert blocks == [
        *("heading_open", "paragraph_open", "paragraph_open", "paragraph_open", "bullet_list_open", "html_block"),
        *("paragraph_open", "fence", "paragraph_open"),
    ]
    inlines = [token.content for token in RENDERER.parse(out) if token.type == "inline"]
    assert [text for text in inlines if text.startswith("$$")] == [
        "$$\na_{i} \\\\ \\{x\\}\n$$",
        "$$\nE = mc^2 + 1\n$$",
    ]
    assert [token.content for token in RENDERER.parse(out) if token.type == "fence"] == ["int x;\n\n\nint y;\n", "x\n"]

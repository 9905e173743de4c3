"""Outputs for other programs: plain text, CSV, HTML, hOCR, Word, PDF with text."""

import csv
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import docx
import pypdfium2
import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from ocr.output.hocr import hocr
from ocr.output.html import html
from ocr.output.plain_text import plain_text
from ocr.output.searchable_pdf import POINTS_PER_PX, joined, placed_lines, searchable_page
from ocr.output.tables import tables
from ocr.output.word import docx as word
from ocr.types import Element, FinishReason, PageResult

TABLE = (
    "<table><tr><th>Month</th><th>mm</th></tr>"
    "<tr><td>May</td><td>-5.3</td></tr><tr><td>=A1</td><td>@x</td></tr></table>"
)
MARKDOWN = f"# Rain & <b>snow</b>\n\nThe sum is $a<b$.\n\n1. one\n2. two\n\n{TABLE}\n\n![a sun](images/page-1-1.png)"
PNG = b"\x89PNG\r\n\x1a\n"


def page(markdown: str = MARKDOWN, *elements: Element, number: int = 1, error: str = "") -> PageResult:
    reason = FinishReason.ERROR if error else FinishReason.STOP
    return PageResult(number, 600, 400, "m", "", markdown, elements, reason, error=error)


def test_plain_text_has_no_marks_and_tabs_between_cells() -> None:
    assert plain_text([page(), page("", number=2, error="it is torn")]) == (
        "Rain & snow\n\nThe sum is $a<b$.\n\n1. one\n2. two\n\nMonth\tmm\nMay\t-5.3\n=A1\t@x\n\na sun\n"
        "\f[Page 2 could not be read: it is torn]\n"
    )


def test_each_table_is_a_file_of_its_own_without_formulas_for_spreadsheets() -> None:
    (name, text), (second, _) = tables(page(f"{TABLE}\n\n| a |\n|---|\n| b |", number=3))
    assert (name, second) == ("page-3-1.csv", "page-3-2.csv")
    assert list(csv.reader(io.StringIO(text))) == [["Month", "mm"], ["May", "-5.3"], ["'=A1", "'@x"]]


class _Tags(HTMLParser):
    """The tags of an HTML document, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_holds_all_in_one_file() -> None:
    made = html([page()], "rain.png", {"images/page-1-1.png": PNG}.get)
    assert "<td>May</td><td>-5.3</td>" in made
    assert "\\(a&lt;b\\)" in made
    assert 'alt="a sun" src="data:image/png;base64,' in made
    assert not re.search(r"(?:src|href)=\"(?!data:)", made)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "[a](javascript:x)"])
def test_text_is_never_markup_in_html(hostile: str) -> None:
    table = f"<table><tr><td>{hostile}</td></tr></table>"
    seen = _Tags()
    seen.feed(
        html([page(f"{hostile}\n\n# {hostile}\n\n`{hostile}`\n\n{table}", error=hostile)], hostile, lambda _: None)
    )
    assert {"script", "img", "a"}.isdisjoint(seen.tags)


def test_hocr_is_xml_with_the_boxes_of_elements() -> None:
    one = Element("text", "text", (10, 20, 300, 40), "a <b>&\x00 c")
    two = Element("text", "text", (10, 60, 300, 140), "one\ntwo")
    made = ElementTree.fromstring(hocr([page("", one, two, Element("text", "text", None, "nowhere"))], "x"))
    lines = [each for each in made.iter() if each.get("class") == "ocr_line"]
    assert [(line.get("title"), line.text) for line in lines] == [
        ("bbox 10 20 300 40", "a &\ufffd c"),
        (None, "one"),
        (None, "two"),
    ]
    assert [each.get("title") for each in made.iter() if each.get("class") == "ocr_page"] == [
        "bbox 0 0 600 400; ppageno 0"
    ]


def test_a_word_document_has_headings_and_tables_and_pictures() -> None:
    picture = io.BytesIO()
    Image.new("RGB", (40, 20), "red").save(picture, "PNG")
    made = docx.Document(
        io.BytesIO(word([page(), page("\x07bell", number=2)], {"images/page-1-1.png": picture.getvalue()}.get))
    )
    assert [(each.style.name, each.text) for each in made.paragraphs][:4] == [
        ("Heading 1", "Rain & snow"),
        ("Normal", "The sum is $a<b$."),
        ("Normal", "1. one"),
        ("Normal", "2. two"),
    ]
    assert made.paragraphs[-1].text == "\ufffdbell"
    (table,) = made.tables
    assert [[cell.text for cell in row.cells] for row in table.rows] == [
        ["Month", "mm"],
        ["May", "-5.3"],
        ["=A1", "@x"],
    ]
    assert len(made.inline_shapes) == 1


def test_a_table_wider_than_word_takes_is_kept_as_text() -> None:
    row = "".join(f"<td>{number}</td>" for number in range(70))
    made = docx.Document(io.BytesIO(word([page(f"<table><tr>{row}</tr></table>")], lambda _: None)))
    assert made.paragraphs[0].text == "\t".join(map(str, range(70)))


def drawn() -> Image.Image:
    image = Image.new("RGB", (600, 400), "white")
    ImageDraw.Draw(image).rectangle((100, 100, 300, 140), fill="navy")
    return image


def test_a_pdf_looks_like_the_page_and_has_its_text_where_it_stands() -> None:
    text = "Zürich 日本 😀"
    made = pypdfium2.PdfDocument(
        joined([searchable_page(drawn(), page("", Element("text", "text", (100, 100, 300, 140), text)))])
    )
    sheet = made[0]
    assert sheet.get_size() == pytest.approx((600 * POINTS_PER_PX, 400 * POINTS_PER_PX))
    words = sheet.get_textpage()
    assert words.get_text_range() == text
    left, _, _, top = words.get_charbox(0)
    assert left == pytest.approx(100 * POINTS_PER_PX, abs=1)
    assert top == pytest.approx((400 - 100) * POINTS_PER_PX, abs=3)
    assert words.get_charbox(words.count_chars() - 2)[2] <= 300 * POINTS_PER_PX + 1
    seen = sheet.render(scale=1 / POINTS_PER_PX).to_pil().convert("RGB").resize((600, 400))
    assert max(ImageStat.Stat(ImageChops.difference(seen, drawn())).mean) < 2


def test_a_pdf_has_all_pages_and_letters_of_any_number() -> None:
    letters = "".join(map(chr, range(0x4E00, 0x4E00 + 600)))
    made = pypdfium2.PdfDocument(joined(searchable_page(drawn(), page(text)) for text in ("one", letters)))
    found = [made[index].get_textpage().get_text_range() for index in range(2)]
    assert [re.sub(r"\s", "", text) for text in found] == ["one", letters]


def test_the_lines_of_an_element_fill_its_box() -> None:
    words = " ".join(["word"] * 60)
    lines = list(placed_lines(page("", Element("text", "text", (0, 0, 500, 100), words))))
    assert " ".join(line.text for line in lines) == words
    assert 3 <= len(lines) <= 8
    assert (lines[0].bbox[1], lines[-1].bbox[3]) == (0, pytest.approx(100))


def test_text_that_has_no_place_is_spread_over_the_page() -> None:
    lines = list(placed_lines(page("all of it")))
    assert " ".join(line.text for line in lines) == "all of it"
    assert (lines[0].bbox[:2], lines[-1].bbox[2:]) == ((0, 0), (600, 400))

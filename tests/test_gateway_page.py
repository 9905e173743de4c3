"""The gateway's web page in headless Chromium."""

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from pypdf import PdfReader

from ocr.faces.gateway.page_routes import PARTS
from ocr.types import Check, Conflict, Element, Omitted, Unsupported
from tests.browser import Browser, chromium
from tests.gateways import FakeCog, gateway, get, page_events, post, wait_until

SCRIPT = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
TABLE = f"<table><tr><td colspan=2>Total {SCRIPT}</td></tr><tr><td>1</td><td>2</td></tr></table>"
ELEMENTS = (
    Element("title", "title", (64, 64, 320, 128), f"# Invoice {SCRIPT}"),
    Element("table", "table", (64, 320, 576, 480), TABLE),
)
IMAGE = Path("examples/invoice.png").resolve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def cog() -> FakeCog:
    text = f"# Invoice {SCRIPT}\n\n{TABLE}"
    events = page_events(text, elements=ELEMENTS, width=640, height=640, problems=(f"Odd {SCRIPT}: [9, 8, 70, 60].",))
    return FakeCog(events=tuple(events))


@pytest.fixture
def page(browser: Browser, cog: FakeCog) -> Iterator[Browser]:
    with gateway(cog) as url:
        browser.open(url)
        browser.until("document.querySelectorAll('#task option').length > 3")
        yield browser


def test_a_document_is_read_with_its_boxes_in_place_and_linked_to_its_text(page: Browser, cog: FakeCog) -> None:
    page.type_into("#files", str(IMAGE))
    page.until("document.querySelector('#status').textContent === 'Done: 1 page.'")
    assert cog.documents == [IMAGE.read_bytes()]
    page.until("document.querySelector('.picture img').naturalWidth === 640")
    place = page.js(
        "const image = document.querySelector('.picture img').getBoundingClientRect();"
        "const box = document.querySelector('rect').getBoundingClientRect();"
        "const sides = [box.left - image.left, box.top - image.top, box.right - image.left, box.bottom - image.top];"
        "return sides.map((side) => side * 640 / image.width)"
    )
    assert all(abs(got - wanted) < 4 for got, wanted in zip(place, (64, 64, 320, 128), strict=True))
    assert page.js("return document.querySelector('td').colSpan") == 2
    problem = "const { x, y, width, height } = document.querySelector('rect[data-kind=problem]').getBBox(); return"
    assert page.js(f"{problem} [x, y, width, height]") == [9, 8, 61, 52]
    for hovered, other in (("rect", ".block"), (".block", "rect")):
        page.js(f"document.querySelector('{hovered}').dispatchEvent(new Event('pointerover', {{bubbles: true}}))")
        assert page.js(f"return document.querySelector('{other}').classList.contains('lit')")
        page.js(f"document.querySelector('{hovered}').dispatchEvent(new Event('pointerout', {{bubbles: true}}))")


def test_script_in_a_document_is_text(page: Browser) -> None:
    page.type_into("#files", str(IMAGE))
    page.until("document.querySelector('#status').textContent.startsWith('Done')")
    assert page.js("return document.title") == "Document OCR"
    assert page.js("return document.querySelector('.block h3').textContent") == f"Invoice {SCRIPT}"
    assert "<script>" in page.js("return document.querySelector('.problems li').textContent")
    assert page.js("return document.querySelectorAll('#documents img:not([alt]), #documents script').length") == 0
    assert all("has been blocked" in message for message in page.messages())


def test_text_comes_as_it_is_read_and_cancel_ends_it(page: Browser, cog: FakeCog) -> None:
    cog.events, cog.pause_s = tuple(page_events("word " * 400, width=640, height=640)), 0.05
    page.type_into("#files", str(IMAGE))
    page.until("document.querySelector('.live')?.textContent.startsWith('word word')")
    assert cog.running == 1
    page.js("document.querySelector('#cancel').click()")
    page.until("document.querySelector('#status').textContent.startsWith('Cancelled')")
    wait_until(lambda: cog.running == 0, seconds=1)


def read(page: Browser) -> None:
    """Have the invoice read to its end."""
    page.type_into("#files", str(IMAGE))
    page.until("document.querySelector('#status').textContent.startsWith('Done')")


CHECK = Check(
    3,
    omitted=(Omitted(f"Due {SCRIPT}", (64, 500, 320, 530)),),
    unsupported=(Unsupported("Total", 1, (64, 320, 576, 480)),),
    conflicts=(Conflict("2047", "2074", (64, 64, 320, 128), 0), Conflict("", "x", (64, 64, 320, 128))),
)


def test_what_a_second_reading_finds_is_listed_and_framed_in_its_place(page: Browser, cog: FakeCog) -> None:
    cog.events = tuple(page_events("Invoice", elements=ELEMENTS, width=640, height=640, check=CHECK))
    page.js("document.querySelector('#check').click()")
    read(page)
    assert cog.inputs[-1]["check"] is True
    assert "differs in 4 places" in page.js("return document.querySelector('.check p').textContent")
    said = page.js("return [...document.querySelectorAll('.check li')].map((item) => item.textContent)")
    assert said == [
        f"On the page, not in the text: Due {SCRIPT}",
        "In the text, not found on the page: Total",
        "The text says 2074, the second reading 2047",
        "The text says x, the second reading nothing",
    ]
    framed = page.js(
        "return [...document.querySelectorAll('rect[data-kind]')].map((it) => [it.dataset.kind, it.getAttribute('y')])"
    )
    assert framed == [["omitted", "500"], ["unsupported", "320"], ["conflict", "64"], ["conflict", "64"]]
    page.js("document.querySelectorAll('.check li')[1].focus()")
    lit = "return [...document.querySelectorAll('.lit')].map((node) => node.dataset.links)"
    assert sorted(page.js(lit)) == ["e2", "e2", "f2", "f2 e2"]
    page.js("document.activeElement.blur()")
    assert page.js(lit) == []
    page.js("document.querySelector('#check').click()")


def test_where_the_readings_agree_or_no_second_one_can_be_made_that_is_told(page: Browser, cog: FakeCog) -> None:
    for check, words in ((Check(3), "agrees"), (Check(0, failure="Most of it could not be read."), "Most of it")):
        cog.events = tuple(page_events("Invoice", elements=ELEMENTS, width=640, height=640, check=check))
        read(page)
        assert words in page.js("return document.querySelector('.check').textContent")
        assert page.js("return document.querySelectorAll('.check li, rect[data-kind]').length") == 0


FORMULAS = {
    r"\frac{a}{b}": "mfrac(mi(a)mi(b))",
    r"\sum_{i=1}^n x_i": "mrow(munderover(mo(∑)mrow(mi(i)mo(=)mn(1))mi(n))msub(mi(x)mi(i)))",
    r"\sqrt[3]{-2.5}": "mroot(mrow(mo(−)mn(2.5))mn(3))",  # noqa: RUF001
    r"\left( x \right]": "mrow(mo(()mi(x)mo(]))",
    r"\mathbb{R}\mathbf{x}\mathrm{max}": "mrow(mi(ℝ)mi(𝐱)mi(max))",  # noqa: RUF001
    r"f''(x) \not= 0": "mrow(msup(mi(f)mo(′′))mo(()mi(x)mo())mo(≠)mn(0))",  # noqa: RUF001
    r"\begin{cases} 1 & \text{if } x \\ 0 \end{cases}": (
        "mrow(mo({)mtable(mtr(mtd(mn(1))mtd(mtext(if )mi(x)))mtr(mtd(mn(0)))))"
    ),
    r"\begin{aligned} a &= b \\[2pt] c \end{aligned} % over": "mtable(mtr(mtd(mi(a))mtd(mo(=)mi(b)))mtr(mtd(mi(c))))",
    r"\text{<script>alert(1)</script>}": "mtext(<script>alert(1)</script>)",
    **dict.fromkeys((r"\href{x}{y}", r"\frac{a}", "x^", "}{", r"\left(", r"\begin{x}\end{x}", "", "{" * 9000)),
    r"\sqrt" * 1900: None,
}


def test_formulas_are_shown_as_mathml_and_what_is_not_understood_as_it_is(page: Browser) -> None:
    script = """
        const shown = (node) => node.children.length || node.localName === "mtd"
          ? `${node.localName}(${[...node.children].map(shown).join("")})`
          : `${node.localName}(${node.textContent})`;
        const whole = (made) => made && shown(made.firstElementChild);
        const [formulas] = arguments;
        return import("/page/formula.js").then(({ formula }) => formulas.map((latex) => whole(formula(latex, true))));
    """
    found = page.js(script, list(FORMULAS))
    assert dict(zip(FORMULAS, (text and text.replace("\u00a0", " ") for text in found), strict=True)) == FORMULAS


def test_formulas_and_tables_stand_in_the_text_as_what_they_are(page: Browser, cog: FakeCog) -> None:
    elements = (
        Element("formula", "equation", (0, 0, 600, 50), r"\[ E = mc^2 \]"),
        Element("text", "text", (0, 60, 600, 90), r"Where \(m > 0\), for $5 or $7, $c$ is **fast** and $\odd{x}$ odd."),
        Element("table", "table", (0, 100, 600, 200), "| a | b |\n| --- | --- |\n| $x^2$ | 2 |"),
        Element("formula", "equation", None, r"\odd{<b>}"),
    )
    cog.events = tuple(page_events("text", elements=elements, width=640, height=640))
    read(page)
    shown = page.js("return [...document.querySelectorAll('.block')].map((block) => block.textContent)")
    assert shown[1] == r"Where m>0, for $5 or $7, c is fast and $\odd{x}$ odd."
    assert shown[3] == r"\odd{<b>}"
    counts = {"math": 4, "math[display=block]": 1, "td math": 1, "strong": 1, "code": 2, "td": 4}
    assert {css: page.js(f"return document.querySelectorAll('.text {css}').length") for css in counts} == counts


def test_the_markdown_of_a_page_without_elements_is_shown_by_paragraphs_and_tables(page: Browser, cog: FakeCog) -> None:
    cog.events = tuple(
        page_events("# Head\n\n<table><tr><td>a\n\nb</td></tr></table>\n\nend <table> of it", width=9, height=9)
    )
    read(page)
    shown = page.js(
        "return [...document.querySelectorAll('.text > div')].map((it) => it.firstChild.tagName + it.textContent)"
    )
    assert shown == ["H3Head", "TABLEa\n\nb", "Pend <table> of it"]


WORST = (
    "\\(" * 30_000,
    "<table " * 40_000,
    "<table>" * 15_000,
    "$x" * 50_000,
    "**a" * 30_000,
    "| - |\n" * 15_000,
    "`" * 99_999,
)


def test_the_time_for_hostile_text_is_bounded(page: Browser) -> None:
    script = """
        const [texts] = arguments;
        return import("/page/text.js").then(({ pageNodes, elementNodes }) => texts.map((text) => {
          const began = performance.now();
          pageNodes(text), elementNodes("formula", text), elementNodes("table", text);
          return performance.now() - began;
        }));
    """
    assert all(milliseconds < 3000 for milliseconds in page.js(script, WORST))


def test_the_policy_lets_nothing_run_or_load_that_is_not_the_page_s_own(page: Browser) -> None:
    page.messages()
    page.js("""
        const script = Object.assign(document.createElement("script"), { textContent: "document.title = 'run'" });
        const image = Object.assign(document.createElement("img"), { src: "http://127.0.0.1:1/elsewhere.png" });
        document.body.append(script, image);
    """)
    assert page.js("return document.title") == "Document OCR"
    refused = [message for message in page.messages() if "Content Security Policy" in message]
    assert any("script-src" in message for message in refused)
    assert any("img-src" in message for message in refused)


def test_a_page_that_lay_is_shown_as_it_was_read(page: Browser, cog: FakeCog, tmp_path: Path) -> None:
    lying = Image.new("RGB", (60, 40), "white")
    lying.paste("red", (0, 30, 10, 40))  # where the upper left corner is after a quarter's turn
    lying.save(tmp_path / "lying.png")
    cog.events = tuple(page_events("Up", width=40, height=60, turned=90))
    page.type_into("#files", str(tmp_path / "lying.png"))
    page.until("document.querySelector('.picture img')?.naturalHeight === 60")
    corner = """
        const canvas = document.createElement("canvas").getContext("2d");
        canvas.drawImage(document.querySelector(".picture img"), 0, 0);
        return [...canvas.getImageData(3, 3, 1, 1).data.slice(0, 3)];
    """
    red, green, blue = page.js(corner)
    assert red > 200 and green < 60 and blue < 60


def test_what_cannot_be_read_is_told_in_its_sentence(page: Browser, cog: FakeCog) -> None:
    cog.events, cog.error = (), "InputError: The picture is damaged."
    page.type_into("#files", str(IMAGE))
    page.until("document.querySelector('#error').textContent === 'The picture is damaged.'")


def test_the_page_asks_for_a_key_where_one_is_needed(browser: Browser, cog: FakeCog) -> None:
    with gateway(cog, keys=("secret",)) as url:
        browser.open(url)
        browser.until("document.querySelectorAll('#task option').length > 3")
        browser.type_into("#files", str(IMAGE))
        browser.until("!document.querySelector('#key-label').hidden")
        browser.type_into("#key", "secret")
        browser.type_into("#files", str(IMAGE))
        browser.until("document.querySelector('#status').textContent.startsWith('Done')")


def test_the_page_loads_nothing_from_elsewhere_and_its_policy_is_strict(cog: FakeCog) -> None:
    with gateway(cog) as url:
        index = get(url)
        policy = index.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        files = [index.text, *(get(f"{url}/page/{name}").text for name in PARTS)]
        assert get(f"{url}/page/other.js").status_code == 404
        assert 'route="/page/{name}",status="499"' not in get(f"{url}/metrics").text
    text = re.sub(r"http://www\.w3\.org/(2000/svg|1998/Math/MathML)", "", "".join(files))
    assert "://" not in text
    assert "innerHTML" not in text
    assert "insertAdjacentHTML" not in text


def test_a_page_of_a_file_is_drawn(cog: FakeCog) -> None:
    with gateway(cog) as url:
        id_ = post(f"{url}/v1/files", files={"file": ("a.png", IMAGE.read_bytes())}).json()["id"]
        drawn: httpx.Response = get(f"{url}/v1/files/{id_}/pages/1")
        assert drawn.headers["Content-Type"] == "image/jpeg"
        assert get(f"{url}/v1/files/{id_}/pages/2").status_code == 400


def page_of(**more: Any) -> dict[str, Any]:
    """What a PDF needs of a page in the JSON document."""
    element = {"type": "title", "label": "", "bbox": [64, 64, 320, 128], "text": "Rechnung 2047"}
    whole = {"page": 1, "width": 640, "height": 640, "turned": 0, "markdown": "Rechnung 2047", "elements": [element]}
    return {**whole, **more}


@pytest.fixture(scope="module")
def invoice() -> Iterator[str]:
    """Where the uploaded invoice has its PDF made."""
    with gateway(FakeCog()) as url:
        id_ = post(f"{url}/v1/files", files={"file": ("a.png", IMAGE.read_bytes())}).json()["id"]
        yield f"{url}/v1/files/{id_}/searchable-pdf"


@pytest.mark.parametrize(
    ("more", "size"),
    [({}, (640, 640)), ({"width": 320, "height": 320, "turned": 90}, (640, 640)), ({"width": 0}, (640, 640))],
)
def test_a_searchable_pdf_looks_as_its_pages_and_holds_their_text(
    invoice: str, more: Any, size: tuple[int, int]
) -> None:
    answer = post(invoice, json={"pages": [page_of(**more)]})
    assert answer.headers["Content-Type"] == "application/pdf"
    (sheet,) = PdfReader(io.BytesIO(answer.content)).pages
    assert "Rechnung 2047" in sheet.extract_text()
    assert (sheet.images[0].image.size) == size


@pytest.mark.parametrize(
    ("pages", "words"),
    [
        ([], "1 to 200"),
        ([page_of()] * 201, "1 to 200"),
        ([page_of(), page_of()], "each once"),
        ([page_of(page=2)], "the document has 1 page"),
        ([page_of(), page_of(page=2)], "lists page 2, which the document does not have"),
        ([page_of(turned=45)], "as they stand"),
        ([page_of(markdown=None)], "as they stand"),
        ([page_of(width=True)], "as they stand"),
        ([page_of(elements=[{"bbox": [0, 0, 1e400, 1], "text": "x"}])], "as they stand"),
        ([page_of(elements=[{"bbox": [0, 0, 1], "text": "x"}])], "as they stand"),
        ([page_of(elements=["x"])], "as they stand"),
        ([7], "as they stand"),
        (7, "a list"),
    ],
)
def test_pages_that_are_not_as_the_json_document_has_them_make_no_pdf(invoice: str, pages: Any, words: str) -> None:
    answer = post(invoice, content=json.dumps({"pages": pages}))
    assert answer.status_code == 400
    assert words in answer.json()["error"]["message"]
    assert post(invoice.replace("/file-", "/file-0"), json={"pages": [page_of()]}).status_code == 404

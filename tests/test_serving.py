"""script/serve: a Cog server and the gateway side by side, on the embedded model; by a client, and by the web page."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openai import OpenAI
from PIL import Image, ImageDraw, ImageFont
from pypdf import PdfReader

from ocr.faces.cog.server import free_port
from ocr.faces.serving import main
from ocr.weights.status import status
from tests.browser import Browser, chromium
from tests.gateways import data_url, get, wait_until
from tests.stack import stack

INVOICE = Path("examples/invoice.png").resolve()
TITLE = (44, 46, 349, 84)  # px of that picture, within which "Invoice 2047" is printed
SCRIPT = "<script>document.title='run'</script>"
KEY = "secret"


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    with stack("deepseek-ocr-tiny", KEY) as url:
        yield url


def test_both_read_together_for_a_client(served: str) -> None:
    with OpenAI(base_url=f"{served}/v1", api_key=KEY, max_retries=0) as client:
        part = {"type": "image_url", "image_url": {"url": data_url(INVOICE.read_bytes())}}
        said = [{"role": "user", "content": [{"type": "text", "text": "Free OCR"}, part]}]
        chunks = list(client.chat.completions.create(model="auto", messages=said, stream=True))  # type: ignore[call-overload]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "Invoice 2047" in text
    assert len(chunks) > 20


@pytest.fixture(scope="module")
def browser(served: str) -> Iterator[Browser]:
    with chromium() as browser:
        browser.open(served)
        browser.js("sessionStorage.setItem('key', arguments[0])", KEY)
        yield browser


@pytest.fixture
def page(browser: Browser, served: str) -> Browser:
    """The web page, as new."""
    browser.open(served)
    browser.until("document.querySelectorAll('#task option').length > 3")
    return browser


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first lines of the invoice, which are soon read."""
    path = tmp_path_factory.mktemp("short") / "short.png"
    with Image.open(INVOICE) as image:
        image.paste("white", (0, 250, 640, 640))
        image.save(path)
    return path


@pytest.fixture(scope="module")
def shown(browser: Browser, served: str, short: Path) -> Browser:
    """The web page with them; what tests do to it leaves it as it is."""
    browser.open(served)
    browser.until("document.querySelectorAll('#task option').length > 3")
    browser.hand("drop", short)
    wait_until_done(browser)
    browser.until("document.querySelector('.picture img').naturalWidth === 640")
    return browser


def wait_until_done(page: Browser) -> None:
    status_of = "document.querySelector('#status').textContent"
    page.until(f"{status_of}.startsWith('Done') || !document.querySelector('#error').hidden")
    assert page.js(f"return {status_of}") == "Done: 1 page."


def text_of(page: Browser) -> str:
    return str(page.js("return document.querySelector('.text').innerText"))


def test_a_dropped_document_is_read_with_its_boxes_on_its_print(shown: Browser) -> None:
    assert "Invoice 2047" in text_of(shown)
    first = shown.js("""
        const image = document.querySelector(".picture img");
        const { left, top, width } = image.getBoundingClientRect();
        const it = document.querySelector(".picture rect").getBoundingClientRect();
        const sides = [it.left - left, it.top - top, it.right - left, it.bottom - top];
        return sides.map((side) => side * image.naturalWidth / width);
    """)
    assert all(abs(got - printed) < 20 for got, printed in zip(first, TITLE, strict=True)), first


BUTTONS = {".md": "Download markdown", ".json": "Download JSON", ".pdf": "Download searchable PDF"}


def press(page: Browser, label: str) -> None:
    page.js("[...document.querySelectorAll('button')].find((it) => it.textContent === arguments[0]).click()", label)


def test_what_was_read_can_be_taken_along(shown: Browser, tmp_path: Path) -> None:
    shown.devtools("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))

    def saved(name: str) -> bytes:
        path = tmp_path / name
        press(shown, BUTTONS[path.suffix])
        wait_until(path.exists)
        return path.read_bytes()

    markdown = saved("short.md").decode()
    document: dict[str, Any] = json.loads(saved("short.json"))
    Draft202012Validator(json.loads(Path("ocr/output/document.schema.json").read_text())).validate(document)
    assert markdown == document["pages"][0]["markdown"] + "\n"
    assert "Invoice 2047" in markdown
    (sheet,) = PdfReader(io.BytesIO(saved("short.searchable.pdf"))).pages
    assert "Invoice 2047" in sheet.extract_text()
    shown.devtools("Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"])
    press(shown, "Copy markdown")
    shown.until("document.querySelector('#status').textContent === 'Copied.'")
    assert shown.js("return navigator.clipboard.readText()") == document["pages"][0]["markdown"]


def test_everything_is_reached_with_the_keyboard(shown: Browser) -> None:
    shown.js("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(30):
        shown.press("Tab")
        reached.append(shown.js("const it = document.activeElement; return it.id || it.textContent"))
        if shown.js("return document.activeElement.matches('.block')"):
            break
    wanted = {"task", "model", "preset", "check", "pages", "files", "photo", "Copy markdown", "Copy JSON"}
    assert wanted | set(BUTTONS.values()) <= set(reached)
    assert shown.js("return document.querySelector('rect.lit').dataset.links") == "e1"
    outline = "const it = getComputedStyle(document.activeElement); return it.outlineStyle + it.outlineWidth"
    assert shown.js(outline) == "solid3px"


def test_the_page_fits_a_phone_and_follows_the_dark_mode(shown: Browser) -> None:
    shown.devtools("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=2, mobile=True)
    shown.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark"}])
    try:
        assert shown.js("return document.documentElement.scrollWidth") <= 360
        both = "const [a, b] = ['.picture', '.text'].map((it) => document.querySelector(it).getBoundingClientRect());"
        assert shown.js(f"{both} return b.top >= a.bottom && a.width > 300")
        colours = "const { backgroundColor, color } = getComputedStyle(document.body); return [backgroundColor, color]"
        assert shown.js(colours) == ["rgb(21, 23, 26)", "rgb(232, 230, 225)"]
    finally:
        shown.devtools("Emulation.clearDeviceMetricsOverride")
        shown.devtools("Emulation.setEmulatedMedia", features=[])


def test_a_pasted_document_is_read_as_it_comes_and_escape_cancels_it(page: Browser, served: str) -> None:
    page.hand("paste", Path("examples/prose.png"))
    page.until("document.querySelector('.live')?.textContent")
    page.press("Escape")
    page.until("document.querySelector('#status').textContent.startsWith('Cancelled')")
    headers = {"Authorization": f"Bearer {KEY}"}
    wait_until(lambda: 'in_hand{server="1"} 0.0' in get(f"{served}/metrics", headers=headers).text, seconds=1)


@pytest.fixture
def lines() -> None:
    """The networks of pp-ocr, in the checkout that the server runs in."""
    found = status("pp-ocr", Path("checkpoints"))
    if not found.is_ready:
        pytest.skip(f"the weights of pp-ocr are {found.summary}")


def choose(page: Browser, model: str) -> None:
    page.js("document.querySelector('#model').value = arguments[0]", model)


def test_a_document_that_holds_script_is_read_and_runs_nothing(lines: None, page: Browser, tmp_path: Path) -> None:
    sheet = Image.new("RGB", (900, 200), "white")
    ImageDraw.Draw(sheet).text((40, 70), SCRIPT, "black", ImageFont.load_default(36))
    sheet.save(tmp_path / "script.png")
    choose(page, "pp-ocr")
    page.hand("drop", tmp_path / "script.png")
    wait_until_done(page)
    assert "<script>document" in text_of(page)
    assert page.js("return document.title") == "Document OCR"
    assert page.js("return document.querySelectorAll('#documents script').length") == 0


def test_a_second_reading_is_asked_for_and_shown(lines: None, page: Browser, short: Path) -> None:
    page.js("document.querySelector('#check').click()")
    page.hand("drop", short)
    wait_until_done(page)
    assert "second reading" in page.js("return document.querySelector('.check p').textContent").lower()
    found = page.js("return document.querySelectorAll('.check li').length")
    assert page.js("return document.querySelectorAll('.picture rect[data-kind]').length") == found


def test_where_a_second_reading_cannot_be_made_the_page_says_why(page: Browser, short: Path) -> None:
    choose(page, "pp-ocr")
    page.js("document.querySelector('#check').click()")
    page.hand("drop", short)
    page.until("document.querySelector('#error').textContent.includes('would have no effect here')")


def test_where_one_cannot_start_both_end_with_its_status(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    assert main(["--gateway-only", "--gateway-port", str(free_port()), "--colour"]) == 2
    assert "No such option" in capfd.readouterr().err
    assert main(["--port", "none"]) == 2

"""The gateway's web page in headless Chromium."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ocr.types import Element
from tests.browser import Browser, chromium
from tests.gateways import FakeCog, gateway, get, page_events, post, wait_until

SCRIPT = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
TABLE = f"<table><tr><td colspan=2>Total {SCRIPT}</td></tr><tr><td>1</td><td>2</td></tr></table>"
ELEMENTS = (
    Element("title", "title", (64, 64, 320, 128), f"Invoice {SCRIPT}"),
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
    events = page_events(text, elements=ELEMENTS, width=640, height=640, problems=(f"Odd {SCRIPT}",))
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
    for hovered, other in (("rect", ".block"), (".block", "rect")):
        page.js(f"document.querySelector('{hovered}').dispatchEvent(new Event('pointerover', {{bubbles: true}}))")
        assert page.js(f"return document.querySelector('{other}').classList.contains('lit')")
        page.js(f"document.querySelector('{hovered}').dispatchEvent(new Event('pointerout', {{bubbles: true}}))")


def test_script_in_a_document_is_text(page: Browser) -> None:
    page.type_into("#files", str(IMAGE))
    page.until("document.querySelector('#status').textContent.startsWith('Done')")
    assert page.js("return document.title") == "Document OCR"
    assert "<script>" in page.js("return document.querySelector('.block h3').textContent")
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
        files = [index.text, *(get(f"{url}/page/{name}").text for name in ("page.css", "page.js"))]
        assert get(f"{url}/page/other.js").status_code == 404
    text = "".join(files).replace("http://www.w3.org/2000/svg", "")
    assert "://" not in text
    assert "innerHTML" not in text
    assert "insertAdjacentHTML" not in text


def test_a_page_of_a_file_is_drawn(cog: FakeCog) -> None:
    with gateway(cog) as url:
        id_ = post(f"{url}/v1/files", files={"file": ("a.png", IMAGE.read_bytes())}).json()["id"]
        drawn: httpx.Response = get(f"{url}/v1/files/{id_}/pages/1")
        assert drawn.headers["Content-Type"] == "image/jpeg"
        assert get(f"{url}/v1/files/{id_}/pages/2").status_code == 400

"""`python -m tests.screenshot` draws docs/images/page.png: the web page with a statement that pp-ocr has read."""

import io
from pathlib import Path

from PIL import Image

from tests.browser import chromium
from tests.stack import stack

PICTURE = Path("docs/images/page.png")
WINDOW = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}  # px
COLOURS = 128  # which make the file a third as large, and no difference in sight


def main() -> None:
    with stack("pp-ocr", "any") as url, chromium() as browser:
        browser.devtools("Emulation.setDeviceMetricsOverride", **WINDOW)
        browser.devtools("Emulation.setScrollbarsHidden", hidden=True)
        browser.open(url)
        browser.js("sessionStorage.setItem('key', 'any')")
        browser.open(url)
        browser.until("document.querySelectorAll('#task option').length > 3")
        browser.hand("drop", Path("examples/statement.jpg"))
        browser.until("document.querySelector('#status').textContent.startsWith('Done')")
        browser.until("document.querySelector('.picture img').naturalWidth")
        browser.js("document.querySelector('.block table').dispatchEvent(new Event('pointerover', { bubbles: true }))")
        with Image.open(io.BytesIO(browser.screenshot())) as image:
            image.convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)


if __name__ == "__main__":
    main()

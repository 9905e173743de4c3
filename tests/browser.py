"""A headless Chromium, driven over WebDriver."""

import base64
import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ocr.faces.cog.server import free_port
from tests.gateways import wait_until, web

KEYS = {"Escape": "\ue00c", "Tab": "\ue004", "Enter": "\ue007"}  # as WebDriver writes them
HAND = """
const [kind, name, content] = arguments;
const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], name, { type: "image/png" }));
const event = kind === "paste"
  ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true })
  : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
document.querySelector("#drop").dispatchEvent(event);
"""
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the standard's name for a reference to an element


class Browser:
    """One window."""

    def __init__(self, driver: httpx.Client, session: str) -> None:
        self._driver, self._session = driver, session

    def _do(self, path: str, **body: Any) -> Any:
        answer = self._driver.post(f"/session/{self._session}/{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["value"]

    def open(self, url: str) -> None:
        self._do("url", url=url)

    def js(self, script: str, *given: Any) -> Any:
        """What a function's body returns."""
        return self._do("execute/sync", script=script, args=given)

    def type_into(self, selector: str, text: str) -> None:
        """Type; into a field for files, their paths."""
        found = self._do("element", using="css selector", value=selector)[ELEMENT]
        self._do(f"element/{found}/value", text=text)

    def press(self, key: str) -> None:
        """Press and let go of a key: a letter, or one of KEYS."""
        code = KEYS.get(key, key)
        strokes = [{"type": kind, "value": code} for kind in ("keyDown", "keyUp")]
        self._do("actions", actions=[{"type": "key", "id": "keyboard", "actions": strokes}])

    def hand(self, kind: str, file: Path) -> None:
        """Drop a file on the page, or paste it, as an event of that name brings it."""
        content = base64.b64encode(file.read_bytes()).decode()
        self.js(HAND, kind, file.name, content)

    def devtools(self, command: str, **parameters: Any) -> Any:
        """A command of the browser's own protocol, like Emulation.setEmulatedMedia."""
        return self._do("goog/cdp/execute", cmd=command, params=parameters)

    def screenshot(self) -> bytes:
        """What is in sight, as a PNG."""
        answer = self._driver.get(f"/session/{self._session}/screenshot")
        return base64.b64decode(answer.json()["value"])

    def until(self, script: str, seconds: float = 60) -> None:
        """Wait until an expression is true."""
        wait_until(lambda: self.js(f"return !!({script})"), seconds)

    def messages(self) -> list[str]:
        """What the browser itself complained of."""
        logged = self._driver.post(f"/session/{self._session}/se/log", json={"type": "browser"}).json()["value"]
        return [entry["message"] for entry in logged]


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; the test is skipped where there is none."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not program or not driver:
        pytest.skip("Chromium and its driver are not here: apt-get install chromium chromium-driver")
    port = free_port()
    with (
        subprocess.Popen([driver, f"--port={port}"], stdout=subprocess.DEVNULL) as process,
        web(f"http://127.0.0.1:{port}") as client,
    ):
        try:
            wait_until(lambda: _is_up(client))
            words = ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"]
            wanted = {"goog:chromeOptions": {"args": words, "binary": program}, "goog:loggingPrefs": {"browser": "ALL"}}
            session = client.post("/session", json={"capabilities": {"alwaysMatch": wanted}}).json()["value"][
                "sessionId"
            ]
            yield Browser(client, session)
            client.delete(f"/session/{session}")
        finally:
            process.terminate()


def _is_up(client: httpx.Client) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return client.get("/status").is_success
    return False

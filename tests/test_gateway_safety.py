"""What the gateway lets in: keys, hosts, pages of other sites, bodies; what a client that leaves or stalls costs."""

import asyncio
import contextlib
import json
import logging
import re
import socket
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from ocr.documents.fetching import fetch_document
from ocr.faces.gateway import door, listening
from ocr.faces.gateway.reader import AHEAD, _Output
from ocr.faces.gateway.servers import Chunk
from tests.gateways import FakeCog, data_url, delete, gateway, get, options, page_events, post, request, wait_until, web
from tests.pdfs import pdf

CHAT = "/v1/chat/completions"


def asked(content: bytes = b"a picture", **more: Any) -> dict[str, Any]:
    part = {"type": "image_url", "image_url": {"url": data_url(content)}}
    return {"model": "auto", "messages": [{"role": "user", "content": [part]}], **more}


@pytest.fixture(scope="module")
def locked() -> Iterator[str]:
    with gateway(
        FakeCog(slots=4), keys=("first", "second"), hosts=("ocr.example",), origins=("https://a.example",)
    ) as url:
        yield url


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.mark.parametrize("headers", [bearer("first"), bearer("second"), {"X-Api-Key": "first"}])
def test_a_right_key_is_let_in(locked: str, headers: dict[str, str]) -> None:
    assert get(f"{locked}/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, bearer("x"), bearer("firs"), bearer("firstfirst"), {"Authorization": "first"}, bearer("é")]
)
@pytest.mark.parametrize("path", ["/v1/models", "/metrics", "/v1/models?signature=x", "/v1/nothing", "//"])
def test_a_wrong_key_is_not(locked: str, headers: dict[str, str], path: str) -> None:
    raw = {name: value.encode() for name, value in headers.items()}
    answer = get(locked + path, headers=raw)
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_health_needs_no_key(locked: str) -> None:
    assert get(f"{locked}/health").status_code == 200


@pytest.mark.parametrize(
    ("host", "status"), [("ocr.example", 200), ("localhost:80", 200), ("[::1]:80", 200), ("evil.example", 421)]
)
def test_only_known_hosts_are_answered(locked: str, host: str, status: int) -> None:
    assert get(f"{locked}/health", headers={"Host": host}).status_code == status


def test_pages_of_other_sites_may_ask_only_where_they_are_named(locked: str) -> None:
    assert post(locked + CHAT, headers={"Origin": "https://evil.example"}).status_code == 403
    assert post(locked + CHAT, headers={"Origin": "null"}).status_code == 403
    assert get(f"{locked}/health", headers={"Origin": locked}).status_code == 200
    allowed = get(f"{locked}/health", headers={"Origin": "https://a.example"})
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://a.example"
    asks_first = {"Origin": "https://a.example", "Access-Control-Request-Method": "POST"}
    assert options(locked + CHAT, headers=asks_first).status_code == 200


def test_files_belong_to_their_key_and_signed_urls_open_them_for_a_time(locked: str) -> None:
    form: Any = {"files": {"file": ("a.pdf", b"%PDF")}, "data": {"purpose": "ocr"}}
    id_ = post(f"{locked}/v1/files", headers=bearer("first"), **form).json()["id"]
    place = f"{locked}/v1/files/{id_}"
    assert get(place, headers=bearer("second")).status_code == 404
    assert delete(place, headers=bearer("second")).status_code == 404
    signed = get(f"{place}/url?expiry=1", headers=bearer("first")).json()["url"]
    got = get(signed)
    assert got.content == b"%PDF"
    assert got.headers["Content-Disposition"].startswith("attachment")
    assert get(f"{place}/content").status_code == 401
    assert get(signed[:-1] + "x").status_code == 403
    assert get(signed.replace("expires=", "expires=9")).status_code == 403
    assert delete(place, headers=bearer("first")).status_code == 200
    assert get(signed).status_code == 404


@pytest.fixture(scope="module")
def cog() -> FakeCog:
    return FakeCog(slots=4)


@pytest.fixture(scope="module")
def small(cog: FakeCog) -> Iterator[str]:
    """A gateway whose limits are low."""
    with gateway(cog, max_body_mb=1, max_file_mb=1, stall_s=0.5, files_mb=1, files_hours=1 / 1800) as url:
        yield url


@pytest.mark.parametrize("is_declared", [True, False])
def test_too_large_a_body_is_refused_before_it_is_all_there(small: str, is_declared: bool) -> None:
    pieces = (b"x" * 2**16 for _ in range(20))
    content: Any = b"x" * 20 * 2**16 if is_declared else pieces
    answer = post(small + CHAT, content=content)
    assert answer.status_code == 413
    assert "more than 1 MiB" in answer.json()["error"]["message"]


def test_too_large_a_document_is_refused(small: str) -> None:
    with gateway(FakeCog(), max_file_mb=1) as url:
        assert post(url + CHAT, json=asked(b"x" * (2**20 + 1))).status_code == 413
        assert post(url + CHAT, json=asked(b"x" * 2**20)).status_code == 200


THREE = pdf(*[Image.new("RGB", (40, 40), "white")] * 3)


@pytest.mark.parametrize(
    ("pages", "status"), [("", 413), ("1-3", 413), ("2-3", 200), ("1,1-2", 200), ("9", 200), ("x", 200)]
)
def test_a_document_of_too_many_pages_is_refused_before_it_is_read(small: str, pages: str, status: int) -> None:
    """What is wrong with a selection otherwise, the Cog server says."""
    with gateway(cog := FakeCog(), max_pages=2) as url:
        answer = post(url + CHAT, json=asked(THREE, ocr={"pages": pages}))
        assert post(url + CHAT, json=asked(b"no document at all")).status_code == 200
    assert answer.status_code == status
    if status != 200:
        assert "3 pages are to be read; at most 2" in answer.json()["error"]["message"]
        assert "OCR_GATEWAY_MAX_PAGES" in answer.json()["error"]["message"]
        assert answer.json()["error"]["code"] == "too_many_pages"
        assert cog.documents == [b"no document at all"]


def head(length: int) -> bytes:
    """The head of a request with a body of so many bytes."""
    return f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()


def connected(url: str) -> socket.socket:
    return socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=10)


def test_a_body_that_stalls_is_given_up(small: str) -> None:
    with connected(small) as slow:
        slow.sendall(head(100) + b"{")
        assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_a_head_that_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listening, "HEAD_S", 0.3)
    with gateway(FakeCog()) as url, connected(url) as slow, connected(url) as idle:
        slow.sendall(b"GET /health HTTP/1.1\r\nHost: ")
        assert slow.recv(100) == b""
        assert idle.recv(100) == b""
        with httpx.Client(base_url=url) as client:
            assert [client.get("/health").status_code for _ in range(3)] == [200] * 3


def test_files_expire_and_their_room_is_limited(small: str) -> None:
    def upload() -> httpx.Response:
        return post(f"{small}/v1/files", files={"file": ("a", b"x" * 700_000)})

    first = upload()
    assert first.status_code == 200
    assert upload().status_code == 507
    wait_until(lambda: get(f"{small}/v1/files/{first.json()['id']}").status_code == 404)
    assert upload().status_code == 200


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_client_that_leaves_cancels_its_work_within_a_second(is_streamed: bool) -> None:
    cog = FakeCog(events=tuple(page_events("word " * 500)), pause_s=0.05)
    with gateway(cog) as url:
        body = json.dumps(asked(stream=is_streamed)).encode()
        with connected(url) as leaving:
            leaving.sendall(head(len(body)) + body)
            if is_streamed:
                assert b"200 OK" in leaving.recv(1000)
            wait_until(lambda: cog.running == 1)
        wait_until(lambda: cog.running == 0, seconds=1)
        assert cog.cancelled == 1


def test_a_client_that_waits_and_leaves_loses_its_place() -> None:
    cog = FakeCog(slots=0)
    with gateway(cog) as url, web(url) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(CHAT, json=asked(b"first"), timeout=0.3)
        wait_until(lambda: client.get("/health").json()["waiting"] == 0)
        cog.slots = 1
        assert client.post(CHAT, json=asked(b"second")).status_code == 200
        assert cog.documents == [b"second"]


def test_a_reader_that_takes_nothing_is_given_up_and_holds_no_slot() -> None:
    cog = FakeCog(events=tuple(page_events("x" * 200_000 + " " + "y" * 200_000, elements=())) * 20)
    with gateway(cog, stall_s=0.5) as url:
        body = json.dumps(asked(stream=True)).encode()
        with connected(url) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(head(len(body)) + body)
            wait_until(lambda: bool(cog.ids))
            wait_until(lambda: cog.running == 0, seconds=10)
            metrics = wait_for_metric(url, 'ocr_requests_total{route="/v1/chat/completions",status="499"} 1.0')
            assert "ocr_waiting 0.0" in metrics


def test_no_more_is_taken_ahead_of_a_slow_reader_than_memory_has_room_for() -> None:
    async def taken() -> int:
        output, count = _Output(), 0
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.1):
                while True:
                    await output.put(Chunk("x" * (AHEAD // 10)))
                    count += 1
        await output.get()
        await output.put(Chunk("x"))
        return count

    assert asyncio.run(taken()) == 10


def wait_for_metric(url: str, line: str) -> str:
    wait_until(lambda: line in get(f"{url}/metrics").text)
    return get(f"{url}/metrics").text


def test_the_log_has_a_line_of_json_for_each_request_and_nothing_of_the_document(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cog = FakeCog(events=tuple(page_events("secret words")))
    with caplog.at_level(logging.INFO, "ocr.gateway"), gateway(cog) as url:
        answer = post(url + CHAT, json=asked(b"secret bytes", user="secret name"))
    (line,) = [record.getMessage() for record in caplog.records if record.name == "ocr.gateway"]
    told = json.loads(line)
    assert told["id"] == answer.headers["X-Request-Id"]
    assert (told["route"], told["status"], told["finish_reason"], told["pages"]) == (CHAT, 200, "stop", 1)
    assert "secret" not in line


def test_an_error_of_the_gateway_is_told_without_what_was_sent(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_given: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr("ocr.faces.gateway.chat.inputs_of", fail)
    with gateway(FakeCog()) as url:
        answer = post(url + CHAT, json=asked())
    assert answer.status_code == 500
    assert "secret" not in answer.text + caplog.text
    assert "RuntimeError" in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", CHAT, 405), ("GET", "/v2", 404), ("POST", "/health", 405)]
)
def test_what_is_not_there_is_told_in_the_same_form(small: str, method: str, path: str, status: int) -> None:
    answer = request(method, small + path)
    assert answer.status_code == status
    assert path in answer.json()["error"]["message"]


def test_bodies_that_come_in_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "HELD_MB", 1)
    with gateway(FakeCog(), stall_s=5) as url, connected(url) as slow:
        slow.sendall(head(900_000) + b"x" * 800_000)
        time.sleep(0.2)
        assert post(url + CHAT, content=b"x" * 900_000).status_code == 429
        assert post(url + CHAT, content=b"x").status_code == 400


def at(url: str) -> dict[str, Any]:
    return {
        "model": "auto",
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
    }


PUBLIC_ONLY = partial(fetch_document, max_mb=1, seconds=5.0)


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "169.254.169.254",
        "10.0.0.1",
        "0.0.0.0",
    ],
)
def test_no_address_of_this_machine_or_its_networks_is_fetched(host: str) -> None:
    cog = FakeCog()
    with gateway(cog, fetch=PUBLIC_ONLY) as url:
        answer = post(url + CHAT, json=at(f"http://{host}:{urlsplit(url).port}/health"))
    assert answer.status_code == 400
    assert re.search("has no public address|is no URL", answer.json()["error"]["message"])
    assert not cog.ids


def test_a_remote_document_is_handed_on_as_bytes() -> None:
    cog = FakeCog()
    with gateway(FakeCog()) as other, gateway(cog, fetch=partial(PUBLIC_ONLY, private=True)) as url:
        assert post(url + CHAT, json=at(f"{other}/v1/models")).status_code == 200
        assert post(url + CHAT, json=at(f"{other}/nothing")).status_code == 400
    assert cog.documents[0].startswith(b'{"object":"list"')

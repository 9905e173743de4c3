"""The gateway's queue before its Cog servers: bounded, fair, and true about how they are."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateways import FakeCog, gateway, get, page_events, request, wait_until
from tests.test_gateway_safety import CHAT, asked, bearer

SLOW: dict[str, Any] = {"events": tuple(page_events("one two three")), "pause_s": 0.03}


def post(url: str, name: str, key: str = "") -> httpx.Response:
    headers = bearer(key) if key else {}
    return request("POST", url + CHAT, json=asked(name.encode()), headers=headers)


def waiting(url: str, number: int) -> None:
    """Wait until so many are in the queue."""
    wait_until(lambda: get(f"{url}/health").json()["waiting"] == number)


def test_every_request_is_read_once_and_no_server_is_asked_for_more_than_it_has_room_for() -> None:
    cogs = FakeCog(slots=2, **SLOW), FakeCog(slots=1, **SLOW)
    with gateway(*cogs) as url, ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda number: post(url, str(number)), range(20)))
    assert [answer.status_code for answer in answers] == [200] * 20
    assert sorted(int(name) for cog in cogs for name in cog.documents) == list(range(20))
    assert sum(cog.refused for cog in cogs) == 0
    assert all(len(cog.documents) > 3 for cog in cogs)


def test_clients_take_turns_each_its_oldest_request_first() -> None:
    cog = FakeCog(is_held=True)
    with gateway(cog, keys=("a", "b")) as url, ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(post, url, "a0", "a")]
        wait_until(lambda: cog.running == 1)
        for number, name in enumerate(("a1", "a2", "a3", "a4", "b1", "b2"), 1):
            answers.append(pool.submit(post, url, name, name[0]))
            waiting(url, number)
        cog.is_held = False
        assert all(answer.result().status_code == 200 for answer in answers)
    assert cog.documents == [b"a0", b"a1", b"b1", b"a2", b"b2", b"a3", b"a4"]


def test_a_full_house_is_429_with_a_time_to_come_back() -> None:
    cog = FakeCog(is_held=True)
    with gateway(cog, max_waiting=2) as url, ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(post, url, "0")]
        wait_until(lambda: cog.running == 1)
        for number in (1, 2):
            answers.append(pool.submit(post, url, str(number)))
            waiting(url, number)
        refused = post(url, "3")
        cog.is_held = False
        assert [answer.result().status_code for answer in answers] == [200] * 3
    assert refused.status_code == 429
    assert int(refused.headers["Retry-After"]) > 0
    assert refused.json()["error"]["type"] == "rate_limit_error"


def test_patience_has_an_end() -> None:
    cog = FakeCog(is_held=True)
    with gateway(cog, patience_s=0.3) as url, ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, url, "first")
        wait_until(lambda: cog.running == 1)
        assert post(url, "second").status_code == 429
        cog.is_held = False
        assert first.result().status_code == 200


def test_a_document_that_takes_too_long_is_given_up() -> None:
    cog = FakeCog(events=tuple(page_events("one two three")), pause_s=0.5)
    with gateway(cog, limit_s=0.3) as url:
        answer = post(url, "long")
        assert answer.status_code == 504
        wait_until(lambda: cog.running == 0)


def test_a_server_that_somebody_else_uses_is_asked_again_until_it_is_free() -> None:
    cog = FakeCog()
    with gateway(cog) as url, ThreadPoolExecutor(1) as pool:
        cog.running = cog.slots  # by another caller
        answer = pool.submit(post, url, "x")
        waiting(url, 1)
        cog.running = 0
        assert answer.result().status_code == 200


def test_a_server_that_refuses_what_it_said_it_has_room_for_costs_no_request(monkeypatch: pytest.MonkeyPatch) -> None:
    cog = FakeCog(slots=0)

    async def always_ready(_request: Any) -> Any:
        from starlette.responses import JSONResponse

        return JSONResponse({"status": "READY"})

    monkeypatch.setattr(cog, "_health", always_ready)
    with gateway(cog) as url, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(post, url, "x")
        wait_until(lambda: cog.refused > 1)
        cog.slots = 1
        assert answer.result().status_code == 200


@pytest.mark.parametrize(
    ("status", "words"), [("STARTING", "being loaded"), ("SETUP_FAILED", "No Cog server"), ("DEFUNCT", "No Cog server")]
)
def test_while_no_server_is_up_the_answer_is_503(status: str, words: str) -> None:
    cog = FakeCog(status=status)
    with gateway(cog) as url:
        health = get(f"{url}/health")
        assert (health.status_code, health.json()["servers"]) == (503, [{"server": 1, "status": status}])
        refused = post(url, "x")
        assert refused.status_code == 503
        assert words in refused.json()["error"]["message"]
        assert refused.headers["Retry-After"]
        cog.status = "READY"
        wait_until(lambda: get(f"{url}/health").status_code == 200)
        assert post(url, "x").status_code == 200


def test_a_server_that_is_down_costs_nothing_while_another_is_up() -> None:
    with gateway(FakeCog(), FakeCog(status="UNHEALTHY")) as url:
        assert post(url, "x").status_code == 200
        assert [server["status"] for server in get(f"{url}/health").json()["servers"]] == ["READY", "UNHEALTHY"]


def test_one_server_dies_and_what_it_had_is_told_while_the_rest_goes_on() -> None:
    dying, other = FakeCog(dies_after=3, **SLOW), FakeCog(**SLOW)
    with gateway(dying, other) as url, ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(post, url, str(number)) for number in range(8)]
        wait_until(lambda: len(dying.ids) >= 1)
        dying.status = "DEFUNCT"
        done = [answer.result() for answer in answers]
    lost = [answer for answer in done if answer.status_code == 502]
    assert len(lost) == len(dying.ids)
    assert all("failed while it was reading" in answer.json()["error"]["message"] for answer in lost)
    assert sum(answer.status_code == 200 for answer in done) == 8 - len(lost) == len(other.ids)


def test_the_metrics_tell_what_was_read() -> None:
    cog = FakeCog()
    with gateway(cog) as url:
        post(url, "x")
        told = get(f"{url}/metrics").text
    for line in (
        'ocr_requests_total{route="/v1/chat/completions",status="200"} 1.0',
        'ocr_documents_total{finish_reason="stop",model="deepseek-ocr"} 1.0',
        'ocr_pages_total{model="deepseek-ocr"} 1.0',
        'ocr_tokens_total{kind="completion",model="deepseek-ocr"} 20.0',
        'ocr_first_token_seconds_count{model="deepseek-ocr"} 1.0',
        'ocr_page_seconds_sum{model="deepseek-ocr"} 2.0',
        "ocr_wait_seconds_count 1.0",
        'ocr_server_up{server="1"} 1.0',
    ):
        assert line in told


def test_connections_to_the_servers_are_used_again_or_closed() -> None:
    def handles() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with gateway(FakeCog(slots=4)) as url:
        post(url, "first")
        before = handles()
        for number in range(30):
            post(url, str(number))
        assert handles() < before + 10

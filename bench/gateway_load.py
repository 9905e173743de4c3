"""The gateway under load on loopback: `python -m bench.gateway_load` prints a table; it takes about a minute.

The Cog servers are made up (`tests.gateways`): they answer with the prompt they were given, a word at a time, so that
what is measured is the gateway: whether each request is read once, in turn, and what clients cost that leave or stall.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from ocr.faces.cog.server import free_port
from ocr.types import Markdown
from tests.gateways import FakeCog, data_url, get, page_events, wait_until

SLOTS = 4  # of each Cog server
WORDS = 12  # of an answer, PAUSE_S apart
PAUSE_S = 0.01
STALL_S = 2.0  # the gateway's --stall-limit
LONG = "long"  # a prompt whose answer is more than the buffers between two processes hold
LONG_PIECES, LONG_PIECE = 40, 250_000  # characters
PLACES = ("in the head", "in the body", "waiting", "reading", "at the end")
CHAT = "/v1/chat/completions"


class EchoingCog(FakeCog):
    """Answers with the prompt, and writes each prompt that it takes to standard output."""

    async def _told(self, inputs: dict[str, Any]) -> AsyncIterator[tuple[str, Any]]:
        prompt = inputs["prompt"]
        print(prompt, flush=True)
        start, *_, result = page_events(prompt)
        words = [f"{prompt} ", *["word "] * WORDS]
        texts = ["x" * LONG_PIECE] * LONG_PIECES if prompt == LONG else words
        self.events = (start, *map(Markdown, texts), replace(result, markdown="".join(texts)))
        async for told in super()._told(inputs):
            yield told


def cog(port: int) -> None:
    """Serve as one of the made-up servers."""
    app = EchoingCog(slots=SLOTS, pause_s=PAUSE_S).app
    uvicorn.run(app, port=port, log_config=None, access_log=False)


@dataclass
class Setting:
    """Two servers and the gateway before them, each in its process."""

    url: str
    gateway: subprocess.Popen[bytes]
    cogs: list[subprocess.Popen[bytes]]
    logs: list[Path]

    def read(self) -> collections.Counter[str]:
        """How often each prompt was taken by a server."""
        return collections.Counter(line for log in self.logs for line in log.read_text().splitlines())

    def resident_mb(self) -> float:
        """MiB that the gateway holds in memory."""
        status = Path(f"/proc/{self.gateway.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1024

    def highest_mb(self) -> float:
        """MiB that it ever held."""
        status = Path(f"/proc/{self.gateway.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def handles(self) -> int:
        """Open files and sockets of the gateway."""
        return len(os.listdir(f"/proc/{self.gateway.pid}/fd"))  # noqa: PTH208

    def is_idle(self) -> bool:
        told = get(f"{self.url}/metrics", headers=bearer("key-0")).text
        return "ocr_waiting 0.0" in told and 'in_hand{server="1"} 0.0' in told and 'in_hand{server="2"} 0.0' in told


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def started(opened: ExitStack, folder: Path, clients: int) -> Setting:
    """Start everything; it ends with the stack."""
    ports = [free_port(), free_port()]
    logs = [folder / f"cog-{port}" for port in ports]
    cogs = []
    for port, log in zip(ports, logs, strict=True):
        code = f"from bench.gateway_load import cog; cog({port})"
        out = opened.enter_context(log.open("wb"))
        cogs.append(opened.enter_context(subprocess.Popen([sys.executable, "-c", code], stdout=out)))
    port = free_port()
    command = [sys.executable, "-P", "-m", "ocr.faces.gateway.main", f"--port={port}", f"--stall-limit={STALL_S}"]
    command += [f"--server=http://127.0.0.1:{port}" for port in ports] + [f"--key=key-{n}" for n in range(clients)]
    command += ["--max-waiting=1000"]
    env = {**os.environ, "PYTHONPATH": str(Path.cwd())}
    gateway = opened.enter_context(subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL))
    for process in (*cogs, gateway):
        opened.callback(process.kill)
    setting = Setting(f"http://127.0.0.1:{port}", gateway, cogs, logs)
    wait_until(lambda: _states(setting.url) == ["READY", "READY"], 60)
    return setting


def _states(url: str) -> list[str]:
    try:
        return [server["status"] for server in get(f"{url}/health").json()["servers"]]
    except httpx.HTTPError:
        return []


def asked(prompt: str, **more: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": prompt}, {"type": "image_url", "image_url": {"url": data_url(b"x" * 100_000)}}]
    return {"model": "auto", "messages": [{"role": "user", "content": parts}], **more}


@dataclass
class Seen:
    """What the clients of a run were answered."""

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    broken: int = 0  # connections that ended without an answer
    wrong: int = 0  # answers that were another request's
    done_at: list[tuple[float, int]] = field(default_factory=list)  # when, and whose
    lost: list[str] = field(default_factory=list)  # prompts that were answered 502


async def client(http: httpx.AsyncClient, number: int, requests: int, run: str, seen: Seen) -> None:
    """One client, with a key of its own, that asks one after the other."""
    for count in range(requests):
        prompt = f"{run} {number} {count}"
        try:
            answer = await http.post(CHAT, json=asked(prompt), headers=bearer(f"key-{number}"))
        except httpx.TransportError:
            seen.broken += 1
            continue
        seen.statuses[answer.status_code] += 1
        seen.done_at.append((time.monotonic(), number))
        if answer.status_code == httpx.codes.BAD_GATEWAY:
            seen.lost.append(prompt)
        elif answer.is_success and not answer.json()["choices"][0]["message"]["content"].startswith(f"{prompt} "):
            seen.wrong += 1


async def crowd(setting: Setting, clients: int, requests: int, run: str, kill_after: float = 0.0) -> Seen:
    """Many clients at once; where asked, one server is killed in the middle."""
    seen = Seen()
    limits = httpx.Limits(max_connections=None)
    async with (
        httpx.AsyncClient(base_url=setting.url, timeout=300, limits=limits, verify=False, trust_env=False) as http,
        asyncio.TaskGroup() as group,
    ):
        for number in range(clients):
            group.create_task(client(http, number, requests, run, seen))
        if kill_after:
            await asyncio.sleep(kill_after)
            setting.cogs[1].kill()
    return seen


def spread(seen: Seen, clients: int, requests: int) -> int:
    """How many answers the client ahead had more than the one behind, at most, in the first half of the run."""
    counts: collections.Counter[int] = collections.Counter()
    widest = 0
    for _, number in sorted(seen.done_at)[: clients * requests // 2]:
        counts[number] += 1
        widest = max(widest, max(counts.values()) - min(counts[other] for other in range(clients)))
    return widest


def head_of(length: int, key: str) -> str:
    """The head of a request with a body of so many bytes."""
    named = f"Host: localhost\r\nAuthorization: Bearer {key}\r\nContent-Length: {length}"
    return f"POST {CHAT} HTTP/1.1\r\n{named}\r\n\r\n"


async def connected(setting: Setting) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(setting.url.rpartition(":")[2]), limit=2**12)


async def leave(setting: Setting, place: str, number: int) -> None:
    """A client that hangs up at one point of its request."""
    reader, writer = await connected(setting)
    body = json.dumps(asked(f"leaves {place} {number}", stream=True)).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key-1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    sent = head.encode() + body
    cuts = {"in the head": len(head) // 2, "in the body": len(head) + len(body) // 2}
    writer.write(sent[: cuts.get(place, len(sent))])
    await writer.drain()
    if place in ("reading", "at the end"):
        await reader.read(500 if place == "reading" else -1) if place == "reading" else await reader.readuntil(
            b"[DONE]"
        )
    else:
        await asyncio.sleep(random.uniform(0, 0.1))
    writer.close()


async def takes_nothing(setting: Setting) -> None:
    """A client that asks for much and reads nothing, until the gateway gives it up."""
    body = json.dumps(asked(LONG, stream=True)).encode()
    _, writer = await connected(setting)
    head = (
        f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer key-1\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    await writer.drain()
    await asyncio.sleep(STALL_S * 3)
    writer.close()


async def stalls(setting: Setting) -> str:
    """A client whose body does not come to its end; gives the status line."""
    reader, writer = await connected(setting)
    head = head_of(100000, "key-2")
    writer.write(head.encode() + b"x" * 50_000)
    line = (await reader.readline()).decode()
    writer.close()
    return line


async def measured(setting: Setting, clients: int, requests: int) -> AsyncIterator[tuple[str, str]]:
    """The rows of the table: what was done, and what came of it."""
    total = clients * requests
    await crowd(setting, clients, 1, "warm")
    before, handles = setting.resident_mb(), setting.handles()
    began = time.monotonic()
    seen = await crowd(setting, clients, requests, "steady")
    seconds = time.monotonic() - began
    read = setting.read()
    twice = sum(count > 1 for prompt, count in read.items() if prompt.startswith("steady"))
    yield (
        f"{clients} clients, {total} requests",
        (
            f"answered 200: {seen.statuses[200]}; another's answer: {seen.wrong}; read twice: {twice}; "
            f"{total / seconds:.0f} requests/s; ahead of the last by at most {spread(seen, clients, requests)} answers"
        ),
    )
    yield "memory of the gateway, before and after", f"{before:.0f} MiB, {setting.resident_mb():.0f} MiB"
    for place in PLACES:
        await asyncio.gather(*(leave(setting, place, number) for number in range(40)))
        began = time.monotonic()
        wait_until(setting.is_idle, 20)
        yield f"40 clients leave {place}", f"idle again after {time.monotonic() - began:.2f} s"
    slow = [asyncio.create_task(takes_nothing(setting)) for _ in range(16)]
    await asyncio.sleep(0.3)
    seen = await crowd(setting, clients, 2, "beside the slow")
    await asyncio.gather(*slow)
    wait_until(setting.is_idle, 60)
    yield f"16 readers that take nothing, {clients * 2} requests beside them", f"answered 200: {seen.statuses[200]}"
    lines = await asyncio.gather(*(stalls(setting) for _ in range(clients)))
    yield f"{clients} bodies that stall", f"answered 408: {sum(' 408 ' in line for line in lines)}"
    await asyncio.sleep(1)
    yield (
        "memory and open files of the gateway after that",
        (
            f"{setting.resident_mb():.0f} MiB, at most {setting.highest_mb():.0f} MiB so far, "
            f"{setting.handles() - handles:+d} open files"
        ),
    )
    seen = await crowd(setting, clients, requests, "killed", kill_after=seconds / 4)
    read = setting.read()
    again = sum(read[prompt] > 1 for prompt in seen.lost)
    others = total - seen.statuses[200] - seen.statuses[502]
    yield (
        f"{clients} clients, {total} requests, one of two servers killed",
        (
            f"answered 200: {seen.statuses[200]}, 502: {seen.statuses[502]} (of its {SLOTS} slots), others: {others}; "
            f"another's answer: {seen.wrong}; of the lost, read again: {again}"
        ),
    )


async def report(folder: Path, clients: int, requests: int) -> None:
    with ExitStack() as opened:
        setting = started(opened, folder, clients)
        print("| what | came of it |\n|---|---|")
        async for what, result in measured(setting, clients, requests):
            print(f"| {what} | {result} |", flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--requests", type=int, default=20, help="of each client")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(report(Path(folder), given.clients, given.requests))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"\nProcessor time of the servers and the gateway: {used.ru_utime + used.ru_stime:.0f} s.")


if __name__ == "__main__":
    main()

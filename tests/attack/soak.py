"""Predictions of every kind, sound and not, one after the other on the real local server, and what it holds before and
after."""

import contextlib
import io
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import connect_sse

from ocr.faces.cog.leftovers import PREDICTIONS
from ocr.faces.cog.server import LocalServer
from tests.attack.mutations import mutated, samples
from tests.attack.processes import Use, family
from tests.checkpoints import write_deepseek
from tests.pictures import data_url, encoded, page

GOOD = ("succeeded", "failed", "refused")
ALL_GOOD = ("a sound page", "a page of each format")  # of which all are to succeed
WARM = 100  # predictions, after which what libraries keep for ever is there
SOUND = {"image": data_url(encoded(page())), "resolution_size": "Tiny", "max_new_tokens": 12}


@dataclass
class Report:
    """What came of the predictions of each kind, and what the server held."""

    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    seconds: float = 0.0
    first: Mapping[str, float] = field(default_factory=dict)
    last: Mapping[str, float] = field(default_factory=dict)
    memory: list[str] = field(default_factory=list)  # MiB of each process, before every hundredth prediction

    @property
    def tried(self) -> int:
        return sum(counts.total() for counts in self.kinds.values())

    @property
    def leaks(self) -> list[str]:
        """What grew more than its room; memory's is what one large page leaves in the allocators of two processes."""
        rooms = {"mb": 128, "handles": 4, "threads": 2, "temporary files": 0}
        return [name for name, room in rooms.items() if self.last.get(name, 0) > self.first.get(name, 0) + room]

    def table(self) -> str:
        lines = ["| predictions | tried | succeeded | failed, with a reason | refused |", "|---|---|---|---|---|"]
        for kind, counts in self.kinds.items():
            cells = (counts.total(), counts["succeeded"], counts["failed"], counts["refused"])
            lines.append(f"| {kind} | {' | '.join(map(str, cells))} |")
        lines += ["", "| the server held | when warm | at the end |", "|---|---|---|"]
        lines += [f"| {name} | {self.first[name]} | {self.last[name]} |" for name in self.first]
        return "\n".join(
            [*lines, "", f"MiB of the server's processes, before every hundredth prediction: {', '.join(self.memory)}"]
        )


def _sound(chance: random.Random) -> dict[str, Any]:
    return {"output_format": chance.choice(("markdown", "json", "raw", "events"))}


def _of_a_format(chance: random.Random) -> dict[str, Any]:
    return {"image": data_url(samples()[chance.choice(list(samples()))], "application/octet-stream")}


def _mutated(chance: random.Random) -> dict[str, Any]:
    return {"image": data_url(mutated(chance.randrange(10_000), 2)[2], "application/octet-stream")}


def _wrong(chance: random.Random) -> dict[str, Any]:
    return chance.choice(
        [
            {"task_type": "x"},
            {"pages": "9"},
            {"pages": "1," * 10_000},
            {"image": "/etc/hostname"},
            {"image": "data:image/png;base64,%%%"},
            {"image": "http://127.0.0.1:9/x.png"},
            {"image": "http://169.254.169.254/"},
            {"max_new_tokens": -1},
            {"reference_text": "x" * 100_000},
            {"model": "dots.ocr"},
        ]
    )


KINDS: Mapping[str, Callable[[random.Random], dict[str, Any]]] = {
    "a sound page": _sound,
    "a page of each format": _of_a_format,
    "a mutated file": _mutated,
    "a wrong input": _wrong,
    "a stream that is closed": lambda chance: {"max_new_tokens": 4000, "prompt": "go on"},
}


def attack(count: int, seconds: float, seed: int) -> Report:
    """Ask so many predictions of a server of its own, or as many as the time allows."""
    report, started, chance = Report({kind: Counter() for kind in KINDS}), time.monotonic(), random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        temporary, checkpoints = Path(folder, "temporary"), Path(folder, "checkpoints")
        temporary.mkdir()
        write_deepseek(checkpoints / "deepseek-ocr")
        settings = {"CHECKPOINTS": str(checkpoints), "MODELS": "deepseek-ocr", "DEVICE": "cpu", "DTYPE": "float32"}
        env = {"TMPDIR": str(temporary)} | {f"OCR_{name}": value for name, value in settings.items()}
        with (
            LocalServer(env=env, log=io.StringIO()) as server,
            httpx.Client(base_url=server.url, timeout=120) as client,
        ):
            for number in range(count):
                if time.monotonic() - started > seconds:
                    break
                if number % 100 == 0:
                    each = (Use.of([pid]).mb for pid in family(server.process.pid))
                    report.memory.append(" + ".join(f"{mb:.0f}" for mb in each))
                if number == min(WARM, count // 2):
                    report.first = _held(server, temporary)
                kind = chance.choice(list(KINDS))
                outcome, error = _predict(server, client, SOUND | KINDS[kind](chance), is_closed="closed" in kind)
                report.kinds[kind][outcome] += 1
                if outcome not in (GOOD[:1] if kind in ALL_GOOD else GOOD):
                    report.faults.append(f"{number}: {kind}: {outcome}: {error}")
            _wait(server)
            report.last = _held(server, temporary)
    report.seconds = time.monotonic() - started
    return report


def _held(server: LocalServer, temporary: Path) -> dict[str, float]:
    files = [path for folder in (temporary, PREDICTIONS) for path in folder.rglob("*") if path.is_file()]
    return Use.of(family(server.process.pid)).fields() | {"temporary files": len(files)}


def _wait(server: LocalServer, seconds: float = 30.0) -> str:
    """The server's state once it is free, or still after this time."""
    until = time.monotonic() + seconds
    while (state := str(server.health()["status"])) != "READY" and time.monotonic() < until:
        time.sleep(0.02)
    return state


def _predict(server: LocalServer, client: httpx.Client, inputs: dict[str, Any], *, is_closed: bool) -> tuple[str, str]:
    """What became of a prediction, and the error where there is one."""
    if (state := _wait(server)) != "READY":
        return f"the server is {state}", ""
    if is_closed:
        with connect_sse(client, "POST", "/predictions", json={"input": inputs}) as source:
            next(_events(source.iter_sse()), None)
        return "succeeded", ""
    answer = client.post("/predictions", json={"input": inputs})
    if answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY:
        return "refused", ""
    if answer.status_code != httpx.codes.OK:
        return f"status {answer.status_code}", answer.text
    told = answer.json()
    if told["status"] == "failed" and not 0 < len(told["error"]) <= 2500:
        return "failed without a short reason", told["error"]
    return told["status"], told.get("error") or ""


def _events(events: Iterator[Any]) -> Iterator[Any]:
    with contextlib.suppress(httpx.HTTPError):
        yield from (event for event in events if event.event == "output")

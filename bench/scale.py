"""What a run on many machines takes, simulated: documents that come in, splitters, readers that die and start again.

    python -m bench.scale

Prints the tables of docs/scale.md. Events are those of `ocr.faces.cli.cluster`: a splitter opens a document and hands
out its parts in order; a reader takes the next part, reads its pages at its own rate, and takes another; one that dies
is started again, and its part goes to the front of the queue, until the attempts are used up. What a reader has in hand
beside the part counts as overlapped, which is what `pages_s` of a reader with its batch full means.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count

Schedule = Callable[..., None]  # when, what happens, to which part
# Seconds that bench/cluster.md measured: without kills, until the first document of it, and with kills.
WHOLE_S, FIRST_S, KILLED_S, RESUMED_S = 409.5, 23.6, 262.4, 268.5
DAY = 86_400.0  # seconds


@dataclass(frozen=True)
class Plant:
    """What reads, and how fast."""

    readers: int
    pages_s: float  # of one reader, with its batch full
    start_s: float = 60.0  # until a reader has loaded its model
    part_s: float = 0.05  # of a reader for each part, beside its pages: claim, record, files
    split_s: float = 0.1  # of a splitter for a document whose pages are counted
    pages: int = 64  # of a part
    attempts: int = 3
    hours_between_deaths: float = math.inf  # of one reader: machines that are taken back, memory, faults

    @property
    def splitters(self) -> int:
        """As many as `cluster read` starts."""
        return 1 + self.readers // 8


@dataclass(frozen=True)
class Load:
    """What comes in."""

    documents: int
    mean_pages: float
    longest: int = 1000  # pages, OCR_MAX_PAGES
    spread: float = 1.0  # of the logarithm of the pages; 0: all are of one length
    days: float = 0.0  # over which documents arrive; 0: all are there at the start
    poison: float = 0.0  # share of documents that kill whoever reads them

    def lengths(self, chance: random.Random) -> Iterator[int]:
        """Pages of each document: log-normal, with the mean of all."""
        middle = math.log(self.mean_pages) - self.spread**2 / 2
        for _ in range(self.documents):
            yield min(self.longest, max(1, round(chance.lognormvariate(middle, self.spread))))


@dataclass
class Outcome:
    """What became of it."""

    seconds: float = 0.0
    pages: int = 0
    parts: int = 0
    deaths: int = 0
    given_up: int = 0  # parts
    lost_s: float = 0.0  # of readers: work that was done again, and starts
    read_s: float = 0.0  # of readers
    split_s: float = 0.0  # of splitters

    def busy(self, plant: Plant) -> float:
        """The share of the readers' time in which they read."""
        return self.read_s / (self.seconds * plant.readers)


@dataclass
class Part:
    """A part that waits or is read."""

    pages: int
    kills: bool
    attempts: int = 0


def simulate(plant: Plant, load: Load, seed: int = 1) -> Outcome:
    """Read everything. Times are seconds from the start of the command."""
    chance, order, outcome = random.Random(seed), count(), Outcome()
    events: list[tuple[float, int, str, Part | None]] = []
    waiting: deque[Part] = deque()
    idle = 0

    def at(when: float, what: str, part: Part | None = None) -> None:
        heapq.heappush(events, (when, next(order), what, part))

    for when, part in _split(plant, load, chance, outcome):
        at(when, "part", part)
    for _ in range(plant.readers):
        at(plant.start_s, "free")
    while events:
        now, _, what, part = heapq.heappop(events)
        if what == "dead":
            assert part is not None
            part.attempts += 1
            if part.attempts < plant.attempts:
                waiting.appendleft(part)
            else:
                outcome.given_up += 1
                outcome.seconds = now
        elif what == "done":
            assert part is not None
            outcome.pages += part.pages
            outcome.seconds = now
        elif what == "part":
            assert part is not None
            waiting.append(part)
        if what in ("free", "done"):
            idle += 1
        while idle and waiting:
            idle -= 1
            _read(plant, chance, outcome, now, waiting.popleft(), at)
    return outcome


def _split(plant: Plant, load: Load, chance: random.Random, outcome: Outcome) -> Iterator[tuple[float, Part]]:
    """When each part is there. Splitters take documents in order, each as it has come in."""
    free = [0.0] * plant.splitters
    for index, pages in enumerate(load.lengths(chance)):
        ready = max(heapq.heappop(free), index / load.documents * load.days * DAY) + plant.split_s
        heapq.heappush(free, ready)
        outcome.split_s += plant.split_s
        kills = chance.random() < load.poison
        for first in range(0, pages, plant.pages):
            outcome.parts += 1
            yield ready, Part(min(plant.pages, pages - first), kills)
            kills = False


def _read(plant: Plant, chance: random.Random, outcome: Outcome, now: float, part: Part, at: Schedule) -> None:
    """A reader takes a part: it will be done, or the reader dead and started again."""
    takes = plant.part_s + part.pages / plant.pages_s
    dies = (
        chance.expovariate(1 / (plant.hours_between_deaths * 3600)) if plant.hours_between_deaths < math.inf else takes
    )
    if part.kills or dies < takes:
        dies = min(dies, takes)
        outcome.deaths += 1
        outcome.lost_s += dies + plant.start_s
        at(now + dies, "dead", part)
        at(now + dies + plant.start_s, "free")
    else:
        outcome.read_s += takes
        at(now + takes, "done", part)


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def days(seed: int = 1) -> str:
    """A million pages in a day: readers that are needed, by how fast one is, with what goes wrong."""
    load = Load(documents=100_000, mean_pages=10)
    rows = []
    for pages_s in (0.2, 1.0, 2.3, 5.0):
        plain = Plant(readers=math.ceil(1e6 / DAY / pages_s * 1.05), pages_s=pages_s)
        bad = replace(plain, hours_between_deaths=24.0)
        runs = [
            simulate(plain, load, seed),
            simulate(bad, replace(load, poison=0.001), seed),
            simulate(plain, replace(load, days=1.0), seed),
        ]
        hours = [f"{run.seconds / 3600:.1f}" for run in runs]
        rows.append([pages_s, plain.readers, *hours, f"{runs[0].busy(plain):.0%}", runs[1].deaths, runs[1].given_up])
    head = [
        "pages/s of a reader",
        "readers",
        "hours",
        "with deaths",
        "arriving over a day",
        "busy",
        "deaths",
        "given up",
    ]
    return table(head, rows)


def limits(seed: int = 1) -> str:
    """How far readers can be added before something else is full."""
    load = Load(documents=100_000, mean_pages=10)
    rows = []
    for readers in (8, 32, 128, 512):
        for pages_s, mean in ((2.3, 10.0), (2.3, 1.0)):
            plant = Plant(readers, pages_s)
            run = simulate(plant, replace(load, mean_pages=mean, spread=1.0 if mean > 1 else 0.0), seed)
            share = run.split_s / (run.seconds * plant.splitters)
            rows.append(
                [readers, f"{mean:g}", f"{run.pages / run.seconds:.0f}", f"{run.busy(plant):.0%}", f"{share:.0%}"]
            )
    return table(["readers", "pages a document", "pages/s", "readers busy", "splitters busy"], rows)


def checked() -> str:
    """Runs of bench/cluster.md with kills, foretold from the one without: what a part takes, and a start of all.

    What a reader takes to start again by itself is not known from there, and left out.
    """
    parts, kills_at = 11_000, 2 / 3  # 9,000 pictures and 1,000 PDFs of two parts
    part_s = (WHOLE_S - FIRST_S) * 2 / parts
    plant = Plant(readers=2, pages_s=math.inf, start_s=FIRST_S, part_s=part_s, split_s=0.0)
    load = Load(documents=parts, mean_pages=1, spread=0.0)
    whole, before, after = (
        simulate(plant, replace(load, documents=round(parts * share))).seconds for share in (1, kills_at, 1 - kills_at)
    )
    rows = [
        ["to the end", f"{whole:.0f}", f"{WHOLE_S:.0f}"],
        ["a reader killed, then the command", f"{before:.0f}", f"{KILLED_S:.0f}"],
        ["the rest", f"{after:.0f}", f"{RESUMED_S:.0f}"],
    ]
    return table(["run", "seconds, simulated", "seconds, measured"], rows)


if __name__ == "__main__":
    print(days(), limits(), checked(), sep="\n\n")

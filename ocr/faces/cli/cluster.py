"""`cluster read`: documents read on many machines, by readers that Ray Data starts there and starts again.

What the parts of documents are, how each is read and what is kept of it is in `parts`. Here they are listed, given to
the readers, and what comes back is counted. Of a document little more is held than that there is one.
"""

import json
import os
import pickle
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any
from uuid import uuid4

import click

import ocr
from ocr.errors import InputError, SetupError, choices
from ocr.faces import exits
from ocr.faces.cli.options import IN_FOLDER, Command, Grouped, Options, number, parameters
from ocr.faces.cli.parts import CLAIMS, PARTS, Done, Part, PartReader, Work, release, split
from ocr.faces.cli.run import job_of
from ocr.faces.cli.sources import STDIN, URL, Source, is_document, limited, named, named_apart, nothing, stem
from ocr.faces.problems import count, printable
from ocr.output.folder import check_writable, held_folder
from ocr.output.formats import encoded
from ocr.output.store import CHUNK, FRESH, SCHEMES, Store, is_uri, local, object_pieces, store, walked, without_secrets
from ocr.output.untrusted import as_shown
from ocr.reading.reader import Reader
from ocr.settings import Settings, read_settings
from ocr.weights.installation import INSTALL_RAY

FAILURES = "failures.jsonl"
MOST_SHOWN = 20  # failures, at the end
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_DATA_LOG_LEVEL": "ERROR"}
ALONE = "local"  # the address of a cluster that Ray starts for this command
ROWS = 500  # sources that are handed to Ray at once
CALLS = 4  # parts that a reader has in hand, whose pages are decoded together
WAITING = 8  # parts that are sent to a reader, those in hand among them
_UNUSED = ("output", "jsonl", "log", "verbose", "errors_only")  # options of `read` that have no use here
EXAMPLES = """\
examples:
  $ocr cluster read scans/ -o out                                  on this machine, a reader for each GPU or processor
  $ocr cluster read /shared/scans -o /shared/out --address auto    on the Ray cluster that this machine is part of
  $ocr cluster read s3://bucket/scans -o s3://bucket/out --resume --address auto
  $ocr cluster read @list.txt -o out                               a path or URI on each line

-o takes a folder that all machines share, or a URI. Below it the files are those that `read -o` writes, and
failures.jsonl lists what could not be read. How to start a cluster: docs/cluster.md

exit status: as that of `read`
"""


@click.group(short_help="Read documents on many machines.")
def cluster() -> None:
    """Read documents on many machines, with Ray."""


def _parameters() -> list[click.Parameter]:
    """What `cluster read` takes: what `read` does, as far as it has a use here, and how many readers there are."""
    heading = "Who reads"

    def limit(option: str, most: int, default: str | None, words: str) -> click.Option:
        return Grouped(heading, [option], type=number(1, most), default=default, metavar="N", help=words)

    target = Grouped(
        "What comes out",
        ["-o", "--output", "target"],
        required=True,
        metavar="TARGET",
        help="write files there: a folder that all machines share, or a URI like s3://bucket/out",
    )
    kept = [each for each in parameters() if each.name not in _UNUSED]
    (source,) = (each for each in kept if isinstance(each, click.Argument))
    source.help = "a file, folder, pattern or URL, a URI like s3://bucket/scans, or @FILE with one of them on each line"
    return [
        source,
        target,
        *kept[1:],
        Grouped(
            heading,
            ["--address"],
            default=None,
            metavar="ADDRESS",
            help="of a Ray cluster: auto for the one that this machine is part of (default: RAY_ADDRESS, or this "
            "machine alone)",
        ),
        limit("--readers", 10_000, None, "models loaded at a time (default: one for each GPU, or each processor)"),
        limit("--cpus-per-reader", 1024, "1", "processors, and threads of a model on a CPU (default: 1)"),
        Grouped(
            heading,
            ["--gpus-per-reader"],
            type=_share,
            default=None,
            metavar="F",
            help="1, or a share like 0.5 for two models on each GPU (default: 1, or 0 where the cluster has none)",
        ),
        limit("--pages-per-part", 1000, "64", "of larger PDFs and TIFFs so many pages are read together (default: 64)"),
        limit("--attempts", 100, "3", "at a document whose reader dies, before it is given up (default: 3)"),
    ]


def _share(value: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not (0 <= share <= 1 or (share <= 64 and share.is_integer())):
        raise ValueError(f"{value!r} must be a share from 0 to 1, or a whole number up to 64")
    return share


@cluster.command(cls=Command, params=_parameters(), short_help="Read documents into files.", epilog=EXAMPLES)
def read(
    target: str,
    address: str | None,
    readers: int | None,
    cpus_per_reader: int,
    gpus_per_reader: float | None,
    pages_per_part: int,
    attempts: int,
    **given: Any,
) -> int:
    """Read documents into files, with readers on many machines."""
    options = Options(**given, output=None, jsonl=False, log=None, verbose=False, errors_only=False)
    _check_target(target)
    settings = replace(read_settings(), threads=cpus_per_reader)
    work = Work(
        run=uuid4().hex,
        settings=settings,
        job=job_of(options, Reader(settings)),
        formats=options.formats or IN_FOLDER,
        target=target if is_uri(target) else str(Path(target).absolute()),
        pages=pages_per_part,
        attempts=attempts,
        resume=options.resume,
    )
    # Ray's own default is whichever cluster was last started here, though it may be long gone.
    address = address or os.environ.get("RAY_ADDRESS") or ALONE
    with _held(work.target), _ray(address) as ray:
        kept = store(work.target)
        for begun in (FRESH,) if work.resume else (FRESH, PARTS, CLAIMS):  # what an earlier run has begun
            kept.remove(begun)
        gpus = gpus_per_reader if gpus_per_reader is not None else min(1.0, ray.cluster_resources().get("GPU", 0))
        there = _places(ray, cpus_per_reader, gpus, is_fixed=address == ALONE)
        readers = readers or max(1, there)
        sources, documents = _handed_over(ray, listed(options.source, settings, _say))
        if not documents:
            raise InputError("The lists name no documents.")
        room = "" if there >= readers else f", of which the cluster has room for {there} as it is"
        _say(f"{count(documents, 'document')} for {count(readers, 'reader')}{room}.")
        tally = Tally(documents, kept)
        try:
            for done in _done(ray, work, sources, readers, cpus_per_reader, gpus):
                tally.add(done)
            kept.remove(CLAIMS)  # of readers that died between a document's record and taking their claim back
        finally:
            kept.remove(FRESH)
            tally.close()
    return exits.FAILED if tally.failures else exits.DONE


def _check_target(target: str) -> None:
    """Raise InputError for a URI of a kind that is not written to, of which a path would make a folder here."""
    if "://" in target and not is_uri(target):
        raise InputError(
            f"Nothing can be written to {without_secrets(target)!r}. A URI begins with one of: {choices(SCHEMES)}; "
            "anything else is a folder."
        )


def _held(target: str) -> AbstractContextManager[None]:
    """The target, for this run alone where it is a folder. Raises InputError for one that cannot be written."""
    folder = local(target)
    if folder is None:
        return nullcontext()
    if reason := check_writable(folder):
        raise InputError(f"The output folder {printable(str(folder))} cannot be written: {reason}. Name another one.")
    return held_folder(folder, _say)


def _say(line: str) -> None:
    print(as_shown(line), file=sys.stderr, flush=True)


# What is to be read.


def listed(arguments: Iterable[str], settings: Settings, tell: Callable[[str], object]) -> Iterator[Source]:
    """The documents that files, folders, patterns, URLs, URIs and lists name, each once and by its own name.

    Of those that were listed only a few bytes each are held. Raises InputError for a list that cannot be read, and for
    standard input, which no other machine has.
    """
    arguments = (each for argument in arguments for each in _lines(argument))
    return named_apart(source for argument in arguments for source in _sources(argument, settings, tell))


def _lines(argument: str) -> Iterator[str]:
    if not argument.startswith("@"):
        yield argument
        return
    try:
        with Path(argument[1:]).open(encoding="utf-8-sig", errors="surrogateescape") as lines:
            yield from (stripped for line in lines if (stripped := line.strip()))
    except OSError as error:
        raise InputError(f"The list {argument[1:]!r} cannot be read: {error.strerror}.") from error


def _sources(argument: str, settings: Settings, tell: Callable[[str], object]) -> Iterator[Source]:
    if argument == STDIN:
        raise InputError("Standard input cannot be read on other machines: name a file, or a URI.")
    if is_uri(argument):
        yield from _objects(argument)
    elif URL.match(argument):
        yield from named(argument, tell, settings.fetch_s)
    else:
        found = named(str(Path(argument).absolute()), tell, settings.fetch_s)
        yield from (replace(source, stamp=_stamp(source.place)) for source in found)


def _stamp(place: str) -> str:
    try:
        found = os.stat(place)  # noqa: PTH116  which takes any name
    except (OSError, ValueError):  # of which its reader tells
        return ""
    return f"{found.st_size}:{found.st_mtime_ns}"


def _objects(uri: str) -> Iterator[Source]:
    """The objects at a URI: itself, or those below it whose names end as a document's."""
    shown, has_any = without_secrets(uri).rstrip("/"), False
    try:
        for below, stamp in walked(uri):
            path = PurePosixPath(below or shown)
            if below and not is_document(path.name):
                continue
            has_any = True
            name = str(path.with_name(stem(Path(path.name)))) if below else stem(Path(path.name))
            yield Source(f"{shown}/{below}".rstrip("/"), name, partial(_from_object, uri, below), stamp)
    except OSError as error:
        yield nothing(shown, f"It cannot be listed: {error}.")
        return
    if not has_any:
        yield nothing(shown, "There are no documents.")


def _from_object(uri: str, below: str, max_mb: int) -> bytes:
    try:
        return limited(object_pieces(uri, below, CHUNK), max_mb)
    except OSError as error:
        raise InputError(f"It cannot be read: {error}.") from error


# Who reads it.


@contextmanager
def _ray(address: str) -> Iterator[Any]:
    """Ray, connected to a cluster, or to one of this machine alone that ends with the block."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise SetupError(f"`cluster read` needs Ray, which is not installed ({error}): `{INSTALL_RAY}`.") from error
    here = str(Path(ocr.__file__).parents[1])  # where this package is on every machine
    paths = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH", "")]))
    try:
        ray.init(
            address=address,
            include_dashboard=False if address == ALONE else None,
            log_to_driver=False,
            logging_level="error",
            runtime_env={"env_vars": {"PYTHONPATH": paths}},
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise SetupError(f"The Ray cluster {address} cannot be reached: {error}") from error
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="ray")  # such as that a small run does not need all readers
            yield ray
    finally:
        ray.shutdown()


def _places(ray: Any, cpus: int, gpus: float, *, is_fixed: bool) -> int:
    """How many readers there is room for. Raises SetupError where there is none, and the cluster will not grow."""
    there = ray.cluster_resources()
    has_cpus, has_gpus = int(there.get("CPU", 0)), there.get("GPU", 0)
    places = min(has_cpus // cpus, int(has_gpus / gpus)) if gpus else has_cpus // cpus
    if is_fixed and not places:
        raise SetupError(
            f"A reader takes {cpus} processors and {gpus:g} GPUs, and there are {has_cpus} and {has_gpus:g}: give "
            "smaller numbers to --cpus-per-reader and --gpus-per-reader."
        )
    return places


def _handed_over(ray: Any, sources: Iterable[Source]) -> tuple[list[Any], int]:
    """The sources as tables in Ray's memory, which goes to disk where it is full; and how many they are."""
    import pyarrow

    tables, documents = [], 0
    sources = iter(sources)
    while some := [pickle.dumps(source) for _, source in zip(range(ROWS), sources, strict=False)]:
        tables.append(ray.put(pyarrow.table({"source": some})))
        documents += len(some)
    return tables, documents


def _done(ray: Any, work: Work, sources: list[Any], readers: int, cpus: int, gpus: float) -> Iterator[Done]:
    """What comes of all parts, as it comes. Raises SetupError where nothing can be read."""
    from ray.data import ActorPoolStrategy, DataContext, TaskPoolStrategy

    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.target_max_block_size = 1  # byte: each part is a block of its own, so that none waits for another
    splitters = TaskPoolStrategy(size=1 + readers // 8)
    pool = ActorPoolStrategy(
        size=readers,  # fixed: a pool that shrinks when splitting is slow would load its models again and again
        max_tasks_in_flight_per_actor=WAITING,
        max_concurrent_calls_per_actor=CALLS,
        enable_true_multi_threading=True,
    )
    rows = ray.data.from_arrow_refs(sources).flat_map(partial(_split, work), num_cpus=0, compute=splitters)
    rows = rows.map(_Reading, fn_constructor_args=(work,), compute=pool, num_cpus=cpus, num_gpus=gpus)
    try:
        for row in rows.iter_rows():
            yield pickle.loads(row["done"])  # noqa: S301  written by our readers
    except ray.exceptions.RayError as error:
        raise SetupError(f"The cluster gave up: {error}") from error


def _split(work: Work, row: dict[str, bytes]) -> list[dict[str, bytes]]:
    source: Source = pickle.loads(row["source"])  # noqa: S301  written by `_handed_over`
    return [{"part": pickle.dumps(part)} for part in split(work, source)]


class _Reading:
    """A reader as Ray Data calls it."""

    def __init__(self, work: Work) -> None:
        self._reader = PartReader(work)

    def __call__(self, row: dict[str, bytes]) -> dict[str, bytes]:
        part: Part = pickle.loads(row["part"])  # noqa: S301  written by `_split`
        return {"done": pickle.dumps(self._reader.read(part))}


# What came of it.


class Tally:
    """Counts what came of parts, says a line for each document, and keeps what could not be read."""

    def __init__(
        self,
        documents: int,
        kept: Store,
        say: Callable[[str], object] = _say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._documents, self._kept, self._say, self._clock = documents, kept, say, clock
        self._began = clock()
        self._parts: dict[str, list[Done]] = {}  # of documents that are not over, by key
        self.over = self.whole = self.read = self.pages = 0  # documents; those read before; those read; pages
        self.failures: list[dict[str, Any]] = []

    def add(self, done: Done) -> None:
        """Take in what came of a part. Raises SetupError where nothing can be read."""
        if done.setup:
            raise SetupError(done.setup)
        if done.attempts:
            release(self._kept, done.key, done.pages, done.attempts)
        parts = self._parts.setdefault(done.key, [])
        parts.append(done)
        if len(parts) == done.parts:
            self._document(self._parts.pop(done.key))

    def _document(self, parts: Sequence[Done]) -> None:
        self.over += 1
        last = next((part for part in parts if part.is_finished), None)
        counted = [last] if last else parts
        pages, place = sum(part.read for part in counted), parts[0].place
        failures = [_failure(place, str(page), why) for part in counted for page, why in part.failed]
        failures += [_failure(place, part.pages, part.error) for part in counted if part.error]
        if last is None and not failures:
            failures = [_failure(place, "", "It is read, but was not put together; --resume does that.")]
        self.failures += failures
        self.pages += pages
        if last and last.is_whole:
            self.whole += 1
            self._say(f"{self._so_far}  {printable(place)}: whole already")
            return
        self.read += last is not None
        for failure in failures:
            self._say(f"{self._so_far}  {_told(failure)}")
        if last:
            seconds = sum(part.seconds for part in parts)
            early = (
                f", {sum(part.early for part in counted)} ended early" if any(part.early for part in counted) else ""
            )
            self._say(
                f"{self._so_far}  {printable(place)}: {count(pages, 'page')} in {seconds:.1f} s{early}; {self._rate}"
            )

    @property
    def _so_far(self) -> str:
        return f"{self.over}/{self._documents}"

    @property
    def _rate(self) -> str:
        seconds = max(self._clock() - self._began, 0.001)
        left = seconds / max(self.over - self.whole, 1) * (self._documents - self.over)
        return f"{self.pages / seconds:.3g} pages/s, {timedelta(seconds=round(left))} left"

    def close(self) -> None:
        """Write the list of failures, and say what was done and the first of them."""
        lines = "".join(json.dumps(failure, ensure_ascii=False) + "\n" for failure in self.failures)
        self._kept.put(FAILURES, encoded(lines))
        took = timedelta(seconds=round(self._clock() - self._began))
        whole = f", {self.whole} whole already" if self.whole else ""
        self._say(f"{count(self.pages, 'page')} read, {count(self.read, 'document')} done{whole}, in {took}")
        if self.failures:
            shown = [_told(failure) for failure in self.failures[:MOST_SHOWN]]
            self._say("\n  ".join([f"{len(self.failures)} could not be read; all are in {FAILURES}:", *shown]))
        if self.over < self._documents:
            self._say("Finished work is kept; run the same command with --resume to continue.")


def _failure(document: str, pages: str, error: str) -> dict[str, Any]:
    return {"document": document, "pages": pages, "error": error}


def _told(failure: dict[str, Any]) -> str:
    pages = f", page {failure['pages']}" if failure["pages"] else ""
    return f"{printable(failure['document'])}{pages}: {failure['error']}"

"""The command line, `python -m ocr`: options in, exit statuses out. What it takes to read is elsewhere."""

import itertools
import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from ocr import __version__
from ocr.errors import InputError, choices
from ocr.faces import exits
from ocr.faces.cli.cluster import cluster
from ocr.faces.cli.doctor import State, examine
from ocr.faces.cli.log import log_file
from ocr.faces.cli.options import IN_FOLDER, NAMES, ON_STDOUT, Command, Options, parameters
from ocr.faces.cli.passwords import password
from ocr.faces.cli.progress import Bar, Failures, Lines, Progress, logged
from ocr.faces.cli.run import Job, JsonLinesSink, Outcome, Printed, Run, TextSink, job_of
from ocr.faces.cli.sources import Source, find
from ocr.faces.problems import count, printable
from ocr.models.catalog import AUTO, MODELS
from ocr.models.tasks import AUTO_PRESET, GUNDAM, TASKS, TASKS_WITH_REFERENCE
from ocr.output.folder import Folder, check_writable, held_folder
from ocr.output.formats import FORMATS
from ocr.output.report import Report
from ocr.output.writers import WRITERS
from ocr.reading.reader import Reader
from ocr.settings import read_settings
from ocr.weights.commands import main as weights
from ocr.weights.installation import called
from ocr.weights.status import status

_FORMATS = "\n".join(f"  {name:9}  NAME{row.suffix:17}  {row.use}" for name, row in FORMATS.items())
EXAMPLES = f"""\
examples:
  $ocr read page.jpg                          the text, as the model writes it
  $ocr read book.pdf --pages 1-3,7 > book.md
  $ocr read scans/ more/*.pdf -o out          out/NAME.md and its figures, for each document
  $ocr read scans/ -o out --resume            continue an interrupted run
  $ocr read scans/ -o out --format md,json,annotated,figures
  $ocr read https://example.org/paper.pdf --format json
  $ocr read bill.png --task locate --reference "the total"
  curl -s https://example.org/page.png | $ocr read - | less

Files written into DIR for a document called NAME, by format:
{_FORMATS}
Folders keep their structure. If two documents have the same name, the second is called NAME-2. Each file is written
completely or not at all.

exit status: 0 all was read, 1 something could not be read, 2 wrong usage, 130 interrupted, 128 + N ended by signal N
"""
URI = re.compile("[a-z][a-z0-9+.-]+:/", re.IGNORECASE)  # how one begins once it was made a path
MOST_LISTED = 20  # lines of each kind of what went wrong, at the end


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of a command line: 0 if all was read, 1 if something failed, else as in `ocr.faces.exits`."""
    return exits.run(cli, called(), argv, NAMES)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
    epilog="`read --help` shows examples. Settings are environment variables: see docs/settings.md.",
)
@click.version_option(__version__, message="%(version)s")
def cli() -> None:
    """Read documents with the models of this project."""


cli.add_command(cluster)


@cli.command(
    "weights",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Fetch, verify and list the models' weights.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def weights_command(arguments: Sequence[str]) -> int:
    """Fetch, verify and list the models' weights, as weights.py does."""
    return weights(arguments)


@cli.command(
    cls=Command,
    params=parameters(),
    short_help="Read documents: files, folders, patterns, URLs.",
    epilog=EXAMPLES,
)
def read(**given: Any) -> int:
    """Read documents. The text goes to standard output as it comes, or into files with -o."""
    options = Options(**given)
    formats = _chosen_formats(options)
    reader = Reader(read_settings())
    job = job_of(options, reader)
    notes: list[str] = []
    sources = find(options.source, notes.append, reader.settings.fetch_s)
    sink = _printed(options, formats, several=len(sources) > 1)
    job = replace(job, request=reader.settled(job.request))  # --resume compares what `Auto` was
    with log_file(options.log) as record, _held_folder(options, formats, job, notes.append) as folder:
        progress = _progress(options, len(sources), record, prints=sink is not None)
        report = Report(folder.path) if folder else None
        run = Run(reader, job, progress, printed=sink, folder=folder, report=report)
        return _run(run, sources, progress, notes, lists_all=options.verbose)


def _run(run: Run, sources: Iterable[Source], progress: Progress, notes: Iterable[str], *, lists_all: bool) -> int:
    """Read the sources to the end, or as far as it goes, and say what came of it."""
    most = sys.maxsize if lists_all else MOST_LISTED
    try:
        with progress, logged(progress):
            for line in notes:
                progress.say(line)
            run.run(sources)
    except (KeyboardInterrupt, SystemExit):
        _report(run, progress, most)
        if run.folder:
            progress.say("Finished work is kept; run the same command with --resume to continue.")
        raise
    finally:
        if run.report:
            run.report.write()
    _report(run, progress, most)
    return exits.FAILED if run.outcome.failures else exits.DONE


def _chosen_formats(options: Options) -> tuple[str, ...]:
    """The formats to make. Raises InputError for options that would have no effect or contradict each other."""
    if options.verbose and options.errors_only:
        raise InputError("-v shows every page, and --errors-only none: leave one of them out.")
    chosen: tuple[str, ...] | None = options.formats
    if options.output is not None:
        return chosen or IN_FOLDER
    if options.resume:
        raise InputError("--resume skips documents already finished in a folder: name it with -o DIR.")
    if chosen and options.jsonl:
        raise InputError(
            "--jsonl and --format cannot both print to standard output: leave one out, or name a folder with -o DIR."
        )
    chosen = chosen or tuple(ON_STDOUT)[:1]
    if len(chosen) > 1 or chosen[0] not in ON_STDOUT:
        raise InputError(
            f"--format is {','.join(chosen)}; one of {choices(ON_STDOUT)} can be printed, the others are files: "
            "say where with -o DIR."
        )
    return chosen


@contextmanager
def _held_folder(
    options: Options, formats: Sequence[str], job: Job, tell: Callable[[str], object]
) -> Iterator[Folder | None]:
    """Where files go, for this run alone. Raises InputError for a folder that it cannot write into."""
    if options.output is None:
        yield None
        return
    if URI.match(str(options.output)):
        raise InputError("-o takes a folder and no URI; `cluster read` writes to URIs.")
    if reason := check_writable(options.output):
        folder = printable(str(options.output))
        raise InputError(f"The output folder {folder} cannot be written: {reason}. Name another one.")
    with held_folder(options.output, tell):
        yield Folder(options.output, formats, job.options, resume=options.resume)


def _printed(options: Options, formats: Sequence[str], *, several: bool) -> Callable[[Source], Printed] | None:
    """What makes the sink on standard output for a document; None where files are all that is wanted."""
    out = sys.stdout
    if options.jsonl:
        return lambda source: JsonLinesSink(out, source.place)
    if options.output is not None:
        return None
    if several and formats[0] != "md":
        raise InputError(f"{formats[0]} of several documents cannot be printed as one: use --jsonl, or -o DIR.")
    writer = WRITERS[ON_STDOUT[formats[0]]]
    blank = itertools.chain([""], itertools.repeat("\n"))  # before every heading but the first
    by_lines = options.verbose or _go_to_one_place()
    return lambda source: TextSink(
        out, writer(), f"{next(blank)}==> {source} <==\n" if several else "", by_lines=by_lines
    )


def _go_to_one_place() -> bool:
    """Whether standard output and standard error are one file or pipe, as after `2>&1`."""
    try:
        return not sys.stdout.isatty() and os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
    except OSError:  # where one is no file, as within another program
        return False


def _progress(options: Options, documents: int, record: Callable[[str], object], *, prints: bool) -> Progress:
    """A bar where it disturbs nothing: not amid text on the terminal, nor beside a pager that it is piped into."""
    if options.errors_only:
        return Failures(documents, record)
    disturbs = prints and not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode) if sys.stderr.isatty() else True
    if sys.stderr.isatty() and disturbs and not options.verbose:
        return Progress(documents, record)
    return (Lines if disturbs else Bar)(documents, record, shows_all_pages=options.verbose)


def _report(run: Run, progress: Progress, most: int) -> None:
    """At the end, on standard error: what was done, and what went wrong once more, so many lines of each kind."""
    outcome = run.outcome
    where = f": see {printable(str(run.report.table))}" if run.report else "; -v lists all"
    whole = f", {outcome.whole} whole already" if outcome.whole else ""
    took = timedelta(seconds=round(progress.tally.seconds))
    progress.note(f"{count(outcome.pages, 'page')} read, {count(outcome.documents, 'document')} done{whole}, in {took}")
    for lines, words in (
        (outcome.early, "ended early; the text so far is kept"),
        (outcome.problems, "with problems; the rest of their text is kept"),
        (outcome.failures, "could not be read"),
    ):
        if lines:
            progress.say("\n  ".join([f"{len(lines)} {words}:", *_first(lines, most, where)]))
    _report_checks(outcome, progress, most)


def _first(lines: Sequence[str], most: int, where: str) -> list[str]:
    """So many lines, and if there are more of them, how many, and where they are."""
    left = len(lines) - most
    return list(lines) if left <= 0 else [*lines[:most], f"… and {left:,} more{where}"]


def _report_checks(outcome: Outcome, progress: Progress, most: int) -> None:
    """A table of the pages whose answers and second readings disagree; and which of the pages were not compared."""
    where = "; -v lists all"
    if outcome.disagreeing:
        lines = table(("OMITTED", "UNSUPPORTED", "CONFLICTS", "PAGE"), outcome.disagreeing)
        many = f"{len(outcome.disagreeing)} of {count(outcome.checked, 'page')}"
        words = f"{many} disagree with a second reading, which may be wrong too:"
        progress.say("\n  ".join([words, *_first(lines, most + 1, where)]))
    if outcome.unchecked:
        words = f"{len(outcome.unchecked)} could not be checked:"
        progress.say("\n  ".join([words, *_first(outcome.unchecked, most, where)]))


@cli.command(
    cls=Command,
    short_help="Show a run as one HTML page.",
    epilog="Pages are drawn from the documents again, where these are still there and unchanged.",
)
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="default: DIR/report.html")
@click.option("--password", "ask", is_flag=True, help="ask for the password of protected PDFs; it is not shown")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="take the password from the first line of this file",
)
def report(folder: Path, output: Path | None, *, ask: bool, password_file: Path | None) -> None:
    """Write one HTML page of what `read -o DIR` did: pages with frames and text, problems first, and figures."""
    from ocr.faces.cli.report import PAGE, write_report

    secret = password(ask=ask, file=password_file)
    page = output or folder / PAGE
    shown = write_report(folder, page, read_settings(), secret)
    print(f"{count(shown, 'page')} shown in {printable(str(page))}", file=sys.stderr)


@cli.command()
def models() -> None:
    """List the models, their licences, languages and presets on a CPU, and whether their weights are there."""
    settings = read_settings()
    rows = [
        (model, card.licence, card.languages, card.cpu_preset, status(model, settings.checkpoints).summary)
        for model, card in MODELS.items()
    ]
    _table(("MODEL", "LICENCE", "LANGUAGES", "RESOLUTION ON A CPU", "WEIGHTS"), rows)
    print(f"\nauto stands for {Reader(settings).resolve(AUTO)}.")
    print(f"The resolution {AUTO_PRESET} stands for {GUNDAM}, and for what is listed above where there is no GPU.")


@cli.command()
def tasks() -> None:
    """List the tasks, and which models were trained for them."""
    rows = []
    for task in TASKS:
        trained = ["yes" if task in model.tasks else "-" for model in MODELS.values()]
        rows.append((task, *trained, TASKS_WITH_REFERENCE.get(task, "")))
    _table(("TASK", *MODELS, "--reference"), rows)


@cli.command(short_help="Show the device, the settings and the weights that would be used, and what is wrong.")
def doctor() -> int:
    """Say what device, dtype, attention and weights would be used, and what is wrong."""
    wrong, demo = 0, ""
    for finding in examine():
        print(f"{finding.state:5}  {finding.what:10}  {finding.says}", flush=True)
        wrong += finding.state is State.WRONG
        if finding.what == "auto" and finding.state is State.NOTE:
            demo = ", but only with a demo model"
    print(f"\n{count(wrong, 'thing')} to fix." if wrong else f"\nReady to read{demo}.")
    return exits.FAILED if wrong else exits.DONE


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table with its head, its columns as wide as what is in them."""
    cells = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    print("\n".join(table(head, rows)))

"""The command line, `python -m ocr`: options in, exit codes out. What it takes to read is elsewhere."""

import argparse
import itertools
import os
import re
import signal
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path

from ocr.documents.document import PDF_DPI, page_ranges
from ocr.documents.pdf import MAX_DPI, MIN_DPI
from ocr.errors import InputError, OCRError, choices
from ocr.faces.cli.doctor import State, examine
from ocr.faces.cli.options import NAMES
from ocr.faces.cli.progress import Bar, Lines, Progress, logged
from ocr.faces.cli.run import Batch, Job, JsonLines, Outcome, Sink, Text
from ocr.faces.cli.sources import STDIN, Source, find, printable
from ocr.models.catalog import AUTO, MODELS
from ocr.models.tasks import DEFAULT_PRESET, MARKDOWN, PRESETS, TASKS, TASKS_WITH_REFERENCE
from ocr.output.folder import FORMATS, Folder, check_writable
from ocr.output.writers import WRITERS
from ocr.reading.reader import Reader
from ocr.reading.request import Request
from ocr.settings import MAX_BATCH, read_settings
from ocr.types import MAX_NEW_TOKENS, Decoding
from ocr.weights.status import status

ALL_READ, SOME_FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
NOBODY_LISTENS = 128 + signal.SIGPIPE  # as a shell reports a program that a closed pipe ended

IN_FOLDER = ("md", "figures")  # what is written there by default: the text, and the pictures that it links to
ON_STDOUT: Mapping[str, str] = {"md": "markdown", "json": "json"}  # formats that are text, and their writers

EXAMPLES = """\
examples:
  python -m ocr read page.jpg                          the text, as the model writes it
  python -m ocr read book.pdf --pages 1-3,7 > book.md
  python -m ocr read scans/ more/*.pdf -o out          out/NAME.md and its figures, for each document
  python -m ocr read scans/ -o out --resume            go on where that was interrupted
  python -m ocr read scans/ -o out --format md,json,annotated,figures
  python -m ocr read https://example.org/paper.pdf --format json
  python -m ocr read bill.png --task locate --reference "the total"
  curl -s https://example.org/page.png | python -m ocr read - | less

What is written into DIR for a document NAME: NAME.md, NAME.json, NAME.annotated/page-1.png (the page with the elements'
boxes), NAME.images/page-1-1.png (its figures; NAME.md links to them). A folder's documents keep their folders there.
Of two with one name the second is NAME-2. Each file is written whole or not at all.

exit status: 0 all was read, 1 something could not be read, 2 wrong usage, 130 interrupted
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 if all was read, 1 if something failed, 2 for wrong usage, 130 for Ctrl-C."""
    arguments = _parsed(argv)
    signal.signal(signal.SIGTERM, _terminated)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return NOBODY_LISTENS
    except InputError as error:
        print(f"error: {error.named(NAMES)}", file=sys.stderr)
        return WRONG_USAGE
    except OCRError as error:
        print(f"error: {error}", file=sys.stderr)
        return SOME_FAILED
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return INTERRUPTED
    return status


def _terminated(number: int, _frame: object) -> None:
    """End in order when the system asks for it, so that no half files are left."""
    sys.exit(128 + number)


# ---- The options


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options. Sources may stand among them: `read a.pdf -o out b.pdf`, which argparse by itself refuses."""
    parser = _parser()
    arguments, rest = parser.parse_known_args(argv)
    end = rest.index("--") if "--" in rest else len(rest)  # after it everything is a source
    wrong = [word for word in rest[:end] if word.startswith("-") and word != STDIN]
    if wrong or (rest and arguments.run is not _read):
        parser.error(f"unrecognized arguments: {' '.join(wrong or rest)}")
    if rest:
        arguments.source += rest[:end] + rest[end + 1 :]
    return arguments


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ocr",
        description="Read documents with the models of this project.",
        epilog="`python -m ocr read --help` shows examples. Settings are environment variables: see the README.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_read(commands)
    for name, run, words in (
        ("models", _models, "list the models, and whether their weights are there"),
        ("tasks", _tasks, "list the tasks, and which models were trained for them"),
        ("doctor", _doctor, "say what device, dtype, attention and weights would be used, and what is wrong"),
    ):
        commands.add_parser(name, help=words, description=words.capitalize() + ".").set_defaults(run=run)
    return parser


def _add_read(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    read = commands.add_parser(
        "read",
        help="read documents: files, folders, patterns, URLs",
        description="Read documents. The text goes to standard output as it comes, or into files with -o.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    read.set_defaults(run=_read)
    read.add_argument(
        "source", nargs="+", metavar="SOURCE", help="a file, folder, pattern or URL; - for standard input"
    )
    _add_output(read.add_argument_group("what comes out"))
    _add_request(read.add_argument_group("what is asked"))
    _add_pages(read.add_argument_group("which pages, and how"))


def _add_output(group: argparse._ArgumentGroup) -> None:
    default = f"default: {','.join(IN_FOLDER)} with -o, {next(iter(ON_STDOUT))} without"
    add = group.add_argument
    add("-o", "--output", type=Path, metavar="DIR", help="write files into this folder; it is made where it is not")
    add("--format", type=_formats, metavar="LIST", help=f"some of {','.join(FORMATS)} ({default})")
    add("--jsonl", action="store_true", help="print each page as a line of JSON as soon as it is read")
    add("--resume", action="store_true", help="skip documents that DIR holds whole, read with the same options")


def _add_request(group: argparse._ArgumentGroup) -> None:
    def choice(option: str, names: Sequence[str], default: str, words: str = "") -> None:
        listed = f"{words}{choices(names)}, or how one of them begins (default: {default})"
        group.add_argument(option, type=partial(_row, names), default=default, metavar="NAME", help=listed)

    choice("--model", (AUTO, *MODELS), AUTO)
    choice("--task", TASKS, MARKDOWN)
    choice("--resolution", PRESETS, DEFAULT_PRESET, "how closely the model looks: ")
    needed = "; ".join(f"{task}: {words}" for task, words in TASKS_WITH_REFERENCE.items())
    group.add_argument("--reference", default="", metavar="TEXT", help=needed)
    group.add_argument("--prompt", default="", metavar="TEXT", help="your own instruction in place of the task's")


def _add_pages(group: argparse._ArgumentGroup) -> None:
    def number(option: str, least: int, most: int, default: int | None, words: str) -> None:
        shown = f"{words}, {least} to {most} (default: {default or 'OCR_BATCH, or what memory has room for'})"
        group.add_argument(option, type=partial(_number, least, most), default=default, metavar="N", help=shown)

    group.add_argument("--pages", default="", metavar="LIST", help="which ones, like 1-3,7 (default: all)")
    number("--dpi", MIN_DPI, MAX_DPI, PDF_DPI, "at which PDF pages are drawn")
    number("--max-new-tokens", 1, MAX_NEW_TOKENS, Decoding.max_new_tokens, "the most tokens of text for a page")
    number("--batch", 1, MAX_BATCH, None, "pages decoded together")


def _row(names: Sequence[str], value: str) -> str:
    """The name that some letters begin or are, in any case and without signs between them.

    Of several the one that all the others begin with.
    """

    def plain(text: str) -> str:
        return re.sub(r"[\W_]+", "", text).casefold()

    matches = sorted((name for name in names if plain(name).startswith(plain(value))), key=len)
    if not matches or not all(plain(name).startswith(plain(matches[0])) for name in matches):
        raise argparse.ArgumentTypeError(f"{value!r} must be, or begin, one of: {choices(names)}")
    return matches[0]


def _number(least: int, most: int, value: str) -> int:
    if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
        raise argparse.ArgumentTypeError(f"{value!r} must be a whole number from {least} to {most}")
    return int(value)


def _formats(value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    for name in names:
        if name not in FORMATS:
            raise argparse.ArgumentTypeError(f"{name!r} is no format; it must be one of: {choices(FORMATS)}")
    return names


# ---- read


def _read(arguments: argparse.Namespace) -> int:
    formats = _chosen_formats(arguments)
    reader = Reader(read_settings())
    job = _job(arguments, reader)
    folder = _folder(arguments, formats, job)
    sources = find(arguments.source)
    sink = _printed(arguments, formats, several=len(sources) > 1)
    progress = _progress(len(sources), prints=sink is not None)
    batch = Batch(reader, job, progress, printed=sink, folder=folder)
    try:
        with progress, logged(progress):
            batch.run(sources)
    except (KeyboardInterrupt, SystemExit):
        _report(batch.outcome, progress)
        if folder:
            progress.say("What is done is kept; the same command with --resume goes on from there.")
        raise
    _report(batch.outcome, progress)
    return SOME_FAILED if batch.outcome.failures else ALL_READ


def _chosen_formats(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The formats to make. Raises InputError for options that would have no effect or contradict each other."""
    chosen: tuple[str, ...] | None = arguments.format
    if arguments.output is not None:
        return chosen or IN_FOLDER
    if arguments.resume:
        raise InputError("--resume skips what is whole in a folder: name it with -o DIR.")
    if chosen and arguments.jsonl:
        raise InputError("--jsonl takes the place of --format on standard output; with -o DIR both can be had.")
    chosen = chosen or tuple(ON_STDOUT)[:1]
    if len(chosen) > 1 or chosen[0] not in ON_STDOUT:
        raise InputError(
            f"--format is {','.join(chosen)}; one of {choices(ON_STDOUT)} can be printed, the others are files: "
            "say where with -o DIR."
        )
    return chosen


def _job(arguments: argparse.Namespace, reader: Reader) -> Job:
    request = Request(
        model=reader.resolve(arguments.model),
        task=arguments.task,
        reference_text=arguments.reference,
        resolution=arguments.resolution,
        prompt=arguments.prompt,
    )
    list(page_ranges(arguments.pages))  # wrong ones are wrong for every document
    decoding = Decoding(max_new_tokens=arguments.max_new_tokens, deadline_s=reader.settings.deadline_s)
    return Job(request, decoding, arguments.pages, arguments.dpi, arguments.batch)


def _folder(arguments: argparse.Namespace, formats: Sequence[str], job: Job) -> Folder | None:
    """Where files go. Raises InputError for a folder that nothing can be written into."""
    path: Path | None = arguments.output
    if path is None:
        return None
    if reason := check_writable(path):
        raise InputError(f"The output folder {printable(str(path))} cannot be written: {reason}. Name another one.")
    rest = {"max_new_tokens": job.decoding.max_new_tokens, "pages": job.pages, "dpi": job.dpi}
    return Folder(path, formats, asdict(job.request) | rest, resume=arguments.resume)


def _printed(
    arguments: argparse.Namespace, formats: Sequence[str], *, several: bool
) -> Callable[[Source], Sink] | None:
    """What makes the sink on standard output for a document; None where files are all that is wanted."""
    out = sys.stdout
    if arguments.jsonl:
        return lambda source: JsonLines(out, source.place)
    if arguments.output is not None:
        return None
    if several and formats[0] != "md":
        raise InputError(f"{formats[0]} of several documents cannot be printed as one: use --jsonl, or -o DIR.")
    writer = WRITERS[ON_STDOUT[formats[0]]]
    blank = itertools.chain([""], itertools.repeat("\n"))  # before every heading but the first
    return lambda source: Text(out, writer(), f"{next(blank)}==> {source} <==\n" if several else "")


def _progress(documents: int, *, prints: bool) -> Progress:
    """A bar where it disturbs nothing: not amid text on the terminal, nor beside a pager that it is piped into."""
    if not sys.stderr.isatty():
        return Lines(documents)
    if prints and not stat.S_ISREG(os.fstat(sys.stdout.fileno()).st_mode):
        return Progress(documents)
    return Bar(documents)


def _report(outcome: Outcome, progress: Progress) -> None:
    """At the end, on standard error: what was done, and everything that went wrong once more."""
    whole = f", {outcome.whole} whole already" if outcome.whole else ""
    took = timedelta(seconds=round(progress.tally.seconds))
    progress.note(
        f"{_count(outcome.pages, 'page')} read, {_count(outcome.documents, 'document')} done{whole}, in {took}"
    )
    for lines, words in (
        (outcome.early, "ended early; the text so far is kept"),
        (outcome.failures, "could not be read"),
    ):
        if lines:
            progress.say("\n  ".join([f"{len(lines)} {words}:", *lines]))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# ---- models, tasks, doctor


def _models(_arguments: argparse.Namespace) -> int:
    settings = read_settings()
    _table(("MODEL", "WEIGHTS"), [(model, status(model, settings.checkpoints).summary) for model in MODELS])
    print(f"\nauto stands for {Reader(settings).resolve(AUTO)}.")
    return ALL_READ


def _tasks(_arguments: argparse.Namespace) -> int:
    rows = []
    for task in TASKS:
        trained = ["yes" if task in model.tasks else "-" for model in MODELS.values()]
        rows.append((task, *trained, TASKS_WITH_REFERENCE.get(task, "")))
    _table(("TASK", *MODELS, "--reference"), rows)
    return ALL_READ


def _doctor(_arguments: argparse.Namespace) -> int:
    wrong = 0
    for finding in examine():
        print(f"{finding.state:5}  {finding.what:10}  {finding.says}", flush=True)
        wrong += finding.state is State.WRONG
    print(f"\n{_count(wrong, 'thing')} to mend." if wrong else "\nReady to read.")
    return SOME_FAILED if wrong else ALL_READ


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [head, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

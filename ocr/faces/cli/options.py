"""The options of `read`: what they are called, what they take, and how --help shows them. Reads nothing."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import click

from ocr.documents.document import MAX_DPI, MIN_DPI, PDF_DPI
from ocr.errors import choices
from ocr.faces.cli.passwords import refuse_typed
from ocr.models.catalog import AUTO, MODELS
from ocr.models.tasks import AUTO_PRESET, MARKDOWN, RESOLUTIONS, TASKS, TASKS_WITH_REFERENCE
from ocr.output.formats import FORMATS
from ocr.reading.request import TEXT_LAYERS
from ocr.reading.turning import AUTO as AUTO_ORIENT
from ocr.reading.turning import OFF, ORIENTS
from ocr.settings import MAX_BATCH
from ocr.types import MAX_NEW_TOKENS, Decoding

# What the command line calls the options that an InputError may name.
NAMES: Mapping[str, str] = {
    "model": "--model",
    "task": "--task",
    "reference": "--reference",
    "prompt": "--prompt",
    "resolution": "--resolution",
    "pages": "--pages",
    "dpi": "--dpi",
    "max_new_tokens": "--max-new-tokens",
    "orient": "--orient",
    "check": "--check",
    "text_layer": "--text-layer",
}

IN_FOLDER = ("md", "figures")  # what is written there by default: the text, and the pictures that it links to
ON_STDOUT: Mapping[str, str] = {"md": "markdown", "json": "json"}  # formats that are text, and their writers
SOURCE = "a file, folder, pattern or URL; - for standard input"


@dataclass(frozen=True)
class Options:
    """What was typed after `read`, each option checked by itself."""

    source: tuple[str, ...]
    output: Path | None
    formats: tuple[str, ...] | None
    jsonl: bool
    resume: bool
    log: Path | None
    verbose: bool
    errors_only: bool
    model: str
    task: str
    resolution: str
    reference: str
    prompt: str
    pages: str
    password: bool
    password_file: Path | None
    dpi: int
    max_new_tokens: int
    whole_pages: bool
    orient: str
    check: bool | None
    text_layer: str
    batch: int | None


class Grouped(click.Option):
    """An option below a heading of its own in --help."""

    def __init__(self, heading: str, names: Sequence[str], **more: Any) -> None:
        super().__init__(list(names), **more)
        self.heading = heading


class Command(click.Command):
    """A command whose options stand below their headings in --help, with the words after them as they are written.

    There `$ocr` stands for what the program was called by.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        refuse_typed(args)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                rows.setdefault(getattr(parameter, "heading", "Options"), []).append(record)
        for heading, records in rows.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("\n" + Template(self.epilog or "").substitute(ocr=ctx.find_root().info_name))


def begun(names: Sequence[str]) -> Callable[[str], str]:
    """What finds the name that some letters begin or are, in any case and without signs between them.

    Of several it is the one that all the others begin with. Raises ValueError where there is none.
    """

    def plain(text: str) -> str:
        return re.sub(r"[\W_]+", "", text).casefold()

    def name(value: str) -> str:
        matches = sorted((name for name in names if plain(name).startswith(plain(value))), key=len)
        if not matches or not all(plain(name).startswith(plain(matches[0])) for name in matches):
            raise ValueError(f"{value!r} must be, or unambiguously begin, one of: {choices(names)}")
        return matches[0]

    return name


def number(least: int, most: int) -> Callable[[str], int]:
    """What makes a number of its digits. Raises ValueError for one that is not in the range."""

    def whole(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"{value!r} must be a whole number from {least} to {most}")
        return int(value)

    return whole


def formats(value: str) -> tuple[str, ...]:
    """Names of formats out of a list with commas, each once. Raises ValueError for one that is none."""
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    for name in names:
        if name not in FORMATS:
            raise ValueError(f"{name!r} is no format; it must be one of: {choices(FORMATS)}")
    return names


def parameters() -> list[click.Parameter]:
    """What `read` takes, in the order of its --help."""
    return [
        click.Argument(["source"], nargs=-1, required=True, metavar="SOURCE...", help=SOURCE),
        *_output("Output"),
        *_told("Messages"),
        *_request("Task and model"),
        *_pages("Pages"),
    ]


def _output(heading: str) -> list[click.Parameter]:
    default = f"default: {','.join(IN_FOLDER)} with -o, {next(iter(ON_STDOUT))} without"
    return [
        Grouped(
            heading,
            ["-o", "--output"],
            type=click.Path(path_type=Path),
            metavar="DIR",
            help="write files into this folder, which is created if needed",
        ),
        Grouped(
            heading,
            ["--format", "formats"],
            type=formats,
            metavar="LIST",
            help=f"some of {','.join(FORMATS)} ({default})",
        ),
        Grouped(heading, ["--jsonl"], is_flag=True, help="print each page as a line of JSON as soon as it is read"),
        Grouped(
            heading, ["--resume"], is_flag=True, help="skip documents already finished in DIR with the same options"
        ),
    ]


def _told(heading: str) -> list[click.Parameter]:
    return [
        Grouped(
            heading,
            ["--log"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="append a log of everything that happens to this file, each line with its time",
        ),
        Grouped(
            heading,
            ["-v", "--verbose"],
            is_flag=True,
            help="show a line for every page, and at the end list everything that went wrong",
        ),
        Grouped(heading, ["--errors-only"], is_flag=True, help="show only what could not be read"),
    ]


def _request(heading: str) -> list[click.Parameter]:
    def choice(option: str, names: Sequence[str], default: str, words: str = "") -> click.Option:
        listed = f"{words}{choices(names)}, unambiguous prefixes are accepted (default: {default})"
        return Grouped(heading, [option], type=begun(names), default=default, metavar="NAME", help=listed)

    def text(option: str, words: str) -> click.Option:
        return Grouped(heading, [option], default="", metavar="TEXT", help=words)

    return [
        choice("--model", (AUTO, *MODELS), AUTO),
        choice("--task", TASKS, MARKDOWN),
        choice("--resolution", RESOLUTIONS, AUTO_PRESET, "how closely the model looks: "),
        text("--reference", "; ".join(f"{task}: {words}" for task, words in TASKS_WITH_REFERENCE.items())),
        text("--prompt", "your own instruction in place of the task's"),
    ]


def _pages(heading: str) -> list[click.Parameter]:
    def limit(option: str, least: int, most: int, default: int | None, words: str) -> click.Option:
        shown = f"{words}, {least} to {most} (default: {default or 'OCR_BATCH, or as many as fit into memory'})"
        value = str(default) if default else None
        return Grouped(heading, [option], type=number(least, most), default=value, metavar="N", help=shown)

    return [
        Grouped(heading, ["--pages"], default="", metavar="LIST", help="which ones, like 1-3,7 (default: all)"),
        Grouped(heading, ["--password"], is_flag=True, help="ask for the password of protected PDFs; it is not shown"),
        Grouped(
            heading,
            ["--password-file"],
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="the password of protected PDFs is the first line of this file",
        ),
        limit("--dpi", MIN_DPI, MAX_DPI, PDF_DPI, "rendering resolution for PDF pages, in DPI"),
        limit("--max-new-tokens", 1, MAX_NEW_TOKENS, Decoding.max_new_tokens, "the most tokens of text for a page"),
        Grouped(
            heading,
            ["--whole-pages"],
            is_flag=True,
            help="read every page in one piece, however long or large it is",
        ),
        Grouped(
            heading,
            ["--orient"],
            type=begun(tuple(ORIENTS)),
            default=AUTO_ORIENT,
            metavar="HOW",
            help="turn pages upright before they are read: auto (if that is certain), off, or 90, 180 or 270 degrees "
            f"clockwise (default: {AUTO_ORIENT})",
        ),
        Grouped(
            heading,
            ["--check/--no-check"],
            default=None,
            help="read each page a second time with pp-ocr and list where the two differ (default: on if its weights "
            "are there and it takes little time compared with the model)",
        ),
        Grouped(
            heading,
            ["--text-layer"],
            type=begun(TEXT_LAYERS),
            default=OFF,
            metavar="HOW",
            help="auto: take the text of a PDF page from the PDF itself if it has all the text that is visible; off: "
            f"read what is visible (default: {OFF})",
        ),
        limit("--batch", 1, MAX_BATCH, None, "pages decoded together"),
    ]

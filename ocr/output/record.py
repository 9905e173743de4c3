"""What an output folder keeps of earlier runs, and how it is read back: strictly, for anyone may have written there.

Links are never followed. What is no regular file is not opened; a line that is not as ours counts for nothing.
"""

import json
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Any, get_type_hints

from ocr.errors import InputError
from ocr.output.formats import encoded
from ocr.types import Check, Conflict, Element, FinishReason, Omitted, PageResult, Source, Unsupported

LONGEST = 1 << 26  # bytes of a line; a page's is its text a few times over
LARGEST = 1 << 30  # bytes of a file of lines

LISTS = {"formats", "files", "failed", "elements", "problems", "made"}  # fields that are

Made = tuple[str, int]  # a file, relative to where it lies, and its size in bytes


@dataclass(frozen=True)
class Entry:
    """A document, how it is or was read into a folder, and at its end what came of it."""

    name: str  # of its files in the folder, without a suffix
    sha256: str
    options: Mapping[str, Any]  # that its text depends on
    formats: tuple[str, ...]
    files: tuple[Made, ...] = ()  # that were written, relative to the folder
    failed: tuple[int, ...] = ()  # numbers of the pages that could not be read


def restored_entry(line: bytes) -> Entry | None:
    """An entry's line; None for one that is not whole, or not as ours are."""
    try:
        found = _object(line)
        entry = Entry(
            **found
            | {"formats": tuple(found["formats"]), "files": _made(found["files"]), "failed": tuple(found["failed"])}
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    are_ours = (
        _are(str, entry.name, entry.sha256, *entry.formats)
        and _are(int, *entry.failed)
        and isinstance(entry.options, dict)
    )
    return entry if are_ours else None


def page_line(result: PageResult, made: Sequence[Made]) -> dict[str, Any]:
    """What a page's line holds: the result, and the files that were made of it."""
    return {name: value for name, value in asdict(result).items() if name != "image"} | {"made": made}


def restored_page(line: bytes) -> tuple[PageResult, tuple[Made, ...]] | None:
    """A page's line; None for one that is not whole, or not as ours are."""
    try:
        found = _object(line)
        made = _made(found.pop("made"))
        elements = [Element(**each | {"bbox": each["bbox"] and _box(each["bbox"])}) for each in found["elements"]]
        found |= {
            "elements": tuple(elements),
            "finish_reason": FinishReason(found["finish_reason"]),
            "source": Source(found.get("source", Source.MODEL)),
            "problems": tuple(found["problems"]),
            "check": _check(found["check"]) if found.get("check") else None,
        }
        result = PageResult(**found)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    texts = [text for element in elements for text in (element.type, element.label, element.text)]
    return (result, made) if _are(str, *result.problems, *texts) and _is_typed(result) else None


def _object(line: bytes) -> dict[str, Any]:
    found = json.loads(line, parse_constant=_refused)
    if not isinstance(found, dict) or not all(isinstance(found[name], list) for name in LISTS & found.keys()):
        raise TypeError
    return found


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no number of ours")


def _made(listed: Any) -> tuple[Made, ...]:
    made = tuple((name, size) for name, size in listed)
    if not (_are(str, *(name for name, _ in made)) and _are(int, *(size for _, size in made))):
        raise TypeError
    return made


def _check(found: Mapping[str, Any]) -> Check:
    """What a line holds of a check. Raises TypeError, ValueError or KeyError where it is not as ours are."""
    kinds = {"omitted": Omitted, "unsupported": Unsupported, "conflicts": Conflict}
    lists = {name: tuple(_disagreement(kind, each) for each in found[name]) for name, kind in kinds.items()}
    check = Check(**{**found, **lists, "reference": Source(found.get("reference", Source.LINES))})
    if not _are(int, check.lines) or not _are(str, check.failure):
        raise TypeError
    return check


def _disagreement(kind: type[Any], found: Mapping[str, Any]) -> Any:
    made = kind(**{**found, "bbox": _box(found["bbox"]) if found["bbox"] or kind is not Unsupported else None})
    texts = [value for name, value in found.items() if name not in ("bbox", "element")]
    if not _are(str, *texts) or not (found.get("element") is None or _are(int, found["element"])):
        raise TypeError
    return made


def _box(sides: Any) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = sides
    if not _are(float, x1, y1, x2, y2):
        raise TypeError
    return x1, y1, x2, y2


def _are(kind: type, *values: object) -> bool:
    """Whether each is of this type; a whole number is a float too, and True is no number."""
    kinds = (int, float) if kind is float else (kind,)
    return all(type(value) in kinds and (kind is str or abs(value) < 2**53) for value in values)  # type: ignore[arg-type]


def _is_typed(result: PageResult) -> bool:
    return all(_are(kind, getattr(result, name)) for name, kind in _plain_fields().items())


@cache  # for pages are many
def _plain_fields() -> Mapping[str, type]:
    """The fields of a result that are text or a number, with which of them."""
    hints = get_type_hints(PageResult)
    return {each.name: hints[each.name] for each in fields(PageResult) if hints[each.name] in (str, int, float)}


def append(path: Path, value: Mapping[str, Any]) -> None:
    """Add a line to a file of lines; where the last one was cut off, this one still begins a line of its own."""
    with os.fdopen(opened(path, os.O_RDWR | os.O_APPEND | os.O_CREAT), "r+b") as file:
        end = file.seek(0, os.SEEK_END)
        is_cut = end > 0 and os.pread(file.fileno(), 1, end - 1) != b"\n"
        file.write(b"\n" * is_cut + encoded(json.dumps(value, ensure_ascii=False) + "\n"))


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, none where there is no file. Raises InputError where it is none of ours."""
    try:
        descriptor = opened(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_size > LARGEST:
            raise refusal(path, f"larger than {LARGEST >> 20} MiB")
        while line := file.readline(LONGEST):
            yield line


def opened(path: Path, flags: int) -> int:
    """The descriptor of a regular file. Raises InputError for what is none, and for a link, without opening it."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except FileNotFoundError:
        raise
    except OSError as error:
        if os.path.lexists(path) and not is_file(path):
            raise refusal(path) from error
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise refusal(path)
    return descriptor


def is_file(path: Path, size: int | None = None) -> bool:
    """Whether there is a regular file, of this size where one is given; a link is none."""
    try:
        found = path.lstat()
    except (OSError, ValueError):  # the latter for names that no file can have
        return False
    return stat.S_ISREG(found.st_mode) and size in (None, found.st_size)


def are_there(folder: Path, made: Sequence[Made]) -> bool:
    """Whether all these files lie in a folder or below it, by no link, each of its size."""
    return all(
        ".." not in PurePosixPath(name).parts
        and not PurePosixPath(name).is_absolute()
        and not has_link(folder, folder / name)
        and is_file(folder / name, size)
        for name, size in made
    )


def has_link(folder: Path, path: Path) -> Path | None:
    """The first link on the way from a folder to what lies below it, the end included."""
    steps = [step for step in (*reversed(path.parents), path) if folder in step.parents]
    return next((step for step in steps if os.path.islink(step)), None)  # noqa: PTH114  which takes any name


def refuse_links(folder: Path, path: Path) -> None:
    """Raise InputError where the way from a folder to what lies below it leads over a link."""
    if link := has_link(folder, path):
        raise refusal(link)


def refusal(path: Path, what: str = "") -> InputError:
    """The error for something in an output folder that no run of ours has put there."""
    what = what or ("a link" if path.is_symlink() else "a folder" if path.is_dir() else "no regular file")
    return InputError(
        f"{str(path)!r} is {what}, which no run puts there. It is left alone: move it, or name another folder."
    )


def remove(path: Path) -> None:
    """Delete a file, a link itself, or a folder with all that is in it; nothing that a link leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

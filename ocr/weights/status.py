"""Whether a checkpoint is there and whole: one answer for all who ask, with what to say of it and what mends it."""

import os
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ocr.weights import table
from ocr.weights.files import size_text
from ocr.weights.installation import CHECKPOINTS, WEIGHTS
from ocr.weights.table import Checkpoint
from ocr.weights.whole import LOCK, problems


class Readiness(StrEnum):
    """Whether a checkpoint can be loaded."""

    READY = "ready"
    ABSENT = "absent"
    BROKEN = "broken"  # something is there that is no whole checkpoint


class Kind(StrEnum):
    """Whose a checkpoint is."""

    OWN = "own"  # the user's: the table does not name it, or no lock says that it was fetched
    PINNED = "pinned"  # fetched from the table's source or to be fetched from there
    EMBEDDED = "embedded"  # part of this project


@dataclass(frozen=True)
class Status:
    """What there is of one checkpoint."""

    name: str
    folder: Path
    row: Checkpoint | None  # None where the table does not name it
    readiness: Readiness
    kind: Kind
    faults: tuple[str, ...] = ()  # one line per file of a broken one

    @property
    def is_ready(self) -> bool:
        return self.readiness is Readiness.READY

    @property
    def command(self) -> str:
        """What to type to have it whole; empty for a folder of the user's own, which only they can mend."""
        return _command(self.name, self.folder.parent)

    @property
    def summary(self) -> str:
        """What it is and what mends it, as it stands in a table."""
        match self.readiness:
            case Readiness.READY:
                return f"ready in {self.folder}"
            case Readiness.ABSENT:
                return "absent" + (f"; `{self.command}` fetches them into {self.folder.parent}" if self.command else "")
            case Readiness.BROKEN:
                return f"not whole: {self.faults[0]}" + (f"; `{self.command}` mends them" if self.command else "")

    @property
    def message(self) -> str:
        """What it is and what to do, as it stands in an error."""
        match self.readiness:
            case Readiness.READY:
                return f"{self.name}: ready in {self.folder}"
            case Readiness.ABSENT:
                return missing_message(self.name, self.folder.parent)
            case Readiness.BROKEN:
                run = f" Run: {self.command}" if self.command else ""
                return f"The weights in {self.folder} are not whole: {self.faults[0]}.{run}"


def status(name: str, root: Path) -> Status:
    """Look at the folder root/name; takes a fraction of a second for any size, and never raises for what it finds."""
    folder, row = root / name, table.checkpoints().get(name)
    is_there = os.path.lexists(folder)
    look = row.problems if row else problems
    faults = tuple(look(folder)) if is_there else ()
    readiness = Readiness.ABSENT if not is_there else Readiness.BROKEN if faults else Readiness.READY
    if row is None:
        kind = Kind.OWN
    elif row.is_embedded:
        kind = Kind.EMBEDDED
    else:
        is_own = is_there and not os.path.lexists(folder / LOCK)
        kind = Kind.PINNED if row.can_be_fetched and not is_own else Kind.OWN
    return Status(name, folder, row, readiness, kind, faults)


def missing_message(name: str, root: Path) -> str:
    """What to do about weights that are not there: the command that fetches them, and how much that is."""
    row, folder, command = table.checkpoints().get(name), root / name, _command(name, root)
    if row is None:
        known = ", ".join(table.checkpoints())
        return f"No checkpoint {name!r} in {root}; put your own folder there, or use one of: {known}."
    if row.is_embedded:
        return f"{name} is part of this project but not in {root}: restore it with `{command}`."
    if not row.can_be_fetched:
        unknown = f"the files of revision {row.revision}" if row.revision else "a revision"
        return (
            f"The weights of {name} are not in {root}, and {unknown} of {row.repository} that could be fetched"
            f" {'are' if row.revision else 'is'} not listed here: download it yourself"
            f" ({size_text(row.total_bytes)}) and put it into {folder}."
        )
    return (
        f"The weights of {name} are not in {root}. Where there is a network, `{command}` fetches them"
        f" ({size_text(row.total_bytes)}); a whole folder can also be copied to {folder}."
    )


def _command(name: str, root: Path) -> str:
    """What to type to have a checkpoint whole; empty where the table does not say what to fetch."""
    row = table.checkpoints().get(name)
    if row is None or not (row.is_embedded or row.can_be_fetched):
        return ""
    if row.is_embedded:
        return f"git checkout -- {root / name}"
    option = "" if root == default_root() else f" --root {shlex.quote(str(root))}"
    return f"{WEIGHTS} fetch {name}{option}"


def default_root() -> Path:
    """$OCR_CHECKPOINTS, or the folder of this installation."""
    named = os.environ.get("OCR_CHECKPOINTS", "").strip()
    return Path(named).expanduser() if named else CHECKPOINTS

"""What to do about weights that are not there, and where they lie."""

import os
import shlex
from pathlib import Path

from ocr.weights import table
from ocr.weights.files import size_text


def default_root() -> Path:
    """$OCR_CHECKPOINTS, or the folder `checkpoints` beside weights.py."""
    named = os.environ.get("OCR_CHECKPOINTS", "").strip()
    return Path(named).expanduser() if named else Path(__file__).resolve().parents[2] / "checkpoints"


def missing_message(name: str, root: Path) -> str:
    """What to do about weights that are not there: the command that fetches them, and how much that is."""
    row, folder = table.checkpoints().get(name), root / name
    if row is None:
        known = ", ".join(table.checkpoints())
        return f"No checkpoint {name!r} in {root}; put your own folder there, or use one of: {known}."
    if row.repository is None:
        return f"{name} is part of this project but not in {root}: restore it with `git checkout -- {folder}`."
    option = "" if root == default_root() else f" --root {shlex.quote(str(root))}"
    return (
        f"The weights of {name} are not in {root}. Where there is a network, `python weights.py fetch {name}{option}`"
        f" fetches them ({size_text(row.total_bytes)}); a whole folder can also be copied to {folder}."
    )

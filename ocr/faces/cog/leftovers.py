"""What Cog's server leaves in its temporary folder, and removes at no time."""

import contextlib
import os
import re
import stat
import time
from pathlib import Path

# Cog 0.23 makes a folder here for each prediction, named as its id, whichever server of the machine it is for.
PREDICTIONS = Path("/tmp/coglet/predictions")  # noqa: S108
SPILL = re.compile(r"spill_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")  # a large input or output on its way
SPILL_S = 600.0  # a live worker takes one in the moment it is there
FOLDER_S = 24 * 3600.0  # longer than any prediction takes


def remove_leftovers(folder: Path = PREDICTIONS) -> None:
    """Remove what servers that ended long ago left: files of inputs on their way, and empty folders.

    Only what is this user's own, old, and named as Cog names it; no link is followed, and what cannot be removed stays.
    """
    if folder.resolve() != folder:
        return
    for place, status in reversed(_folders(folder)[1:]):  # what is inside a folder before the folder
        if status.st_uid == os.getuid() and time.time() - status.st_mtime > FOLDER_S:
            with contextlib.suppress(OSError):  # it is not empty
                place.rmdir()


def _folders(folder: Path) -> list[tuple[Path, os.stat_result]]:
    """A folder and all below it, each as it was before old files of inputs in it are removed.

    The ids of strangers decide how deep they lie, deeper perhaps than a function may call itself.
    """
    found, left = [], [folder]
    while left:
        place = left.pop()
        with contextlib.suppress(OSError), os.scandir(place) as entries:
            found.append((place, place.lstat()))
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    left.append(Path(entry.path))
                elif SPILL.fullmatch(entry.name):
                    _remove_spill(Path(entry.path))
    return found


def _remove_spill(path: Path) -> None:
    with contextlib.suppress(OSError):  # another server was first
        status = path.lstat()
        is_old = time.time() - status.st_mtime > SPILL_S
        if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and is_old:
            path.unlink()

"""What Cog leaves in its temporary folder, cleaned as a server is set up."""

import os
import time
from pathlib import Path

import pytest

from ocr.faces.cog.leftovers import FOLDER_S, SPILL_S, remove_leftovers

SPILL = "spill_01234567-89ab-cdef-0123-456789abcdef.json"


def made(folder: Path, *names: str, age_s: float) -> None:
    """Folders (with a / at the end) and files of this age."""
    paths = [folder / name for name in names]
    for name, path in zip(names, paths, strict=True):
        if name.endswith("/"):
            path.mkdir(parents=True)
        else:
            path.write_bytes(b"{}")
    for path in reversed(paths):
        for aged in (path, path.parent):
            if aged != folder:
                os.utime(aged, times=(time.time() - age_s,) * 2)


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_old_empty_folders_go_and_those_of_a_prediction_that_may_run_stay(tmp_path: Path) -> None:
    made(tmp_path, "old/", "old/inputs/", "old/outputs/", "a/", "a/b/", "a/b/inputs/", age_s=FOLDER_S + 60)
    made(tmp_path, "runs/", "runs/inputs/", "runs/outputs/", age_s=FOLDER_S - 60)
    remove_leftovers(tmp_path)
    assert left(tmp_path) == {"runs", "runs/inputs", "runs/outputs"}


def test_inputs_that_no_worker_took_go_with_their_folders(tmp_path: Path) -> None:
    made(tmp_path, "old/", "old/inputs/", f"old/inputs/{SPILL}", age_s=FOLDER_S + 60)
    made(tmp_path, "died/", "died/inputs/", f"died/inputs/{SPILL}", age_s=SPILL_S + 60)
    made(tmp_path, "runs/", "runs/inputs/", f"runs/inputs/{SPILL}", age_s=SPILL_S - 60)
    remove_leftovers(tmp_path)
    assert left(tmp_path) == {"died", "died/inputs", "runs", "runs/inputs", f"runs/inputs/{SPILL}"}


def test_what_is_not_cogs_stays(tmp_path: Path) -> None:
    cogs, other = tmp_path / "cogs", tmp_path / "other"
    made(tmp_path, "cogs/", "other/", age_s=0)
    made(other, SPILL, "empty/", age_s=2 * FOLDER_S)
    made(cogs, "id/", "id/outputs/", "id/outputs/0.png", "id/inputs/", "id/inputs/spill_mine.json", age_s=2 * FOLDER_S)
    (cogs / "link").symlink_to(other)
    (cogs / "id" / SPILL).symlink_to(other / SPILL)
    before = left(tmp_path)
    remove_leftovers(cogs)
    remove_leftovers(cogs / "link")
    remove_leftovers(tmp_path / "never made")
    assert left(tmp_path) == before


def test_the_depth_of_folders_that_an_id_made_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ocr.faces.cog.leftovers.FOLDER_S", -1)
    deep = str(tmp_path)
    for _ in range(1500):
        deep += "/a"
        os.mkdir(deep)  # noqa: PTH102  pathlib makes them calling itself
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []

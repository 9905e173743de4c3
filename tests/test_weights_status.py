"""What there is of a checkpoint: ready, absent or broken, whose it is, what is said of it and what mends it."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from ocr.weights.status import Kind, Readiness, default_root, missing_message, status
from ocr.weights.table import checkpoints
from tests.fetching import own


@dataclass(frozen=True)
class Case:
    """What stands in the place of a checkpoint, and what is found of it. ROOT stands for the folder of checkpoints."""

    name: str
    files: tuple[str, ...] | None  # of the whole checkpoint, which are there; None: no folder
    readiness: Readiness
    kind: Kind
    command: str
    summary: str
    message: str
    has_lock: bool = False


FETCH, RESTORE = "script/ocr weights fetch dots.ocr --root ROOT", "git checkout -- ROOT/deepseek-ocr-tiny"
WHOLE = (
    "config.json",
    "tokenizer.json",
    "model.safetensors.index.json",
    "model-00001-of-00002.safetensors",
    "model-00002-of-00002.safetensors",
)
CASES = {
    "nothing fetched": Case(
        "dots.ocr",
        None,
        Readiness.ABSENT,
        Kind.PINNED,
        FETCH,
        f"absent; `{FETCH}` fetches them into ROOT",
        f"The weights of dots.ocr are not in ROOT. Where there is a network, `{FETCH}` fetches them (6.1 GB); a whole"
        " folder can also be copied to ROOT/dots.ocr.",
    ),
    "fetched": Case(
        "dots.ocr",
        WHOLE,
        Readiness.READY,
        Kind.PINNED,
        FETCH,
        "ready in ROOT/dots.ocr",
        "dots.ocr: ready in ROOT/dots.ocr",
        has_lock=True,
    ),
    "copied there by the user": Case(
        "dots.ocr",
        WHOLE,
        Readiness.READY,
        Kind.OWN,
        FETCH,
        "ready in ROOT/dots.ocr",
        "dots.ocr: ready in ROOT/dots.ocr",
    ),
    "copied in part": Case(
        "dots.ocr",
        WHOLE[1:],
        Readiness.BROKEN,
        Kind.OWN,
        FETCH,
        f"not whole: config.json: missing; `{FETCH}` mends them",
        f"The weights in ROOT/dots.ocr are not whole: config.json: missing. Run: {FETCH}",
    ),
    "an embedded one gone": Case(
        "deepseek-ocr-tiny",
        None,
        Readiness.ABSENT,
        Kind.EMBEDDED,
        RESTORE,
        f"absent; `{RESTORE}` fetches them into ROOT",
        f"deepseek-ocr-tiny is part of this project but not in ROOT: restore it with `{RESTORE}`.",
    ),
    "an embedded one in part": Case(
        "deepseek-ocr-tiny",
        WHOLE[1:],
        Readiness.BROKEN,
        Kind.EMBEDDED,
        RESTORE,
        f"not whole: config.json: missing; `{RESTORE}` mends them",
        f"The weights in ROOT/deepseek-ocr-tiny are not whole: config.json: missing. Run: {RESTORE}",
    ),
    "a name of the user's": Case(
        "fine-tuned",
        WHOLE[1:],
        Readiness.BROKEN,
        Kind.OWN,
        "",
        "not whole: config.json: missing",
        "The weights in ROOT/fine-tuned are not whole: config.json: missing.",
    ),
    "a name of nobody's": Case(
        "dotsocr",
        None,
        Readiness.ABSENT,
        Kind.OWN,
        "",
        "absent",
        f"No checkpoint 'dotsocr' in ROOT; put your own folder there, or use one of: {', '.join(checkpoints())}.",
    ),
    "a model of which no revision is known": Case(
        "firered-ocr",
        None,
        Readiness.ABSENT,
        Kind.OWN,
        "",
        "absent",
        "The weights of firered-ocr are not in ROOT, and a revision of FireRedTeam/FireRed-OCR that could"
        " be fetched is not listed here: download it yourself (4.3 GB) and put it into ROOT/firered-ocr.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_found_and_what_is_said_of_it(tmp_path: Path, case: str) -> None:
    wanted = CASES[case]
    if wanted.files is not None:
        folder = own(tmp_path, wanted.name)
        for name in set(WHOLE) - set(wanted.files):
            (folder / name).unlink()
        if wanted.has_lock:
            (folder / "weights.lock").write_text('{"files": []}')
    found = status(wanted.name, tmp_path)
    assert (found.readiness, found.kind) == (wanted.readiness, wanted.kind)
    assert bool(found.faults) is (found.readiness is Readiness.BROKEN)
    said = [text.replace(str(tmp_path), "ROOT") for text in (found.command, found.summary, found.message)]
    assert said == [wanted.command, wanted.summary, wanted.message]


def test_a_clone_without_git_lfs_is_told_both_ways_out(tmp_path: Path) -> None:
    (own(tmp_path, "dots.ocr") / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\n")
    found = status("dots.ocr", tmp_path)
    assert "tokenizer.json: a Git LFS pointer, not the file itself: run `git lfs pull` in the folder" in found.message
    assert found.message.endswith(f" Run: script/ocr weights fetch dots.ocr --root {tmp_path}")
    assert "a Git LFS pointer" in found.summary and found.kind is Kind.OWN


def test_a_link_to_nowhere_is_broken_and_not_absent(tmp_path: Path) -> None:
    (tmp_path / "dots.ocr").symlink_to(tmp_path / "gone")
    found = status("dots.ocr", tmp_path)
    assert found.readiness is Readiness.BROKEN and "no such folder" in found.message


def test_the_missing_message_says_the_command_and_the_size(tmp_path: Path) -> None:
    said = missing_message("deepseek-ocr", tmp_path)
    assert f"`script/ocr weights fetch deepseek-ocr --root {tmp_path}`" in said and "6.7 GB" in said
    assert "`script/ocr weights fetch deepseek-ocr`" in missing_message("deepseek-ocr", default_root())
    assert "`git checkout -- " in missing_message("deepseek-ocr-tiny", tmp_path)

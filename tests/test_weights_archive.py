"""Archives: only the files of the table come out of one, and nothing at all of a hostile or damaged one."""

import json
import pickle
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from ocr.weights import table
from ocr.weights.fetching import fetch
from ocr.weights.whole import problems
from tests.fetching import LARGE, TENTHS, TINY, failure, left
from tests.hub import SHARDS, Fault, Hub, checkpoint


def archive_row(hub: Hub, monkeypatch: pytest.MonkeyPatch, members: bytes) -> None:
    """The hub has nothing, and the archive these bytes."""
    hub.files, hub.archive = {}, members
    monkeypatch.setattr(table, "checkpoints", lambda: {"tiny": replace(TINY, archive=f"{hub.url}/archive.tar")})


def tar(*members: tuple[str, bytes] | tarfile.TarInfo, end: bool = True) -> bytes:
    blocks = b""
    for member in members:
        info, body = (member, b"") if isinstance(member, tarfile.TarInfo) else (tarfile.TarInfo(member[0]), member[1])
        info.size = info.size or len(body)
        blocks += info.tobuf(tarfile.GNU_FORMAT) + body + bytes(-len(body) % tarfile.BLOCKSIZE)
    return blocks + (bytes(2 * tarfile.BLOCKSIZE) if end else b"")


def special(name: str, kind: bytes, target: str = "", size: int = 0) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, target, size
    return info


def sparse(name: str) -> bytes:
    """The header of a GNU sparse file: no data, and a terabyte of holes."""
    header = bytearray(special(name, tarfile.GNUTYPE_SPARSE).tobuf(tarfile.GNU_FORMAT))
    header[483:495] = tarfile.itn(10**12, 12, tarfile.GNU_FORMAT)  # where GNU tar keeps the true size
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header[:512])
    return bytes(header)


WHOLE = tuple(checkpoint().items())
HOSTILE = {
    "a way up": (tar(*WHOLE, ("../evil.json", b"{}")), "'../evil.json' leads out of the folder"),
    "a hidden way up": (tar(*WHOLE, ("sub/../../evil.json", b"{}")), "leads out of the folder"),
    "an absolute path": (tar(*WHOLE, ("/evil.json", b"{}")), "'/evil.json' leads out of the folder"),
    "a symbolic link": (tar(special("config.json", tarfile.SYMTYPE, "/etc/passwd"), *WHOLE), "is a link, a device"),
    "a hard link": (tar(special("config.json", tarfile.LNKTYPE, "/etc/passwd"), *WHOLE), "is a link, a device"),
    "a device": (tar(special("config.json", tarfile.CHRTYPE), *WHOLE), "is a link, a device"),
    "a pipe": (tar(*WHOLE, special("pipe", tarfile.FIFOTYPE)), "'pipe' is a link, a device"),
    "a file of holes": (sparse("config.json") + tar(*WHOLE), "'config.json' is a link, a device"),
    "a huge member": (tar(special("huge.dat", tarfile.REGTYPE, size=10**13), *WHOLE), "far larger than tiny"),
    "a huge wanted member": (tar(special(LARGE, tarfile.REGTYPE, size=10**13), *WHOLE), "far larger than tiny"),
    "a pickle under a weight file's name": (
        tar(*((name, pickle.dumps({"a": 1}) * 50 if name == LARGE else body) for name, body in WHOLE)),
        f"{LARGE}: ",
    ),
    "a member cut off": (tar(*WHOLE)[:-20_000], "damaged or cut off: unexpected end of data"),
    "cut off between members": (tar(*WHOLE[:3], end=False), f"ended without {SHARDS[0]}, {SHARDS[1]}"),
    "files deeper than the top": (tar(*((f"sub/{name}", body) for name, body in WHOLE)), "ended without config.json"),
    "a web page": (b"<html>" * 500, "damaged or cut off: invalid header"),
    "nothing": (b"", "damaged or cut off: empty file"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_or_damaged_archive_leaves_nothing(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, case: str
) -> None:
    members, reason = HOSTILE[case]
    archive_row(hub, monkeypatch, members)
    before = sorted(tmp_path.rglob("*"))
    said = failure(root)
    assert reason in said and said.count(f"127.0.0.1:{hub.port}: ") == 2  # the hub's reason, and the archive's
    made = {path for path in tmp_path.rglob("*") if path not in before}
    assert made == {root, root / ".tiny.lock"}


def test_only_the_files_of_the_table_are_taken_from_an_archive(
    hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = (("modeling.py", b"print('run me')"), ("pytorch_model.bin", pickle.dumps({})), ("sub/config.json", b"{}"))
    dotted = tuple((f"./{name}", body) for name, body in WHOLE)
    archive_row(hub, monkeypatch, tar(special("sub", tarfile.DIRTYPE), *extra, *dotted))
    lines: list[str] = []
    folder = fetch("tiny", root, report=lines.append)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "weights.lock"} == dict(WHOLE)
    pin = json.loads((folder / "weights.lock").read_text())["files"][0]
    assert (pin["source"], pin["revision"]) == (f"{hub.url}/archive.tar", None)
    assert any("404" in line for line in lines)  # why it was not the hub


def test_nothing_that_a_killed_unpacking_left_is_trusted(hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_row(hub, monkeypatch, tar(*WHOLE))
    (root / ".tiny.partial" / ".cache").mkdir(parents=True)
    for name, body in WHOLE:
        (root / ".tiny.partial" / name).write_bytes(body[:-1] + b"?")
    folder = fetch("tiny", root, report=lambda line: None)
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "weights.lock"} == dict(WHOLE)


def test_a_busy_archive_is_asked_again(hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_row(hub, monkeypatch, tar(*WHOLE))
    hub.faults["archive.tar"] = Fault(status=500, times=1)
    assert problems(fetch("tiny", root, report=lambda line: None)) == []


@pytest.mark.parametrize("tenth", TENTHS)
def test_an_archive_cut_off_leaves_nothing(hub: Hub, root: Path, monkeypatch: pytest.MonkeyPatch, tenth: float) -> None:
    archive_row(hub, monkeypatch, tar(*WHOLE))
    hub.faults["archive.tar"] = Fault(cut_at=tenth)
    failure(root)
    assert left(root) == []

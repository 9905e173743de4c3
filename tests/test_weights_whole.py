"""What `problems` says of a folder: nothing of a whole one, a line per file of others, never an exception."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st

from ocr.weights.headers import DTYPE_BITS
from ocr.weights.whole import problems
from tests.hub import INDEX, SHARDS, checkpoint
from tests.hub import safetensors as safetensors_bytes

SINGLE = safetensors_bytes({"embed.weight": ("BF16", [8, 6]), "norm.weight": ("BF16", [6]), "none": ("BF16", [0, 3])})
HEADER_END = 8 + struct.unpack("<Q", SINGLE[:8])[0]
SMALL = {"config.json": b"{}", "tokenizer.json": b'{"model": {}}'}

Change = Callable[[dict[str, bytes]], object]


def found(folder: Path, files: dict[str, bytes]) -> list[str]:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return problems(folder)


def with_header(header: object, data: bytes = b"") -> bytes:
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + data


def tensor(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


def is_whole(content: bytes) -> bool:
    """What the format's own library says."""
    try:
        safetensors.deserialize(content)
    except safetensors.SafetensorError:
        return False
    return True


def test_a_whole_checkpoint_has_no_problems(tmp_path: Path) -> None:
    assert found(tmp_path, checkpoint()) == []


@pytest.mark.parametrize("name", ["model.safetensors", "fine-tuned.safetensors"])
def test_a_single_weight_file_needs_no_index(tmp_path: Path, name: str) -> None:
    assert found(tmp_path, {**SMALL, name: SINGLE}) == []


def test_other_files_are_nobodys_business(tmp_path: Path) -> None:
    assert found(tmp_path, {**checkpoint(), "README.md": b"mine", "old.safetensors": b"not in the index"}) == []


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("none", "file"):
        assert problems(tmp_path / name) == [f"{tmp_path / name}: no such folder, or none that may be read"]


SHARD = SHARDS[0]
ADJUST: dict[str, tuple[Change, str]] = {
    "no config": (lambda files: files.pop("config.json"), "config.json: missing"),
    "an empty config": (lambda files: files.update({"config.json": b""}), "config.json: empty"),
    "half a tokenizer": (
        lambda files: files.update({"tokenizer.json": files["tokenizer.json"][:-1]}),
        "tokenizer.json: not JSON: ",
    ),
    "a list for a config": (lambda files: files.update({"config.json": b"[]"}), "config.json: not a JSON object"),
    "bytes that are no text": (lambda files: files.update({"config.json": b"\xff{}"}), "config.json: not JSON: "),
    "endless nesting": (lambda files: files.update({"config.json": b"[" * 500_000}), "config.json: not JSON: "),
    "a missing shard": (lambda files: files.pop(SHARD), f"{SHARD}: missing; {INDEX} places 2 of the tensors in it"),
    "a short file": (
        lambda files: files.update({SHARD: files[SHARD][:-100]}),
        f"{SHARD}: short file: the last 100 of 41,000 bytes of tensors are missing",
    ),
    "a file that ends in its header": (
        lambda files: files.update({SHARD: files[SHARD][:60]}),
        f"{SHARD}: short file: it ends inside its header of ",
    ),
    "a file that ends in its length": (
        lambda files: files.update({SHARD: files[SHARD][:3]}),
        f"{SHARD}: short file: 3 bytes, not even the 8",
    ),
    "an empty file": (lambda files: files.update({SHARD: b""}), f"{SHARD}: short file: 0 bytes"),
    "extra bytes": (
        lambda files: files.update({SHARD: files[SHARD] + b"more"}),
        f"{SHARD}: extra bytes: 4 after the last tensor",
    ),
    "a flipped header": (
        lambda files: files.update({SHARD: files[SHARD][:9] + b"\x00" + files[SHARD][10:]}),
        f"{SHARD}: damaged header: not JSON: ",
    ),
    "a flipped length, beyond the file": (
        lambda files: files.update({SHARD: struct.pack("<Q", 90_000_000) + files[SHARD][8:]}),
        f"{SHARD}: damaged header: it claims to be 90,000,000 bytes long and ends after ",
    ),
    "a flipped length, beyond reason": (
        lambda files: files.update({SHARD: b"\xff" * 8 + files[SHARD][8:]}),
        f"{SHARD}: damaged header: it claims to be 18,446,744,073,709,551,615 bytes long",
    ),
    "a web page for weights": (
        lambda files: files.update({SHARD: b"<!DOCTYPE html>" * 9}),
        f"{SHARD}: damaged header: it claims",
    ),
    "tensors the shard lacks": (
        lambda files: files.update({INDEX: files[INDEX].replace(b"norm.weight", b"norm.bias")}),
        f"{SHARD}: lacks 1 of the tensors {INDEX} places in it, 'norm.bias' for one",
    ),
    "no index": (
        lambda files: files.pop(INDEX),
        f"{INDEX}: missing, and 2 safetensors files: which of them belong together?",
    ),
    "no weights": (
        lambda files: [files.pop(name) for name in (INDEX, *SHARDS)],
        f"model.safetensors: missing, and no {INDEX}",
    ),
    "half an index": (lambda files: files.update({INDEX: files[INDEX][:-2]}), f"{INDEX}: not JSON: "),
    "an index of nothing": (lambda files: files.update({INDEX: b'{"weight_map": {}}'}), f"{INDEX}: has no weight_map"),
    "an index out of the folder": (
        lambda files: files.update({INDEX: b'{"weight_map": {"a": "../a.safetensors"}}'}),
        f"{INDEX}: places 'a' in '../a.safetensors', which is no safetensors file of this folder",
    ),
    "an index to a pickle": (
        lambda files: files.update({INDEX: b'{"weight_map": {"a": "pytorch_model.bin"}}'}),
        f"{INDEX}: places 'a' in 'pytorch_model.bin'",
    ),
    "an index to half a character": (
        lambda files: files.update({INDEX: b'{"weight_map": {"a": "\\ud800.safetensors"}}'}),
        f"{INDEX}: places 'a' in '\\ud800.safetensors'",
    ),
    "an index to a number": (
        lambda files: files.update({INDEX: b'{"weight_map": {"a": 1}}'}),
        f"{INDEX}: places 'a' in 1",
    ),
    "a lock of another kind": (lambda files: files.update({"weights.lock": b'{"files": 1}'}), "weights.lock: not as"),
    "a lock of nothing known": (
        lambda files: files.update({"weights.lock": b'{"files": [{}]}'}),
        "weights.lock: not as",
    ),
    "a size that is not the lock's": (
        lambda files: files.update({"weights.lock": b'{"files": [{"file": "config.json", "size": 5, "sha256": ""}]}'}),
        "config.json: 22 bytes long; weights.lock has 5",
    ),
    "a file gone that the lock has": (
        lambda files: files.update({"weights.lock": b'{"files": [{"file": "gone.json", "size": 5, "sha256": ""}]}'}),
        "gone.json: missing",
    ),
}


POINTER = (
    b"version https://git-lfs.github.com/spec/v1\n"
    b"oid sha256:e7a3c2d2e5a0e5f4f6a2c1d0b9a8f7e6d5c4b3a29181706f5e4d3c2b1a090807\n"
    b"size 6672547120\n"
)
POINTER_FORMS = {
    "as it is": POINTER,
    "with the line ends of another system": POINTER.replace(b"\n", b"\r\n"),
    "with an extension": POINTER.replace(b"oid", b"ext-0-crypt sha256:00ff\noid"),
    "of a later version": POINTER.replace(b"/v1", b"/v2"),
    "alone in its first line": POINTER.split(b"\n")[0],
}


@pytest.mark.parametrize("form", POINTER_FORMS)
@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", INDEX, *SHARDS, "weights.lock"])
def test_a_git_lfs_pointer_is_named_as_such_with_what_to_do(tmp_path: Path, name: str, form: str) -> None:
    line = f"{name}: a Git LFS pointer, not the file itself: run `git lfs pull` in the folder, or fetch the weights"
    assert found(tmp_path, {**checkpoint(), name: POINTER_FORMS[form]}) == [line]


def test_each_pointer_of_a_clone_without_git_lfs_has_its_line(tmp_path: Path) -> None:
    names = ["tokenizer.json", "model.safetensors"]
    lines = found(tmp_path, {**SMALL, **dict.fromkeys(names, POINTER)})
    assert [line.split(": ")[:2] for line in lines] == [
        [name, "a Git LFS pointer, not the file itself"] for name in names
    ]


@pytest.mark.parametrize("case", ADJUST)
def test_each_damage_is_one_line_with_its_own_words(tmp_path: Path, case: str) -> None:
    change, line = ADJUST[case]
    files = checkpoint()
    change(files)
    lines = found(tmp_path, files)
    assert len(lines) == 1 and lines[0].startswith(line)


HEADERS: dict[str, tuple[object, str]] = {
    "a dtype nobody knows": ({"a": tensor("F33")}, "'a' has dtype 'F33'; known are F4, "),
    "a dtype that is no text": ({"a": tensor(["F32"])}, "'a' has dtype ['F32']"),
    "a place too small for the shape": ({"a": tensor(shape=[3])}, "'a', F32 [3], cannot take 8 bytes"),
    "half a byte": ({"a": tensor("F4", [1], [0, 1])}, "'a', F4 [1], cannot take 1 bytes"),
    "a negative shape": ({"a": tensor(shape=[-2])}, "'a' has no proper shape and data_offsets"),
    "a fraction in the shape": ({"a": tensor(shape=[2.0])}, "'a' has no proper shape and data_offsets"),
    "a truth value in the shape": ({"a": tensor(shape=[2, True])}, "'a' has no proper shape and data_offsets"),
    "one offset": ({"a": tensor(offsets=[8])}, "'a' has no proper shape and data_offsets"),
    "no place at all": ({"a": {}}, "'a' has no proper shape and data_offsets"),
    "no entry": ({"a": 1}, "'a' has no proper shape and data_offsets"),
    "a hole at the start": ({"a": tensor(shape=[1], offsets=[4, 8])}, "'a' begins at byte 4, the one before ends at 0"),
    "tensors on top of each other": ({"a": tensor(), "b": tensor()}, "'b' begins at byte 0, the one before ends at 8"),
    "metadata that is no text": ({"__metadata__": {"a": 1}, "a": tensor()}, "its __metadata__ is not text"),
    "a name a line long": ({"a" * 999: 1}, f"'{'a' * 76}... has no proper"),
    "a list": ([1], "it does not begin as JSON"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_header_that_cannot_be_true_is_damage(tmp_path: Path, case: str) -> None:
    header, words = HEADERS[case]
    content = with_header(header, bytes(8))
    (line,) = found(tmp_path, {**SMALL, "model.safetensors": content})
    assert line.startswith("model.safetensors: ") and words in line
    assert not is_whole(content)


def test_what_is_no_model_is_damage_though_the_format_allows_it(tmp_path: Path) -> None:
    for header, words in (({}, "holds no tensors"), ({"a": tensor(shape=[2] + [1] * 99)}, "no proper shape")):
        content = with_header(header, bytes(8 * len(header)))
        assert is_whole(content) and words in found(tmp_path, {**SMALL, "model.safetensors": content})[0]


def test_a_folder_in_the_place_of_a_file_is_damage(tmp_path: Path) -> None:
    files = checkpoint()
    for name in ("config.json", SHARDS[0]):
        del files[name]
        (tmp_path / name).mkdir()
    assert found(tmp_path, files) == ["config.json: not a file", f"{SHARDS[0]}: not a file"]


def test_tensors_are_not_read(tmp_path: Path) -> None:
    size = 10**12  # bytes, none of them on disk: reading them would take an hour
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(with_header({"a": tensor("U8", [size], [0, size])}))
        file.truncate(file.tell() + size)
    assert found(tmp_path, SMALL) == []


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_every_dtype_of_the_format_is_known(tmp_path: Path, dtype: str) -> None:
    size = DTYPE_BITS[dtype]  # bytes of 8 elements
    content = with_header({"a": tensor(dtype, [8], [0, size])}, bytes(size))
    assert safetensors.deserialize(content)[0][0] == "a"
    assert found(tmp_path, {**SMALL, "model.safetensors": content}) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("properties")


@given(length=st.integers(0, len(SINGLE) - 1))
@settings(deadline=None)
def test_any_file_cut_short_is_a_short_file(folder: Path, length: int) -> None:
    (line,) = found(folder, {**SMALL, "model.safetensors": SINGLE[:length]})
    assert line.startswith("model.safetensors: short file: ")


@given(place=st.integers(0, HEADER_END - 1), byte=st.integers(0, 255))
@settings(deadline=None, max_examples=1000)
def test_a_changed_header_byte_that_the_format_forbids_is_a_problem(folder: Path, place: int, byte: int) -> None:
    content = SINGLE[:place] + bytes([byte]) + SINGLE[place + 1 :]
    lines = found(folder, {**SMALL, "model.safetensors": content})
    assert (lines == []) == is_whole(content)


@given(content=st.binary(max_size=200))
@settings(deadline=None)
def test_no_bytes_at_all_make_it_raise(folder: Path, content: bytes) -> None:
    for name in ("config.json", "tokenizer.json", "model.safetensors", INDEX, "weights.lock"):
        lines = found(folder, {**SMALL, "model.safetensors": SINGLE, name: content})
        assert all(": " in line and "\n" not in line for line in lines)
        for optional in (INDEX, "weights.lock"):
            (folder / optional).unlink(missing_ok=True)

"""Weights that were rounded once are kept whole beside their checkpoint, and what is mapped is what rounding gives."""

import errno
import fcntl
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from ocr.engines import loading, packed
from ocr.engines.checkpoint import read_json
from ocr.engines.hardware import Hardware
from ocr.engines.loading import load_model
from ocr.engines.packed import PackedFile
from ocr.engines.quantization import Matrix4
from ocr.models.deepseek.engine import UnlimitedOcrForConditionalGeneration
from ocr.models.deepseek.engine import model_config as deepseek_config
from ocr.models.dots.engine import DotsOCRForCausalLM
from ocr.models.dots.engine import model_config as dots_config
from ocr.models.patch_grid.engine import model_config as grid_config
from ocr.weights.commands import main as weights
from tests.checkpoints import TINY_IDS, write_deepseek
from tests.checkpoints_dots import write_dots
from tests.checkpoints_grid import KINDS, tiny_model, write_grid

each_kind = pytest.mark.parametrize("bits", [8, 4])


def loaded(folder: Path, bits: int, dtype: torch.dtype = torch.float32) -> Any:
    """The checkpoint's model; of which kind is told by its config."""
    config, hardware = read_json(folder / "config.json"), Hardware(torch.device("cpu"), dtype, "sdpa", bits=bits)
    if config["model_type"] == "dots_ocr":
        return load_model(DotsOCRForCausalLM, folder, dots_config(config), hardware, "sdpa")
    read = deepseek_config(config, TINY_IDS["<image>"])
    return load_model(UnlimitedOcrForConditionalGeneration, folder, read, hardware, "sdpa")


def scores(model: Any) -> Tensor:
    """Of a few tokens and of many, for which products differ."""
    found = []
    for tokens in (5, 100):
        with torch.inference_mode():
            hidden = model.get_decoder()(torch.arange(3, 3 + tokens)[None]).last_hidden_state
            found.append(model.get_output_embeddings()(hidden)[0])
    return torch.cat(found)


def tensors(model: Any) -> dict[str, Tensor]:
    return dict(packed._tensors(model))


@pytest.fixture
def dots(tmp_path: Path) -> Path:
    return write_dots(tmp_path / "dots.ocr")


def same(first: Any, second: Any) -> bool:
    ours, theirs = tensors(first), tensors(second)
    return ours.keys() == theirs.keys() and all(
        ours[name].dtype == theirs[name].dtype and torch.equal(ours[name], theirs[name]) for name in ours
    )


@each_kind
@pytest.mark.parametrize("write", [write_deepseek, write_dots])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_later_start_computes_the_same_to_the_bit(
    tmp_path: Path, write: Callable[[Path], Path], bits: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "model")
    first = loaded(folder, bits, dtype)
    monkeypatch.setattr(loading, "_as_stored", None)  # which reads the weights
    second = loaded(folder, bits, dtype)
    assert same(first, second)
    assert torch.equal(scores(first), scores(second))
    assert str(PackedFile(folder, bits).path) in Path("/proc/self/maps").read_text()


def test_some_of_what_is_kept_is_in_4_bits(dots: Path) -> None:
    loaded(dots, 4)
    assert any(isinstance(module, Matrix4) for module in loaded(dots, 4).modules())


@pytest.mark.parametrize("name", KINDS)
def test_every_family_s_model_is_kept_whole(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = KINDS[name]
    model = tiny_model(kind)
    folder = write_grid(tmp_path / "model", kind, model)
    config, hardware = (
        grid_config(kind.config, kind.card.family),
        Hardware(torch.device("cpu"), torch.float32, "sdpa", bits=4),
    )
    first = load_model(type(model), folder, config, hardware, "sdpa")
    monkeypatch.setattr(loading, "_as_stored", None)
    assert same(first, load_model(type(model), folder, config, hardware, "sdpa"))


def test_8_and_4_bits_are_kept_side_by_side(dots: Path) -> None:
    models = {bits: loaded(dots, bits) for bits in (8, 4)}
    assert sorted(path.name for path in (dots / "packed").iterdir()) == ["4bit.safetensors", "8bit.safetensors"]
    for bits, model in models.items():
        assert same(model, loaded(dots, bits))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def other_names(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"embed_tokens", b"embed_tokenz"))


def touched_weights(path: Path) -> None:
    os.utime(next(path.parent.parent.glob("*.safetensors")), (1, 1))


def touched_config(path: Path) -> None:
    os.utime(path.parent.parent / "config.json", (1, 1))


def other_torch(path: Path) -> None:
    version = torch.__version__.encode()
    path.write_bytes(path.read_bytes().replace(version, b"9" * len(version)))


@pytest.mark.parametrize(
    "harm", [cut, lengthen, empty, zeros, other_names, touched_weights, touched_config, other_torch]
)
def test_a_file_that_is_damaged_or_of_other_weights_is_made_again(
    dots: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, path = loaded(dots, 4), PackedFile(dots, 4).path
    harm(path)
    with caplog.at_level(logging.INFO):
        assert same(good, loaded(dots, 4))
    assert f"{path} will be made again: " in caplog.text
    monkeypatch.setattr(loading, "_as_stored", None)
    assert same(good, loaded(dots, 4))


def test_new_weights_take_the_place_of_old_ones(dots: Path, tmp_path: Path) -> None:
    old = loaded(dots, 8)
    shard = next(dots.glob("*.safetensors"))
    shard.write_bytes(shard.read_bytes()[:-4000] + bytes(4000))
    new = loaded(dots, 8)
    assert not same(old, new)
    assert same(new, loaded(dots, 8))


def refused(*_given: Any, **_more: Any) -> None:
    raise OSError(errno.EROFS, "Read-only file system")


def full(*_given: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("owner", "name", "failure"), [(Path, "mkdir", refused), (packed.os, "fsync", full)], ids=["read-only", "full"]
)
def test_a_folder_that_cannot_be_written_does_without(
    dots: Path,
    owner: Any,
    name: str,
    failure: Any,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, failure)
        model = loaded(dots, 4)
    assert "cannot be kept" in caplog.text
    assert "each start will round them again" in caplog.text
    assert not list(dots.glob("packed/*"))
    assert same(model, loaded(dots, 4))


def test_of_several_processes_one_writes(dots: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = PackedFile(dots, 8)
    file.path.parent.mkdir()
    partial = file.path.with_suffix(".partial")
    with partial.open("ab") as other, caplog.at_level(logging.INFO):
        fcntl.flock(other, fcntl.LOCK_EX)
        other.write(b"half of it")
        other.flush()
        model = loaded(dots, 8)
        assert partial.read_bytes() == b"half of it"
    assert "Another process keeps the rounded weights" in caplog.text
    assert not file.path.exists()
    assert same(model, loaded(dots, 8))  # that process died, and left half a file
    assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]


def test_writing_at_once_leaves_one_whole_file(dots: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, file = loaded(dots, 8), PackedFile(dots, 8)
    for _ in range(5):
        file.path.unlink()
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda _: PackedFile(dots, 8).write(model), range(16)))
        assert [path.name for path in file.path.parent.iterdir()] == [file.path.name]
        with monkeypatch.context() as patched:
            patched.setattr(loading, "_as_stored", None)
            assert same(model, loaded(dots, 8))


def test_it_is_no_fault_of_the_checkpoint(dots: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaded(dots, 8)
    loaded(dots, 4)
    assert weights(["verify", "dots.ocr", "--root", str(dots.parent)]) == 0
    assert "dots.ocr: structurally whole" in capsys.readouterr().out

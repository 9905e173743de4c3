"""A model in few bits as a file in its checkpoint's folder: written after the rounding, mapped at every later start.

Mapped memory is the file's own pages: read when they are needed, and shared by the processes that map them. Knows no
architecture.
"""

import fcntl
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ocr.engines import quantization
from ocr.weights.files import Damage, size_text
from ocr.weights.headers import tensor_sizes

log = logging.getLogger(__name__)

FOLDER = "packed"  # below the checkpoint's, in which every *.safetensors is taken for its weights
ALIGNMENT = 64  # bytes, as torch aligns tensors of its own: elsewhere a product may be rounded otherwise
DTYPES: Mapping[torch.dtype, str] = {
    torch.bool: "BOOL",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.int16: "I16",
    torch.int32: "I32",
    torch.int64: "I64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.float64: "F64",
}


class PackedFile:
    """The file of one checkpoint in so many bits, whether it is there or not."""

    def __init__(self, checkpoint: Path, bits: int) -> None:
        self.path = checkpoint / FOLDER / f"{bits}bit.safetensors"
        self._checkpoint = checkpoint

    def fill(self, model: nn.Module, dtype: torch.dtype) -> bool:
        """Map the file's tensors into a quantised model on the device `meta`, or read those that another dtype takes.

        False where no file is there, and where it is not what this model would be rounded to; the log says why. The
        model is then to be thrown away.
        """
        try:
            tensor_sizes(self.path)
            with safe_open(self.path, framework="pt") as file:
                is_current = file.metadata() == self._key()
            fault = "it is of other files, or was made by another version or on another processor"
            if is_current:
                fault = _fill(model, self.path, dtype)
        except FileNotFoundError:
            return False
        except (OSError, Damage, SafetensorError) as error:
            fault = str(error)
        if fault:
            log.info("%s will be made again: %s.", self.path, fault)
        return not fault

    def _key(self) -> dict[str, str]:
        """All that the file depends on: the checkpoint, how it is rounded, and what says in which order numbers lie."""
        sources = [self._checkpoint / "config.json", *sorted(self._checkpoint.glob("*.safetensors"))]
        states = [(path.name, path.stat()) for path in sources]
        return {
            "sources": json.dumps([(name, state.st_size, state.st_mtime_ns) for name, state in states]),
            "rounding": hashlib.sha256(Path(quantization.__file__).read_bytes()).hexdigest(),
            "torch": torch.__version__,
            "processor": torch.backends.cpu.get_cpu_capability(),
        }

    def write(self, model: nn.Module) -> None:
        """Write a quantised model, whole or not at all. Where that is impossible, the log says so.

        Of several processes one writes, and the others leave it to that one.
        """
        try:
            if self._write(model):
                size = size_text(self.path.stat().st_size)
                log.info("The rounded weights are kept for the next start: %s, %s.", self.path, size)
            else:
                log.info("Another process keeps the rounded weights for the next start.")
        except OSError as error:
            log.warning(
                "The rounded weights cannot be kept in %s (%s): each start will round them again.",
                self.path.parent,
                error.strerror,
            )

    def _write(self, model: nn.Module) -> bool:
        """Whether no other process does it. Raises OSError."""
        self.path.parent.mkdir(exist_ok=True)
        partial = self.path.with_suffix(".partial")  # one name for all: a start that is killed leaves one at most
        with partial.open("ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            if not partial.exists() or not os.path.samestat(partial.stat(), os.fstat(file.fileno())):
                return False  # it was written and renamed between opening and locking
            try:
                file.truncate(0)
                _write_tensors(file, dict(_tensors(model)), self._key())
                partial.replace(self.path)
            except BaseException:
                partial.unlink()
                raise
        return True


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers, those too that no checkpoint holds."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def _fill(model: nn.Module, path: Path, dtype: torch.dtype) -> str:
    """Put a file's tensors into the model, parameters in the dtype; what does not fit, or "".

    Raises SafetensorError where one is missing. Pages that are mapped stay with the process, so that what is only
    there to be converted is read instead.
    """
    mapped: Any = safe_open(path, framework="pt")
    read: Any = safe_open(path, framework="pt", backend="pread")
    wanted = dict(_tensors(model))
    if unknown := set(mapped.keys()) - wanted.keys():
        return f"the model has no {min(unknown)}"
    for name, empty in wanted.items():
        tensor = mapped.get_tensor(name)
        if tensor.shape != empty.shape:
            return f"{name} is {tuple(tensor.shape)}, the model's {tuple(empty.shape)}"
        if is_parameter := isinstance(empty, nn.Parameter):
            tensor = tensor if tensor.dtype == dtype else read.get_tensor(name).to(dtype)
        place, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(place), leaf, nn.Parameter(tensor, False) if is_parameter else tensor)
    return ""


def _write_tensors(file: BinaryIO, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file whose tensors are aligned as in memory, and see it onto the disk."""

    def unaligned(name: str) -> tuple[bool, int]:
        return tensors[name].nbytes % ALIGNMENT > 0, -tensors[name].element_size()

    ordered = sorted(tensors, key=unaligned)
    header: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name in ordered:
        tensor = tensors[name]
        start, end = end, end + tensor.nbytes
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    head += b" " * (-(8 + len(head)) % ALIGNMENT)  # 8 bytes for its length come first
    file.write(len(head).to_bytes(8, "little") + head)
    for name in ordered:
        file.write(tensors[name].detach().contiguous().flatten().view(torch.uint8).numpy().data)
    file.flush()
    os.fsync(file.fileno())

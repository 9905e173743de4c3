"""A checkpoint's tensors into a model, or an error that says what does not fit. Knows no architecture."""

import copy
import ctypes
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers.utils import logging as transformers_logging

from ocr.engines.hardware import Hardware
from ocr.engines.packed import PackedFile
from ocr.engines.quantization import quantize
from ocr.errors import SetupError


def load_model(
    model_class: Any, folder: Path, config: Any, hardware: Hardware, attention: str | Mapping[str, str]
) -> Any:
    """The model in evaluation mode on the wanted device, its weights read straight into the wanted dtype.

    From then on torch computes with the wanted number of threads. On the device `meta` tensors have shapes and take
    no memory, and the weights are not read.

    Raises SetupError with the first few names unless every tensor of the model is in the checkpoint, in its shape,
    and no other tensor is there: a model with some weights left random answers nonsense without a sign of it.
    """
    torch.set_num_threads(hardware.threads)
    transformers_logging.disable_progress_bar()  # in a server's log it is noise
    options = {
        "dtype": stored_dtype(folder) if hardware.bits else hardware.dtype,
        "attn_implementation": dict(attention) if isinstance(attention, Mapping) else attention,
        "experts_implementation": hardware.experts,
    }
    try:
        with freed_memory_goes_back():
            if hardware.device.type == "meta":
                model = _without_weights(model_class, config, options, hardware.bits)
            elif hardware.bits:
                model = _in_bits(model_class, folder, config, options, hardware.bits, hardware.dtype)
            else:
                model = _as_stored(model_class, folder, config, options)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise SetupError(f"The weights in {folder} cannot be loaded: {error}") from error
    return model.eval().to(hardware.device)  # one tensor after the other; never to a dtype, which would round angles


def _as_stored(model_class: Any, folder: Path, config: Any, options: Mapping[str, Any]) -> Any:
    """The model with the tensors of the checkpoint as they are."""
    model, report = model_class.from_pretrained(
        None,
        config=config,
        state_dict=dict(_tensors(folder)),
        ignore_mismatched_sizes=True,  # they are errors below, with their names
        output_loading_info=True,
        **options,
    )
    faults = list(_faults(report))
    if faults:
        raise SetupError(f"The config and the weights in {folder} do not fit each other: {'; '.join(faults)}.")
    return model


def _in_bits(
    model_class: Any, folder: Path, config: Any, options: Mapping[str, Any], bits: int, dtype: torch.dtype
) -> Any:
    """The model quantised from its weights as they are stored, before a device or a wider dtype holds them whole.

    Where an earlier start has kept the outcome, that is mapped and the weights are not read.
    """
    packed = PackedFile(folder, bits)
    model = _without_weights(model_class, config, options, bits)
    if packed.fill(model, dtype):
        return model
    model = _as_stored(model_class, folder, config, options)
    quantize(model, bits)
    packed.write(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    return model


def _without_weights(model_class: Any, config: Any, options: Mapping[str, Any], bits: int | None) -> Any:
    """The model on the device `meta`, quantised where bits are given."""
    with torch.device("meta"):
        model = model_class._from_config(copy.deepcopy(config), **options)
    if bits:
        quantize(model, bits)
    return model


# Parameters of glibc's mallopt, from malloc.h, in bytes: memory above the end of the heap that is given back, and the
# size from which an allocation has pages of its own, which are given back when it is freed.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


@contextmanager
def freed_memory_goes_back() -> Iterator[None]:
    """Within the block, tensors that are freed leave the process's memory at once; after it, freed memory is kept.

    While loading, a layer's 192 expert matrices are read one by one and stacked, and their places would stay with the
    process: a peak of 10.5 GB at full size in bf16, against 7.2 GB. While reading pages it is the other way round: an
    attention bias of 400 MB comes and goes with each global layer, and fresh pages for it cost a fifth of the vision
    encoder's time (bench/memory_reuse.py). Other C libraries than glibc are left alone.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", lambda _parameter, _value: None)
    mallopt(M_MMAP_THRESHOLD, 2**20)
    try:
        yield
    finally:
        mallopt(M_MMAP_THRESHOLD, 2**30)
        mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    """Every tensor of the checkpoint by name, each read from disk only when it is put into the model.

    Read, not mapped: pages of a mapped file count as the process's memory until the system wants them back, and
    loading would peak at the weights twice over (measured at full size: 12.0 GB mapped).
    """
    for path in sorted(folder.glob("*.safetensors")):
        file: Any = safe_open(path, framework="pt", backend="pread")
        for name in file.keys():  # noqa: SIM118  it is no mapping
            yield name, file.get_slice(name)


def stored_dtype(folder: Path) -> torch.dtype:
    """The dtype of a checkpoint's first tensor, which is that of all."""
    _name, tensor = next(_tensors(folder))
    dtype: torch.dtype = tensor[:0].dtype
    return dtype


def _faults(report: Mapping[str, Any]) -> Iterator[str]:
    # Buffers that older code saved along with the weights say nothing that is not computed anyway.
    unexpected = [key for key in report["unexpected_keys"] if not key.endswith("position_ids")]
    mismatched = [f"{name} {tuple(saved)} for {tuple(wanted)}" for name, saved, wanted in report["mismatched_keys"]]
    for what, names in (
        ("missing", report["missing_keys"]),
        ("unexpected", unexpected),
        ("of another shape", mismatched),
    ):
        if names:
            first = sorted(names)[:3]
            more = f" and {len(names) - len(first)} more" if len(names) > len(first) else ""
            yield f"{len(names)} {what} ({', '.join(first)}{more})"

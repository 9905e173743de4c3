"""The header of a safetensors file: does it account for the file to the last byte? The tensors are never read."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

from ocr.weights.files import JSON_LIMIT, Damage, parse_object, refuse_pointer, short, size_of

# Bits of one element, for every dtype of the safetensors format.
DTYPE_BITS: Mapping[str, int] = {
    "F4": 4,
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
}
DIMENSIONS_LIMIT = 32  # of one tensor; numpy's own limit was 32, real ones have 4


def tensor_sizes(path: Path) -> dict[str, int]:
    """The tensors of a safetensors file and their bytes. Raises Damage unless they fill the file exactly."""
    header, data_bytes = _header(path)
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise Damage("damaged header: its __metadata__ is not text")
    if not header:
        raise Damage("holds no tensors")
    end = 0
    for begin, stop, name in sorted((*_span(name, entry), name) for name, entry in header.items()):
        if begin != end:
            raise Damage(f"damaged header: {short(name)} begins at byte {begin:,}, the one before ends at {end:,}")
        end = stop
    if end > data_bytes:
        raise Damage(f"short file: the last {end - data_bytes:,} of {end:,} bytes of tensors are missing")
    if end < data_bytes:
        raise Damage(f"extra bytes: {data_bytes - end:,} after the last tensor")
    return {name: stop - begin for name, entry in header.items() for begin, stop in (_span(name, entry),)}


def _header(path: Path) -> tuple[dict[str, Any], int]:
    """The header of a safetensors file (8 bytes of length, then JSON) and the number of data bytes after it."""
    size = size_of(path)
    if size < 8:
        raise Damage(f"short file: {size} bytes, not even the 8 that say how long the header is")
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        raw = file.read(min(length, JSON_LIMIT))
    refuse_pointer(start + raw)
    if length > min(size - 8, JSON_LIMIT):
        raise Damage(_length_fault(raw, length))
    if not raw.startswith(b"{"):
        raise Damage("damaged header: it does not begin as JSON, or this is no safetensors file")
    return parse_object(raw, "damaged header: "), size - 8 - length


def _length_fault(raw: bytes, length: int) -> str:
    """Why a header is not as long as it claims: the claim is false, or the file ends inside the header."""
    try:
        _, end = json.JSONDecoder().raw_decode(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        end = None
    if length <= JSON_LIMIT and (end is None or length - end < 8):  # writers pad by up to 7 spaces
        return f"short file: it ends inside its header of {length:,} bytes"
    return f"damaged header: it claims to be {length:,} bytes long" + (f" and ends after {end:,}" if end else "")


def _span(name: str, entry: object) -> tuple[int, int]:
    """The bytes a tensor takes in the data, as its header entry has them: the first, and the one after the last."""
    found = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = found.get("dtype"), found.get("shape"), found.get("data_offsets")
    if not _is_counts(shape) or not _is_counts(offsets) or len(offsets) != 2:
        raise Damage(f"damaged header: {short(name)} has no proper shape and data_offsets")
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise Damage(f"damaged header: {short(name)} has dtype {short(dtype)}; known are {', '.join(DTYPE_BITS)}")
    begin, stop = offsets
    if (stop - begin) * 8 != math.prod(shape) * DTYPE_BITS[dtype]:
        raise Damage(f"damaged header: {short(name)}, {dtype} {short(shape)}, cannot take {stop - begin:,} bytes")
    return begin, stop


def _is_counts(value: object) -> TypeGuard[list[int]]:
    return (
        isinstance(value, list)
        and len(value) <= DIMENSIONS_LIMIT
        and all(type(number) is int and 0 <= number < 1 << 63 for number in value)
    )

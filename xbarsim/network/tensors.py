"""Tensor files: safetensors with every header fault found before a byte is believed."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from xbarsim.errors import Fault, InputError, did_you_mean

_TYPES = {
    "BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16,
    "U32": np.uint32, "I32": np.int32, "U64": np.uint64, "I64": np.int64,
    "F16": np.float16, "F32": np.float32, "F64": np.float64,
}  # fmt: skip
_PREFIX_BYTES = 8
_LARGEST_HEADER = 100_000_000


class HeaderError(ValueError):
    """The header of a tensor file is not what it should be."""


@dataclass(frozen=True)
class Stored:
    """What the header says of one tensor."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    """First byte, counted from the end of the header."""
    end: int
    """The byte after the last one."""


@dataclass(frozen=True)
class TensorFile:
    """A tensor file whose header has been checked; tensors are read when asked for."""

    path: Path
    tensors: Mapping[str, Stored]

    def __contains__(self, name: object) -> bool:
        return name in self.tensors

    def get(self, name: str) -> NDArray[Any]:
        """Read one tensor; raises :class:`InputError` for a name the file does not have."""
        if name not in self.tensors:
            raise InputError(Fault(str(self.path), f"no tensor {name!r}{did_you_mean(name, self.tensors)}"))
        with safe_open(self.path, framework="numpy") as file:
            return np.asarray(file.get_tensor(name))


def open_tensors(path: Path) -> TensorFile:
    """Check the header of a safetensors file; raises :class:`InputError` with all faults."""
    faults: list[Fault] = []

    def fault(message: str, name: str = "") -> None:
        faults.append(Fault(str(path), message, name))

    try:
        header, data_bytes = _header(path)
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(Fault(str(path), _why(error))) from None
    tensors = {}
    for name, record in header.items():
        if name == "__metadata__":
            continue
        try:
            tensors[name] = _stored(record, data_bytes)
        except HeaderError as error:
            fault(str(error), name)
    if not faults:
        message = _gaps(tensors, data_bytes) or _refusal(path)
        if message:
            fault(message)
    if faults:
        raise InputError(faults)
    return TensorFile(path, tensors)


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {(error.strerror or str(error)).lower()}"
    return str(error) if isinstance(error, HeaderError) else f"the header is not JSON text: {error}"


def _header(path: Path) -> tuple[dict[str, object], int]:
    """Read the header; return it and the number of bytes behind it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        prefix = file.read(_PREFIX_BYTES)
        if len(prefix) < _PREFIX_BYTES:
            raise HeaderError(f"{size} bytes are too few for a safetensors header")
        length = int.from_bytes(prefix, "little")
        if length > size - _PREFIX_BYTES:
            raise HeaderError(f"the header claims {length} bytes, the file has {size - _PREFIX_BYTES} left")
        if length > _LARGEST_HEADER:
            raise HeaderError(f"a header of {length} bytes is above the maximum {_LARGEST_HEADER}")
        header = json.loads(file.read(length), object_pairs_hook=_unique)
    if not isinstance(header, dict):
        raise HeaderError("the header is not a table of tensors")
    return header, size - _PREFIX_BYTES - length


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise HeaderError(f"{twice!r} stands twice")
    return table


def _stored(record: object, data_bytes: int) -> Stored:
    """Check one tensor's record; raises :class:`HeaderError`."""
    if not isinstance(record, dict) or set(record) != {"dtype", "shape", "data_offsets"}:
        raise HeaderError("the header must state dtype, shape and data_offsets, no more")
    kind, shape, offsets = record["dtype"], record["shape"], record["data_offsets"]
    if kind not in _TYPES:
        raise HeaderError(f"dtype {kind!r} is not one of {', '.join(_TYPES)}")
    for values, label in ((shape, "shape"), (offsets, "data_offsets")):
        if not isinstance(values, list) or any(type(v) is not int or v < 0 for v in values):
            raise HeaderError(f"{label} {values!r} is not a list of integers from 0 on")
    if len(offsets) != 2 or not offsets[0] <= offsets[1] <= data_bytes:
        raise HeaderError(f"data_offsets {offsets} do not lie inside the {data_bytes} bytes of data")
    dtype = np.dtype(_TYPES[kind])
    if math.prod(shape) * dtype.itemsize != offsets[1] - offsets[0]:
        raise HeaderError(f"shape {shape} of {kind} does not fill data_offsets {offsets}")
    return Stored(dtype, tuple(shape), offsets[0], offsets[1])


def _gaps(tensors: Mapping[str, Stored], data_bytes: int) -> str:
    """Say where tensors overlap or leave bytes unused; ``""`` if nowhere."""
    place, before = 0, "the header"
    for name, stored in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if stored.begin != place:
            what = "overlaps" if stored.begin < place else "leaves a gap behind"
            return f"{name!r} {what} {before!r} at data byte {min(place, stored.begin)}"
        place, before = stored.end, name
    return f"{data_bytes - place} bytes behind {before!r} belong to no tensor" if place < data_bytes else ""


def _refusal(path: Path) -> str:
    """Say why the library that will read the tensors refuses the file; ``""`` if it does not."""
    try:
        with safe_open(path, framework="numpy"):
            return ""
    except (SafetensorError, OSError) as error:
        return f"cannot be read: {error}"


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write ``tensors`` in name order; the same tensors give the same bytes."""
    path.write_bytes(save({name: np.asarray(tensors[name], order="C") for name in sorted(tensors)}))


def fingerprint(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of all tensors, in name order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        digest.update(f"{name} {array.dtype.name} {list(array.shape)}\n".encode())
        digest.update(little.reshape(-1).view(np.uint8).data)
    return f"sha256:{digest.hexdigest()}"

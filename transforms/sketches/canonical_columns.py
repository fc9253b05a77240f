"""Whole columns as canonical bytes with their tag, by the rule of canonical.py, and back."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.canonical import MISSING, canonical, value_of

_NUMBERS = {ord("i"): np.dtype("<i8"), ord("f"): np.dtype("<f8")}


def tagged(column: pa.Array) -> pa.LargeBinaryArray:
    """The canonical bytes of each value and, after them, its tag; raises ValueError as `canonical` does.

    >>> tagged(pa.array(["ana", "bo"])).to_pylist()
    [b'anas', b'bos']
    """
    if column.null_count:
        raise ValueError(MISSING)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        offsets, data = _parts(column.cast(pa.large_string()))
        return _binary(offsets + np.arange(offsets.size), np.insert(data, offsets[1:], ord("s")))
    if pa.types.is_integer(kind) and kind != pa.uint64():
        return _words(column.to_numpy().astype("<i8"), ord("i"))
    if pa.types.is_floating(kind) and not pa.types.is_float16(kind):
        floats = column.to_numpy().astype("<f8") + 0.0  # -0.0 + 0.0 is 0.0
        floats[np.isnan(floats)] = np.nan
        return _words(floats, ord("f"))
    pairs = map(canonical, column.to_pylist())
    return pa.array([payload + bytes([tag]) for payload, tag in pairs], pa.large_binary())


def untagged(keys: pa.LargeBinaryArray) -> pa.Array:
    """The values of canonical bytes and their tags; raises ValueError for bytes that no value gives.

    Values of several kinds make no column: of these as well.
    """
    offsets, data = _parts(keys)
    if not np.diff(offsets).all():
        raise ValueError("canonical bytes must end in a tag, and some are empty")
    tags = np.unique(data[offsets[1:] - 1]).tolist()
    if tags == [ord("s")]:
        texts = _binary(offsets - np.arange(offsets.size), np.delete(data, offsets[1:] - 1)).view(pa.large_string())
        texts.validate(full=True)
        return texts
    if len(tags) == 1 and tags[0] in _NUMBERS and (np.diff(offsets) == 9).all():
        words = np.ascontiguousarray(data.reshape(-1, 9)[:, :8])
        return pa.array(words.view(_NUMBERS[tags[0]]).ravel())
    values = [value_of(key[:-1], key[-1]) for key in keys.to_pylist()]
    kinds = sorted({type(value).__name__ for value in values})
    if len(kinds) > 1:
        raise ValueError(f"items must be of one kind to make a column, got {' and '.join(kinds)}: ask sketch by sketch")
    return pa.array(values)


def _words(numbers: NDArray[np.int64] | NDArray[np.float64], tag: int) -> pa.LargeBinaryArray:
    data = np.full((numbers.size, 9), tag, np.uint8)
    data[:, :8] = np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, 8)
    return _binary(np.arange(numbers.size + 1) * 9, data.ravel())


def _parts(column: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """The offsets and the bytes of a column of large strings or binaries, without what a slice leaves out."""
    if not len(column):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, bounds, data = column.buffers()
    offsets = np.frombuffer(bounds, np.int64, len(column) + 1, column.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    return offsets - first, np.frombuffer(data or b"", np.uint8, last - first, first if last > first else 0)


def _binary(offsets: NDArray[np.int64], data: NDArray[np.uint8]) -> pa.LargeBinaryArray:
    buffers = [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.large_binary(), offsets.size - 1, buffers)

"""A column as canonical payloads: what canonical.py says of a value, for many of one kind at once."""

from __future__ import annotations

import unicodedata
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.sketches.canonical import DECIMAL, NO_ZONE, column_of, require_column
from transforms.sketches.ragged import Ragged

Words = NDArray[np.uint64]
_OFFSETS = {pa.string(): "<i4", pa.binary(): "<i4", pa.large_string(): "<i8", pa.large_binary(): "<i8"}
Payloads = tuple[Words, int] | tuple[Ragged, int]


def payloads(values: Any, normalize: bool = False) -> Payloads | None:
    """The payloads of a column, as words where all have 8 bytes, and their tag.

    None where they have no one tag: values of several kinds, or ints of more than 64 bits. Raises ValueError where one
    has no payload.

    >>> payloads(np.array([1, 2]))
    (array([1, 2], dtype=uint64), 105)
    """
    if isinstance(values, np.ndarray) and require_column(values).dtype.kind in "iufb":
        return _of_numbers(values)
    column = column_of(values)
    if column is None:
        return None
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return _of_numbers(column.to_numpy(zero_copy_only=False))
    if _is_text(kind):
        return _messages(_normalized(column) if normalize else column), ord("s")
    if _is_binary(kind):
        return _messages(column), ord("y")
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return _of_times(column)
    if pa.types.is_decimal(kind):
        raise ValueError(DECIMAL)
    raise ValueError(f"cannot hash a column of {kind}: cast it to numbers, strings, bytes, dates or times in UTC")


def _of_numbers(column: NDArray[Any]) -> Payloads | None:
    if column.dtype.kind == "f":
        floats = column.astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
        floats[np.isnan(floats)] = np.nan
        return floats.view(np.uint64), ord("f")
    if column.dtype == np.uint64 and column.size and int(column.max()) >= 2**63:
        return None
    return column.astype(np.int64, copy=False).view(np.uint64), ord("b" if column.dtype.kind == "b" else "i")


def _of_times(column: pa.Array) -> Payloads:
    if pa.types.is_date(column.type):
        days = column.cast(pa.date32()).view(pa.int32()).to_numpy()
        return days.astype(np.int64).view(np.uint64), ord("d")
    if column.type.tz is None:
        raise ValueError(NO_ZONE)
    micros = column.cast(pa.timestamp("us", tz=column.type.tz)).view(pa.int64()).to_numpy()
    return micros.view(np.uint64), ord("t")


def _messages(column: pa.Array) -> Ragged:
    if column.type not in _OFFSETS:
        column = column.cast(pa.large_binary())
    _, offsets, data = column.buffers()
    if not len(column):  # there may be no buffers
        return Ragged.of(b"", np.zeros(1, np.int64))
    bounds = np.frombuffer(offsets, _OFFSETS[column.type])[column.offset : column.offset + len(column) + 1]
    return Ragged.of(memoryview(data or b""), bounds.astype(np.int64, copy=False))


def _normalized(column: pa.Array) -> pa.Array:
    if pc.all(pc.string_is_ascii(column.cast(pa.large_string()))).as_py():
        return column
    # Not pc.utf8_normalize: up to Arrow 25 its NFC is NFD (apache/arrow issue 51225).
    return pa.array([unicodedata.normalize("NFC", item) for item in column.to_pylist()], pa.large_string())


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: pa.DataType) -> bool:
    return any(
        test(kind)
        for test in (
            pa.types.is_binary,
            pa.types.is_large_binary,
            pa.types.is_fixed_size_binary,
            pa.types.is_binary_view,
        )
    )

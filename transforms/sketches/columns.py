"""A column of numbers, from whatever holds one: what the sketches of order and of size take."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_DROP = "drop missing values first, and count them if they matter"


def number_column(values: Any) -> NDArray[np.int64] | NDArray[np.float64]:
    """Whole numbers as int64 where they fit, all others as float64; one dimension, nothing copied that need not be.

    Raises ValueError on a null, a NaN, and on what is no number (True and False are none).

    >>> number_column(pa.array([1, 2], pa.int8())), number_column([1, 2.5])
    (array([1, 2]), array([1. , 2.5]))
    """
    column = _from_arrow(values) if isinstance(values, pa.Array | pa.ChunkedArray) else np.asarray(values)
    if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
        raise ValueError(f"cannot add masked values: {_DROP}")
    if column.ndim != 1:
        raise ValueError(f"numbers must come as one column, got {column.ndim} dimensions: flatten them, or use add")
    if not column.size:
        return np.empty(0)
    if column.dtype == object:
        column = _from_objects(column)
    if column.dtype.kind == "i" or (column.dtype.kind == "u" and column.max() < 2**63):
        return column.astype(np.int64, copy=False)
    if column.dtype.kind not in "uf":
        raise ValueError(f"only numbers have order and size here, got {column.dtype}: convert the values to numbers")
    floats = column.astype(np.float64, copy=False)
    if np.isnan(floats).any():
        raise ValueError(f"cannot add NaN: {_DROP}")
    return floats


def float_column(values: Any) -> NDArray[np.float64]:
    """Numbers as float64, whole ones rounded beyond 2^53, infinities included; raises as `number_column` does."""
    return number_column(values).astype(np.float64, copy=False)


def finite_column(values: Any) -> NDArray[np.float64]:
    """Numbers as float64; raises ValueError on infinity as well, which has an order but no size."""
    column = float_column(values)
    if not np.isfinite(column).all():
        raise ValueError("cannot add infinity: drop it, or clip it to the largest value that makes sense")
    return column


def _from_arrow(values: pa.Array | pa.ChunkedArray) -> NDArray[Any]:
    if values.null_count:
        raise ValueError(f"cannot add {values.null_count} nulls: {_DROP}")
    if not len(values):
        return np.empty(0)
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise ValueError(f"only numbers have order and size here, got {values.type}: cast the column to numbers")
    return np.asarray(values)


def _from_objects(column: NDArray[np.object_]) -> NDArray[np.float64]:
    """Numbers of several kinds, or beyond 64 bits."""
    for value in column:
        if value is None:
            raise ValueError(f"cannot add None: {_DROP}")
        if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
            raise ValueError(f"only numbers have order and size here, got {value!r}: convert the values to numbers")
    try:
        return column.astype(np.float64)
    except OverflowError as error:
        raise ValueError(f"numbers must fit a float64: {error}; clip or scale them") from error

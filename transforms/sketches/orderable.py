"""Items that have an order: ints, floats or strings, from whatever holds them, and never two kinds at once."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Item: TypeAlias = int | float | str

_DROP = "drop missing values first, and count them if they matter"


def sorted_entries(values: Any) -> tuple[list[Any], list[int]]:
    """The different items, ascending, and how often each is there.

    Raises ValueError on missing values, NaN, items of two kinds or of another one (True is no int), and on ints that
    need more than 64 bits.

    >>> sorted_entries(["bo", "ana", "bo"])
    (['ana', 'bo'], [1, 2])
    """
    if isinstance(values, pa.Array | pa.ChunkedArray):
        if values.null_count:
            raise ValueError(f"cannot add {values.null_count} nulls: {_DROP}")
        number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
        values = np.asarray(values) if number else values.to_pylist()
    if isinstance(values, np.ndarray) and values.dtype.kind in "iuf":
        return _sorted_numbers(values.ravel())
    items = [item.item() if isinstance(item, np.generic) else item for item in values]
    kinds = set(map(type, items))
    if kinds - {int, float, str} or len(kinds) > 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise ValueError(f"items must be of one kind, int, float or str, got {names}: convert them, and {_DROP}")
    if kinds <= {str}:
        totals = Counter(items)
        return sorted(totals), [totals[item] for item in sorted(totals)]
    return _sorted_numbers(np.array(items, object if kinds == {int} else np.float64))


def plain(x: Any) -> Any:
    """One such item as Python's own type; raises ValueError as `sorted_entries` does, but for the size of an int."""
    item = x.item() if isinstance(x, np.generic) else x
    if type(item) not in {int, float, str} or (type(item) is float and math.isnan(item)):
        raise ValueError(f"only ints, floats but NaN, and strings have an order here, got {x!r}: convert it")
    return item


def _sorted_numbers(column: NDArray[Any]) -> tuple[list[Any], list[int]]:
    if column.dtype.kind == "f":
        if np.isnan(column).any():
            raise ValueError(f"cannot add NaN, which has no place in an order: {_DROP}")
        column = column.astype(np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    else:
        if column.size and not -(2**63) <= column.min() <= column.max() < 2**63:
            raise ValueError(f"ints must fit 64 bits, got {column.min()} to {column.max()}: use floats or strings")
        column = column.astype(np.int64)
    items, counts = np.unique(column, return_counts=True)
    return items.tolist(), counts.tolist()

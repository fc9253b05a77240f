"""A value as canonical bytes: what makes two values the same to a sketch, and a payload a value again.

    value                        payload                                          tag
    bool                         0 or 1, as 8 bytes                               b
    int of 64 bits, signed       8 bytes, two's complement                        i
    any other int                as few bytes, two's complement, as hold it       I
    float                        8 bytes of float64; -0.0 as 0.0, one NaN         f
    str                          UTF-8, as it is or in NFC (normalize=True)       s
    bytes                        as they are                                      y
    date                         days since 1970, as 8 bytes                      d
    datetime, with a time zone   microseconds since 1970 UTC, as 8 bytes          t

So 1, True, 1.0 and "1" are four values. All bytes are little-endian. numpy's and Arrow's numbers of any width are the
Python value that they show. Missing values, Decimals and times without a zone are refused with ValueError: it has to
be said first what they are equal to.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

MISSING = "cannot hash a missing value: drop nulls first, and count them apart if they matter"
NO_ZONE = "cannot hash a time without a time zone: say which zone it is in, as .replace(tzinfo=UTC) does"
DECIMAL = "cannot hash a Decimal, since 1.0 and 1.00 differ in digits: add str(value), float(value), or whole cents"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARROW_TYPES = {
    str: pa.large_string(),
    bytes: pa.large_binary(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
}


def canonical(item: Any, normalize: bool = False) -> tuple[bytes, int]:
    """The payload of a value and its tag, by the table above; raises ValueError for what has none.

    >>> canonical("ana"), canonical(1) == canonical(True)
    ((b'ana', 115), False)
    """
    if normalize and isinstance(item, str):
        item = unicodedata.normalize("NFC", item)
    for types, payload_of in _RULES:
        if isinstance(item, types):
            return payload_of(item)
    raise ValueError(
        f"cannot hash a {type(item).__name__}: add a number, string, bytes, date or time; "
        "of a tuple, say how its parts are joined"
    )


def _whole(item: int) -> tuple[bytes, int]:
    number = int(item)
    if -(2**63) <= number < 2**63:
        return struct.pack("<q", number), ord("i")
    return number.to_bytes((number + (number < 0)).bit_length() // 8 + 1, "little", signed=True), ord("I")


def _real(item: float) -> tuple[bytes, int]:
    number = float(item)
    return struct.pack("<d", np.nan if np.isnan(number) else number + 0.0), ord("f")  # -0.0 + 0.0 is 0.0


def _instant(item: datetime) -> tuple[bytes, int]:
    if item.tzinfo is None:
        raise ValueError(NO_ZONE)
    return struct.pack("<q", (item - _EPOCH) // timedelta(microseconds=1)), ord("t")


def _refuse(reason: str) -> Callable[[Any], NoReturn]:
    def refuse(item: Any) -> NoReturn:
        del item
        raise ValueError(reason)

    return refuse


# The first rule that fits counts: a bool is an int, and a datetime is a date.
_RULES: list[tuple[Any, Callable[[Any], tuple[bytes, int]]]] = [
    (str, lambda item: (item.encode(), ord("s"))),
    ((bool, np.bool_), lambda item: (struct.pack("<q", bool(item)), ord("b"))),
    ((int, np.integer), _whole),
    ((float, np.floating), _real),
    ((bytes, bytearray, memoryview), lambda item: (bytes(item), ord("y"))),
    (datetime, _instant),
    (date, lambda item: (struct.pack("<q", item.toordinal() - _EPOCH.toordinal()), ord("d"))),
    (pa.Scalar, lambda item: canonical(item.as_py())),
    (type(None), _refuse(MISSING)),
    (Decimal, _refuse(DECIMAL)),
]


def value_of(payload: bytes, tag: int) -> Any:
    """The value of a canonical payload and tag; raises ValueError for bytes that no value gives.

    >>> value_of(*canonical("ana"))
    'ana'
    """
    kind = chr(tag)
    if kind in _OF_ANY_LENGTH:
        return _OF_ANY_LENGTH[kind](payload)
    if kind not in _OF_A_WORD or len(payload) != 8:
        raise ValueError(f"no value has {len(payload)} bytes and the tag {kind!r}")
    try:
        return _OF_A_WORD[kind](payload)
    except OverflowError as error:
        raise ValueError(f"dates and times must be of the years 1 to 9999: {error}") from error


def _number(payload: bytes) -> int:
    return int.from_bytes(payload, "little", signed=True)


_OF_ANY_LENGTH: dict[str, Callable[[bytes], Any]] = {"s": bytes.decode, "y": bytes, "I": _number}
_OF_A_WORD: dict[str, Callable[[bytes], Any]] = {
    "b": lambda payload: bool(_number(payload)),
    "i": _number,
    "f": lambda payload: struct.unpack("<d", payload)[0],
    "d": lambda payload: (_EPOCH + timedelta(_number(payload))).date(),
    "t": lambda payload: _EPOCH + timedelta(microseconds=_number(payload)),
}


def column_of(values: Any) -> pa.Array | None:
    """Values of one kind as an Arrow array, for vector work; None where they are of several kinds or of none.

    Raises ValueError for missing values.
    """
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    elif isinstance(values, np.ndarray) and require_column(values).dtype.kind in "iufb":
        values = pa.array(values.astype(np.float32) if values.dtype == np.float16 else values)
    elif isinstance(values, np.ndarray) and values.dtype.kind in "mM":
        raise ValueError(NO_ZONE)
    elif not isinstance(values, pa.Array):
        items = values.tolist() if isinstance(values, np.ndarray) else list(values)
        kinds = set(map(type, items))
        kind = _ARROW_TYPES.get(kinds.pop()) if len(kinds) == 1 else None
        try:
            values = pa.array(items, kind) if kind is not None else None
        except OverflowError:
            return None
    if values is not None and pa.types.is_nested(values.type):
        raise ValueError(f"cannot hash a column of {values.type}: flatten it, so that each row has one value")
    if values is not None and values.null_count:
        raise ValueError(MISSING)
    return values


def require_column(values: NDArray[Any]) -> NDArray[Any]:
    """The array, if it has one dimension and no masked value; raises ValueError otherwise."""
    if values.ndim != 1:
        raise ValueError(f"values must come as one column, got {values.ndim} dimensions: flatten them, or use add")
    if np.ma.is_masked(values):
        raise ValueError(MISSING)
    return values

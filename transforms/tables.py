"""Rows of any shape as Arrow batches of the columns that are needed; what does not fit is told, with its reason.

A column is named as its field is; `user.id` is the field `id` of the field `user`. A field that is missing is null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from transforms.access_logs import parse_access
from transforms.parsing import Payload, parse_time

Kind: TypeAlias = Literal["time", "text", "integer", "real", "boolean", "numeric", "number", "any"]

TIME = pa.timestamp("us", tz="UTC")
_FIRST_MILLISECOND = 10**10  # as in parsing: numbers below count seconds
_TYPES = {"time": TIME, "text": pa.string(), "integer": pa.int64(), "real": pa.float64(), "boolean": pa.bool_()}


@dataclass(frozen=True)
class Field:
    """A column that is needed: the path of its field, and what its values are.

    A `time` must be there in each row. A `numeric` value is whole or not, as it comes; a `number` becomes a real, and
    `any` is text, a number or a boolean; both may come in lists. As `text` a number or a boolean is what JSON writes.
    Whole numbers have at most 64 bits.
    """

    path: str
    kind: Kind


def parse_row(payload: Payload) -> Mapping[str, Any]:
    """A row of a container, a JSON object of a line, or any other line as one of an access log.

    >>> parse_row(b'{"user": {"id": 7}}')
    {'user': {'id': 7}}
    """
    if isinstance(payload, bytes) and not payload.lstrip().startswith((b"{", b"[")):
        return parse_access(payload.decode("utf-8"))
    row = orjson.loads(payload) if isinstance(payload, bytes) else payload
    if not isinstance(row, Mapping):
        raise ValueError(f"expected a JSON object, got {type(row).__name__}")
    return row


def values_of(row: Mapping[str, Any], fields: Sequence[Field]) -> tuple[Any, ...]:
    """The value of each field, in a form that all rows share; ValueError where one is not what it must be.

    >>> row = {"at": 1772366400, "user": {"id": 7}, "ms": [3, 4.5]}
    >>> values_of(row, [Field("at", "time"), Field("user.id", "text"), Field("ms", "number")])
    (datetime.datetime(2026, 3, 1, 12, 0, tzinfo=datetime.timezone.utc), '7', [3.0, 4.5])
    """
    return tuple(_CHECKS[field.kind](_at(row, field.path), field.path) for field in fields)


def batch_of(rows: Sequence[tuple[Any, ...]], fields: Sequence[Field]) -> pa.RecordBatch:
    """Rows that `values_of` gave, as a batch. A column of values of several kinds has them as JSON writes them."""
    columns = zip(*rows, strict=True) if rows else [[] for _ in fields]
    arrays = [_array(list(column), _TYPES.get(field.kind)) for column, field in zip(columns, fields, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, [field.path for field in fields])


def columns_of(batch: pa.RecordBatch, fields: Sequence[Field]) -> tuple[pa.RecordBatch, list[int]]:
    """The columns of a batch that is read as such, and the rows that are left out: those without a time.

    Raises ValueError where a column is missing, or of a type that does not fit: it is the same for all rows.
    """
    arrays = [_converted(column_at(batch, field.path), field) for field in fields]
    table = pa.RecordBatch.from_arrays(arrays, [field.path for field in fields])
    times = [array for array, field in zip(arrays, fields, strict=True) if field.kind == "time" and array.null_count]
    if not times:
        return table, []
    missing = pc.is_null(times[0])
    return table.filter(pc.invert(missing)), pc.indices_nonzero(missing).to_pylist()


def _at(row: Mapping[str, Any], path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _scalar(value: Any, path: str, what: str) -> Any:
    if isinstance(value, str | int | float) and not (isinstance(value, float) and math.isnan(value)):
        return _of_64_bits(value, path)
    raise ValueError(f"{path} must be {what}, got {type(value).__name__}")


def _text(value: Any, path: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(_scalar(value, path, "text")).decode()


def _whole(value: Any, path: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        whole: int | None = _of_64_bits(value, path)
        return whole
    raise ValueError(f"{path} must be a whole number, got {value!r}")


def _of_64_bits(value: Any, path: str) -> Any:
    """What an Arrow column can hold: no column may fail for one value."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"{path} must be a whole number of at most 64 bits with its sign, got {value}")
    return value


def _numeric(value: Any, path: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f"{path} must be a number, got {value!r}")
    number: float = _of_64_bits(value, path)
    return number


def _number(value: Any, path: str) -> float | None:
    number = _numeric(value, path)
    return None if number is None else float(number)


def _truth(value: Any, path: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    raise ValueError(f"{path} must be true or false, got {value!r}")


def _time(value: Any, path: str) -> Any:
    try:
        return parse_time(value)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _each(check: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
    """The same for each of a list."""

    def checked(value: Any, path: str) -> Any:
        return [check(one, path) for one in value] if isinstance(value, list) else check(value, path)

    return checked


def _any(value: Any, path: str) -> Any:
    return None if value is None else _scalar(value, path, "text, a number, a boolean, or a list of such")


_CHECKS: dict[Kind, Callable[[Any, str], Any]] = {
    "time": _time,
    "text": _text,
    "integer": _whole,
    "real": _number,
    "boolean": _truth,
    "numeric": _numeric,
    "number": _each(_number),
    "any": _each(_any),
}


def _array(values: list[Any], kind: pa.DataType | None) -> pa.Array:
    if kind is not None:
        return pa.array(values, kind)
    if any(isinstance(value, list) for value in values):  # one by itself is a list of one
        values = [value if value is None or isinstance(value, list) else [value] for value in values]
        flat = [one for value in values if value is not None for one in value if one is not None]
    else:
        flat = [value for value in values if value is not None]
    kinds = {float if isinstance(value, int | float) and not isinstance(value, bool) else type(value) for value in flat}
    if len(kinds) > 1:
        values = [[_text(one, "") for one in v] if isinstance(v, list) else _text(v, "") for v in values]
    elif any(isinstance(value, float) for value in flat):  # whole numbers beside them may be too long for Arrow
        values = [[_number(one, "") for one in v] if isinstance(v, list) else _number(v, "") for v in values]
    return _typed(pa.array(values))


def _typed(values: pa.Array) -> pa.Array:
    """Where there is no value at all, none of text: no sketch takes what has no type."""
    return values.cast(pa.string()) if pa.types.is_null(values.type) else values


def column_at(batch: pa.RecordBatch, path: str) -> pa.Array:
    """The column at a path, such as user.id; ValueError where there is none."""
    if path in batch.schema.names:
        return batch.column(path)
    first, *rest = path.split(".")
    if first not in batch.schema.names:
        raise ValueError(f"there must be a column {path}, got {', '.join(batch.schema.names)}")
    column = batch.column(first)
    try:
        return pc.struct_field(column, rest) if rest else column
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowKeyError) as error:
        raise ValueError(f"there must be a field {path} in the column {first} of type {column.type}") from error


def _converted(column: pa.Array, field: Field) -> pa.Array:
    kind = column.type
    try:
        if field.kind == "time":
            return _times(column)
        if field.kind in _TYPES:
            return column.cast(_TYPES[field.kind])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"the column {field.path} must be of the kind {field.kind}, got {kind}: {error}") from error
    if pa.types.is_null(kind):
        return _typed(column)
    items = kind.value_type if pa.types.is_list(kind) or pa.types.is_large_list(kind) else kind
    if field.kind == "numeric":
        items = kind
    if field.kind in {"number", "numeric"} and not any(
        is_kind(items) for is_kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    ):
        raise ValueError(f"the column {field.path} must hold numbers, got {kind}")
    return column


def _times(column: pa.Array) -> pa.Array:
    """Times in UTC; a timestamp without a zone is taken to be in UTC, whole numbers are seconds or milliseconds."""
    if pa.types.is_integer(column.type):
        number = column.cast(pa.int64())
        return pc.if_else(
            pc.less(number, _FIRST_MILLISECOND), pc.multiply(number, 1_000_000), pc.multiply(number, 1000)
        ).cast(TIME)
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        return column.cast(pa.timestamp("us"), safe=False).cast(TIME)
    return column.cast(TIME, safe=False)

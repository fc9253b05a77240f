"""Many JSON objects at once as a batch, several times faster than one by one, where all are plain.

What is not plain is left to `values_of`, object by object: this gives the same batch as that, or none.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as pa_json

from transforms.parsing import END_OF_TIME, FIRST_MILLISECOND
from transforms.tables import TIME, Field, Kind

_READ = pa_json.ReadOptions(use_threads=False, block_size=64 * 2**20)
_MOST = 32 * 2**20  # bytes that are parsed together
# What a JSON value becomes where the kind of its field says it.
_TYPES: dict[Kind, pa.DataType] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "real": pa.float64(),
    "boolean": pa.bool_(),
    "number": pa.float64(),
}


def parse_json_batch(payloads: Sequence[bytes], fields: Sequence[Field]) -> pa.RecordBatch | None:
    """The columns of `fields` of JSON objects, as `batch_of` and `values_of` make them.

    None where they are to be looked at one by one: a payload is no object, breaks a rule, or a field holds values of
    several types.

    >>> rows = [b'{"at": 1772366400, "user": {"id": "a"}}', b'{"at": 1772366401, "user": {"id": "b"}}']
    >>> parse_json_batch(rows, [Field("at", "time"), Field("user.id", "text")]).column("user.id").to_pylist()
    ['a', 'b']
    >>> parse_json_batch([b'{"at": "noon"}'], [Field("at", "time")])
    """
    joined = b"\n".join(payloads)
    objects = all(payload[:1] == b"{" and payload[-1:] == b"}" for payload in payloads)
    dotted = any("." in field.path and f'"{field.path}"'.encode() in joined for field in fields)  # a name, not a path
    if not payloads or not objects or dotted or len(joined) > _MOST or joined.count(b"\n") != len(payloads) - 1:
        return None
    try:
        joined.decode("utf-8")  # which Arrow takes for granted
        types = _types(orjson.loads(payloads[0]), fields)
        schema = pa.schema(_nested([(field.path.split("."), kind) for field, kind in types.items()]))
        options = pa_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
        table = pa_json.read_json(io.BytesIO(joined), _READ, options)
        if table.num_rows != len(payloads):
            return None
        columns = [_column(table, field) for field in types]
        return pa.RecordBatch.from_arrays(columns, [field.path for field in types])
    except (pa.ArrowException, ValueError):
        return None


def _types(first: Any, fields: Sequence[Field]) -> dict[Field, pa.DataType]:
    """The type of each field, where its kind does not say it by its first value."""
    types = {field: _TYPES.get(field.kind) or _type_of(_at(first, field.path)) for field in fields}
    for field, kind in types.items():
        numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind)
        if not numeric and (field.kind == "numeric" or (field.kind == "time" and kind != pa.string())):
            raise ValueError("no number")
    return types


def _at(row: Any, path: str) -> Any:
    for name in path.split("."):
        row = row[name] if isinstance(row, dict) and name in row else None
    return row


def _type_of(value: Any) -> pa.DataType:
    for kind, stored in ((bool, pa.bool_()), (int, pa.int64()), (float, pa.float64()), (str, pa.string())):
        if isinstance(value, kind):
            return stored
    raise ValueError("a value that tells no type")


def _nested(paths: Sequence[tuple[list[str], pa.DataType]]) -> list[pa.Field]:
    """The fields of a schema in which `user.id` lies in `user`."""
    below: dict[str, list[tuple[list[str], pa.DataType]]] = {}
    for (name, *rest), kind in paths:
        below.setdefault(name, []).append((rest, kind))
    fields = []
    for name, of in below.items():
        if len(of) > 1 and not all(rest for rest, _ in of):
            raise ValueError("a value and an object of one name")
        fields.append(pa.field(name, of[0][1] if not of[0][0] else pa.struct(_nested(of))))
    return fields


def _column(table: pa.Table, field: Field) -> pa.Array:
    name, *rest = field.path.split(".")
    column = table.column(name)
    if rest:
        column = pc.struct_field(column, rest)
    column = column.combine_chunks()
    if field.kind == "time":
        return _times(column)
    if pa.types.is_floating(column.type) and not np.isfinite(column.drop_null()).all():
        raise ValueError("a number beyond all numbers")
    if field.kind in {"any", "numeric", "number"} and column.null_count == len(column):
        raise ValueError("no value tells the type")
    return column


def _times(column: pa.Array) -> pa.Array:
    """Times as parse_time reads them."""
    if column.null_count:
        raise ValueError("a row must have a time")
    if pa.types.is_string(column.type):
        return _in_range(column.cast(pa.timestamp("us", "UTC")))
    numbers = column.to_numpy(zero_copy_only=False)
    if not ((numbers >= 0) & (numbers < END_OF_TIME)).all():
        raise ValueError("a time out of range")
    whole = np.floor(numbers)
    rest = numbers - whole
    scale = np.where(numbers < FIRST_MILLISECOND, 1_000_000, 1000)
    return pa.array(whole.astype("i8") * scale + np.rint(rest * scale).astype("i8")).cast(TIME)


def _in_range(times: pa.Array) -> pa.Array:
    """The same; where they are written, the calendar has more years than are taken."""
    bounds = pc.min_max(times.cast(pa.int64())).as_py()
    if bounds["min"] < 0 or bounds["max"] >= END_OF_TIME * 1000:
        raise ValueError("a time out of range")
    return times

"""Which fields files have: what a schema lacks is refused before anything runs, with the name that may be meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipelines.connectors import read_files
from pipelines.connectors.avro_blocks import read_schema
from pipelines.connectors.decoding import Split
from pipelines.connectors.formats import suffix_of
from transforms.parsing import Payload
from transforms.tables import Field, columns_of, parse_row

_SIMPLE = {"null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed", "array"}
_ANY = ".*"  # in the place of names that a schema does not tell: those of a map


def advice(path: str, names: Iterable[str]) -> str:
    """What may be meant by the name of a field that is not there.

    >>> advice("user.nmae", ["lang", "user", "user.name"])
    'did you mean user.name?'
    """
    known = sorted(names)
    near = difflib.get_close_matches(path, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"


def names_of_fields(uri: str) -> list[str]:
    """What the fields of the first row are called, those of fields as well; of no row there are none."""
    for split in read_files.find_splits(uri):
        for _, payload in read_files.rows_of(split):
            row = _row(payload)
            if row is not None:
                return list(_paths_of_row(row))
    return []


def require_fields(splits: Sequence[Split], fields: Sequence[Field]) -> None:
    """Raises ValueError where the first file that has a schema has not these fields, or of another kind.

    A file that cannot be read is passed over: it will be a reject.
    """
    for split in splits:
        schema = schema_of(split.source)
        if schema is not None:
            names = list(_paths_of_arrow(schema) if isinstance(schema, pa.Schema) else _paths_of_avro(schema))
            for field in fields:
                _require(field.path, names, split.source)
            if isinstance(schema, pa.Schema):
                columns_of(pa.RecordBatch.from_pylist([], schema), fields)
            return


def _require(path: str, names: Sequence[str], source: str) -> None:
    opened = (name.removesuffix("*") for name in names if name.endswith(_ANY))
    if path not in names and not any(path.startswith(prefix) for prefix in opened):
        known = [name for name in names if not name.endswith(_ANY)]
        raise ValueError(f"there is no field {path} in {source}: {advice(path, known)}")


def schema_of(source: str) -> Any:
    """The schema that the head of an Avro or Parquet file tells, of fastavro or pyarrow; None where it tells none."""
    suffix = suffix_of(source)
    if suffix not in {".parquet", ".avro"}:
        return None
    try:
        with FileSystems.open(source, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            if suffix == ".parquet":
                return pq.read_schema(stream)
            return read_schema(stream)
    except Exception:  # noqa: BLE001  whatever a damaged file makes a library raise
        return None


def _row(payload: Payload) -> Mapping[str, Any] | None:
    try:
        return parse_row(payload)
    except ValueError:
        return None


def _paths_of_row(row: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in row.items():
        yield f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _paths_of_row(value, f"{prefix}{name}.")


def _paths_of_arrow(fields: Iterable[pa.Field], prefix: str = "") -> Iterator[str]:
    for field in fields:
        yield f"{prefix}{field.name}"
        if pa.types.is_struct(field.type):
            yield from _paths_of_arrow(field.type, f"{prefix}{field.name}.")


def _paths_of_avro(schema: Any, prefix: str = "") -> Iterator[str]:
    match schema:
        case list():  # a union
            for one in schema:
                yield from _paths_of_avro(one, prefix)
        case {"type": "record", "fields": fields}:
            for field in fields:
                yield f"{prefix}{field['name']}"
                yield from _paths_of_avro(field["type"], f"{prefix}{field['name']}.")
        case {"type": dict() | list() as inner}:
            yield from _paths_of_avro(inner, prefix)
        case {"type": str(name)} | str(name):
            if name not in _SIMPLE:  # a map, or a type that is told elsewhere
                yield f"{prefix.removesuffix('.')}{_ANY}"

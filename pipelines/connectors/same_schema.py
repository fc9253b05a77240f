"""Avro and Parquet files of the rows of other such files: with their schema, and some columns more."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from typing import Any, BinaryIO, TypeAlias

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.connectors.containers import SYNC_MARKER, Avro, Parquet
from pipelines.connectors.decoding import Split
from pipelines.connectors.fields import schema_of
from pipelines.connectors.formats import Format, suffix_of
from transforms.schemas import BatchCoder, Record, arrow_schema, avro_schema

Columns: TypeAlias = Mapping[str, Any]  # by name: values of a row, or the fields of a schema
Change: TypeAlias = Callable[[Columns, Columns], dict[str, Any]]


class AvroRows(Avro):
    """Avro files of rows with any schema of a record."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        super().__init__()
        self._schema = fastavro.parse_schema(dict(schema))

    def encode(self, element: Mapping[str, Any]) -> bytes:
        stream = BytesIO()
        fastavro.schemaless_writer(stream, self._schema, element)
        return stream.getvalue()

    def write(self, stream: BinaryIO, rows: Iterable[bytes]) -> None:
        decoded = (fastavro.schemaless_reader(BytesIO(row), self._schema, None) for row in rows)
        fastavro.writer(stream, self._schema, decoded, codec="deflate", sync_marker=SYNC_MARKER)


class ParquetRows(Parquet):
    """Parquet files of rows with any schema."""

    def __init__(self, schema: pa.Schema) -> None:
        super().__init__()
        self._schema = schema

    def encode(self, element: Mapping[str, Any]) -> bytes:
        return BatchCoder().encode(pa.RecordBatch.from_pylist([element], self._schema))

    def write(self, stream: BinaryIO, rows: Iterable[bytes]) -> None:
        decoded = [row for one in rows for row in BatchCoder().decode(one).to_pylist()]
        pq.write_table(pa.Table.from_pylist(decoded, self._schema), stream, compression="zstd")


def layout_like(splits: Sequence[Split], path: str, added: type[Record], change: Change) -> Format | None:
    """The format of a file for the rows of others, which `change` gave the columns of a record more.

    `change` takes the columns of a row, or of a schema, and those that are added, and gives all of them in order. None
    where the file has no schema. Raises ValueError where the others are not of its kind, or have several schemas.
    """
    suffix = suffix_of(path)
    if suffix not in {".avro", ".parquet"}:
        return None
    if strange := next((split.source for split in splits if suffix_of(split.source) != suffix), None):
        raise ValueError(
            f"{path!r} gets the schema of what is read, so all of it must be {suffix}, got {strange!r}: write .jsonl"
        )
    schemas = {split.source: schema_of(split.source) for split in splits}
    sound = {source: schema for source, schema in schemas.items() if schema is not None}
    if not sound:
        raise ValueError(
            f"no schema can be read from {splits[0].source!r}, so {path!r} has none: is it a {suffix} file?"
        )
    first, schema = next(iter(sound.items()))
    for source, other in sound.items():
        if other != schema:
            raise ValueError(
                f"what becomes one {suffix} file must have one schema, and {source!r} has another than {first!r}: "
                "write .jsonl, or a file for each"
            )
    return _parquet(schema, added, change) if suffix == ".parquet" else _avro(schema, added, change)


def _parquet(schema: pa.Schema, added: type[Record], change: Change) -> ParquetRows:
    columns = change(dict(zip(schema.names, schema, strict=True)), {field.name: field for field in arrow_schema(added)})
    return ParquetRows(pa.schema([field.with_name(name) for name, field in columns.items()], schema.metadata))


def _avro(schema: Any, added: type[Record], change: Change) -> AvroRows:
    if not isinstance(schema, Mapping) or "fields" not in schema:
        raise ValueError(
            f"an Avro file must hold records to be written with columns more, got {schema!r}: write .jsonl"
        )
    more = {field["name"]: field for field in avro_schema(added)["fields"]}
    columns = change({field["name"]: field for field in schema["fields"]}, more)
    described = {key: value for key, value in schema.items() if not key.startswith("__")}  # what fastavro adds
    return AvroRows(described | {"fields": [{**field, "name": name} for name, field in columns.items()]})

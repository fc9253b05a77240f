"""Rows of Avro and Parquet files become a file of the kind, with every field as it was, of every type."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import apache_beam as beam
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from pipelines.connectors import layout_like, read, write
from transforms.parsing import Payload
from transforms.schemas import WrittenFile

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
DEEP = {"type": "record", "name": "Deep", "fields": [{"name": "x", "type": "int"}]}
# What each Avro type is called, and a value of it.
AVRO: dict[str, tuple[Any, Any]] = {
    "id": ({"type": "long"}, 2**40),
    "maybe": (["null", "string"], None),
    "either": (["null", "long", "string", DEEP], {"x": 3}),
    "again": ({"type": "array", "items": "Deep"}, [{"x": 1}, {"x": 2}]),
    "map": ({"type": "map", "values": "double"}, {"a": 0.1}),
    "kind": ({"type": "enum", "name": "Kind", "symbols": ["A", "B"]}, "B"),
    "raw": ({"type": "fixed", "name": "Raw", "size": 2}, b"\x00\xff"),
    "at": ({"type": "long", "logicalType": "timestamp-micros"}, NOON),
    "day": ({"type": "int", "logicalType": "date"}, date(2026, 3, 1)),
    "sum": ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("-12.30")),
    "uuid": ({"type": "string", "logicalType": "uuid"}, UUID(int=7)),
    "yes": ({"type": "boolean"}, True),
    "float": ({"type": "float"}, 0.5),
}
# The same of Arrow.
ARROW: dict[str, tuple[pa.DataType, Any]] = {
    "id": (pa.uint8(), 200),
    "maybe": (pa.string(), None),
    "deep": (pa.list_(pa.struct([("x", pa.int16()), ("kind", pa.dictionary(pa.int8(), pa.string()))])),
             [{"x": 1, "kind": "a"}, {"x": None, "kind": "b"}]),
    "map": (pa.map_(pa.string(), pa.int32()), [("a", 1), ("b", None)]),
    "kind": (pa.dictionary(pa.int32(), pa.string()), "often"),
    "raw": (pa.binary(2), b"\x00\xff"),
    "at": (pa.timestamp("us", tz="UTC"), NOON),
    "there": (pa.timestamp("ms"), datetime(2026, 3, 1, 12)),
    "day": (pa.date32(), date(2026, 3, 1)),
    "took": (pa.duration("us"), timedelta(microseconds=7)),
    "sum": (pa.decimal128(9, 2), Decimal("-12.30")),
    "large": (pa.large_string(), "x" * 5000),
    "half": (pa.float32(), 0.5),
}  # fmt: skip


def as_it_is(payload: Payload) -> dict[str, Any]:
    assert isinstance(payload, Mapping)
    return dict(payload)


def last_first(columns: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """A change that moves, renames and adds columns."""
    (renamed, value), *others = columns.items()
    return {**dict(others), f"{renamed}_was": value, **added}


def copy(source: Path, target: Path) -> None:
    """All rows, each with the columns of a WrittenFile."""
    layout = layout_like(str(source), str(target), WrittenFile, last_first)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        _ = (
            (pipeline | read(str(source), as_it_is)).records
            | beam.Map(lambda row: last_first(row, {"path": "p", "records": 5}))
            | write(str(target), layout=layout)
        )


def avro(path: Path, rows: list[dict[str, Any]], **more: Any) -> None:
    fields = [{"name": name, "type": kind} for name, (kind, _) in AVRO.items()]
    schema = {"type": "record", "name": "Row", "namespace": "test", "fields": fields, **more}
    with path.open("wb") as stream:
        fastavro.writer(stream, fastavro.parse_schema(schema), rows)


def rows_of(values: Mapping[str, tuple[Any, Any]]) -> list[dict[str, Any]]:
    return [{**{name: value for name, (_, value) in values.items()}, "id": number} for number in range(3)]


def test_avro_keeps_every_type(tmp_path: Path) -> None:
    rows = rows_of(AVRO)
    avro(tmp_path / "in.avro", rows)
    copy(tmp_path / "in.avro", tmp_path / "out.avro")
    with (tmp_path / "out.avro").open("rb") as stream, (tmp_path / "in.avro").open("rb") as given:
        reader, before = fastavro.reader(stream), fastavro.reader(given)
        written: Any = reader.writer_schema
        came: Any = before.writer_schema
        assert sorted(reader, key=lambda row: row["id_was"]) == [  # type: ignore[index,call-overload]
            last_first(row, {"path": "p", "records": 5}) for row in rows
        ]
    assert written["name"] == "test.Row"
    kinds = {field["name"]: field["type"] for field in written["fields"]}
    assert kinds == last_first({field["name"]: field["type"] for field in came["fields"]},
                               {"path": "string", "records": "long"})  # fmt: skip


def test_parquet_keeps_every_type(tmp_path: Path) -> None:
    rows = rows_of(ARROW)
    fields = [pa.field(name, kind, nullable=name != "id") for name, (kind, _) in ARROW.items()]
    given = pa.Table.from_pylist(rows, pa.schema(fields, {"made": "by hand"}))
    pq.write_table(given, tmp_path / "in.parquet")
    copy(tmp_path / "in.parquet", tmp_path / "out.parquet")
    written, came = pq.read_table(tmp_path / "out.parquet"), pq.read_table(tmp_path / "in.parquet")
    assert (
        written.drop_columns(["path", "records"])
        .rename_columns({"id_was": "id"})
        .select(came.column_names)
        .sort_by("id")
        == came
    )
    assert written.schema.names == [*list(ARROW)[1:], "id_was", "path", "records"]
    assert written.schema.metadata[b"made"] == b"by hand"
    assert not written.schema.field("id_was").nullable
    assert written["records"].to_pylist() == [5] * 3


@pytest.mark.parametrize("name", ["in.avro", "in.parquet"])
def test_of_no_rows_there_is_a_file_with_the_schema(tmp_path: Path, name: str) -> None:
    if name == "in.avro":
        avro(tmp_path / name, [])
    else:
        pq.write_table(pa.table({"id": pa.array([], pa.int64())}), tmp_path / name)
    target = tmp_path / f"out.{name}"
    copy(tmp_path / name, target)
    if name == "in.avro":
        with target.open("rb") as stream:
            reader = fastavro.reader(stream)
            assert len(reader.writer_schema["fields"]) == len(AVRO) + 2  # type: ignore[call-overload,index]
    else:
        assert pq.read_schema(target).names == ["id_was", "path", "records"]


def test_a_damaged_file_among_others_does_not_hide_their_schema(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.avro").write_bytes(b"Obj\x01 and then nothing")
    avro(tmp_path / "in" / "b.avro", rows_of(AVRO))
    copy(tmp_path / "in", tmp_path / "out.avro")
    with (tmp_path / "out.avro").open("rb") as stream:
        assert sum(1 for _ in fastavro.reader(stream)) == 3


def test_files_of_several_schemas_or_kinds_or_none_are_refused(tmp_path: Path) -> None:
    avro(tmp_path / "a.avro", [])
    avro(tmp_path / "b.avro", [], name="Other")
    (tmp_path / "c.jsonl").write_bytes(b"{}\n")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    with (tmp_path / "whole.avro").open("wb") as target:
        fastavro.writer(target, "long", [1])
    for asked, target, rule in (
        ("[ab].avro", "out.avro", "must have one schema, and '.*b.avro' has another than '.*a.avro'"),
        ("[ac].*", "out.avro", "all of it must be .avro, got '.*c.jsonl': write .jsonl"),
        ("a.avro", "out.parquet", "all of it must be .parquet, got '.*a.avro'"),
        ("whole.avro", "out.avro", "an Avro file must hold records"),
        ("bad.parquet", "out.parquet", "no schema can be read from '.*bad.parquet'"),
    ):
        with pytest.raises(ValueError, match=rule):
            layout_like(f"{tmp_path}/{asked}", target, WrittenFile, last_first)
    for stream in ("-", f"watch:{tmp_path}"):
        with pytest.raises(ValueError, match="gets the schema of the files that are read"):
            layout_like(stream, "out.avro", WrittenFile, last_first)
    assert layout_like("-", "out.jsonl", WrittenFile, last_first) is None

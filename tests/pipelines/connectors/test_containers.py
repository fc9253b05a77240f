"""Avro and Parquet: records come back as they were, also through other programs' readers."""

from __future__ import annotations

import io
from datetime import UTC, datetime

import fastavro
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.connectors.containers import Avro, Parquet
from transforms.schemas import Tweet, to_row

texts = st.text(st.characters(exclude_categories=["Cs"]))
tweets = st.builds(
    Tweet,
    id=texts,
    created_at=st.datetimes(datetime(1970, 1, 1), datetime(2286, 1, 1), timezones=st.just(UTC)),
    text=texts,
    lang=st.none() | texts,
    hashtags=st.lists(texts).map(tuple),
)


@pytest.mark.parametrize("layout", [Avro(Tweet), Parquet(Tweet)], ids=["avro", "parquet"])
@given(st.lists(tweets, max_size=5))
def test_rows_come_back_as_records(layout: Avro | Parquet, records: list[Tweet]) -> None:
    stream = io.BytesIO()
    layout.write(stream, [layout.encode(record) for record in records])
    rows = [row for _, row in layout.read(io.BytesIO(stream.getvalue()), 0, None)]
    expected = [{name: list(v) if isinstance(v, tuple) else v for name, v in to_row(r).items()} for r in records]
    assert rows == expected


NOON = Tweet("1", datetime(2026, 3, 1, 12, tzinfo=UTC), "noon 🕛", "en")


def test_fastavro_reads_the_file_with_its_schema() -> None:
    stream, layout = io.BytesIO(), Avro(Tweet)
    layout.write(stream, [layout.encode(NOON)])
    reader = fastavro.reader(io.BytesIO(stream.getvalue()))
    assert next(reader)["created_at"] == NOON.created_at  # type: ignore[call-overload,index]
    assert reader.writer_schema["name"] == "streamsketch.Tweet"  # type: ignore[call-overload,index]
    assert reader.codec == "deflate"


def test_pyarrow_reads_the_file_with_its_schema() -> None:
    stream, layout = io.BytesIO(), Parquet(Tweet)
    layout.write(stream, [layout.encode(NOON)])
    table = pq.read_table(io.BytesIO(stream.getvalue()))
    assert table.column("created_at").to_pylist() == [NOON.created_at]
    assert str(table.schema.field("created_at").type) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize("kind", [Avro, Parquet])
def test_the_same_records_make_the_same_bytes(kind: type[Avro | Parquet]) -> None:
    def write() -> bytes:
        stream, layout = io.BytesIO(), kind(Tweet)
        layout.write(stream, [layout.encode(NOON)] * 3)
        return stream.getvalue()

    assert write() == write()


def test_elements_without_a_schema_are_refused_with_advice() -> None:
    with pytest.raises(ValueError, match=r"need records with a schema.*write them as \.jsonl"):
        Avro(str).encode("a line")


def test_an_avro_file_of_plain_values_is_refused() -> None:
    stream = io.BytesIO()
    fastavro.writer(stream, "long", [1, 2])
    with pytest.raises(ValueError, match="expected an Avro file of records"):
        list(Avro().read(io.BytesIO(stream.getvalue()), 0, None))

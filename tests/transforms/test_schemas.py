"""Records: their schemas say what their fields say, and their bytes load for ever."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import apache_beam as beam
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.schemas import (
    EPOCH,
    BatchCoder,
    EventTime,
    RecordCoder,
    Reject,
    Tweet,
    arrow_schema,
    avro_schema,
    event_time_field,
    micros,
    to_row,
)

GOLDEN = Tweet("7", datetime(2026, 3, 1, 12, tzinfo=UTC), "héllo #été", "fr", hashtags=("été",), extra='{"likes":2}')
GOLDEN_BYTES = bytes.fromhex(
    "01023780c0f8daa6fda5061a68c3a96c6c6f2023c3a974c3a9020466720000020ac3a974c3a9000002167b226c696b6573223a327d"
)


@given(st.builds(Reject, st.binary(), st.text(), st.text(), st.text(), st.integers(-(2**63), 2**63 - 1)))
def test_records_come_back_from_their_bytes(reject: Reject) -> None:
    coder = RecordCoder(Reject)
    assert coder.decode(coder.encode(reject)) == reject


def test_bytes_of_version_1_load_for_ever() -> None:
    assert RecordCoder(Tweet).decode(GOLDEN_BYTES) == GOLDEN


def test_bytes_of_another_version_are_refused() -> None:
    with pytest.raises(ValueError, match="must be of version"):
        RecordCoder(Tweet).decode(b"\x02" + RecordCoder(Tweet).encode(GOLDEN)[1:])


def test_beam_moves_records_with_their_own_coder() -> None:
    coder = beam.coders.registry.get_coder(Tweet)
    assert isinstance(coder, RecordCoder)
    assert coder.is_deterministic()
    assert coder == RecordCoder(Tweet) != RecordCoder(Reject)


def test_schemas_follow_the_fields() -> None:
    arrow = arrow_schema(Tweet)
    assert arrow.field("created_at").type == pa.timestamp("us", tz="UTC")
    assert arrow.field("hashtags").type == pa.list_(pa.string())
    assert (arrow.field("lang").nullable, arrow.field("text").nullable) == (True, False)
    avro = {field["name"]: field["type"] for field in avro_schema(Tweet)["fields"]}
    assert avro["lang"] == ["null", "string"]
    assert list(avro) == arrow.names == list(to_row(GOLDEN))


def test_the_event_time_is_found_by_its_type() -> None:
    assert event_time_field(Tweet) == "created_at"
    assert event_time_field(Reject) is None
    assert event_time_field(str) is None


def test_a_field_that_cannot_be_stored_is_named() -> None:
    @dataclass(frozen=True)
    class Odd:
        when: EventTime
        what: complex

    with pytest.raises(TypeError, match=r"field what must hold one of str, .*complex"):
        arrow_schema(Odd)


@given(st.integers(-(10**15), 10**16))
def test_microseconds_are_exact(count: int) -> None:
    assert micros(EPOCH + timedelta(microseconds=count)) == count


def test_record_batches_travel_as_arrow_with_their_schema() -> None:
    coder = beam.coders.registry.get_coder(pa.RecordBatch)
    assert coder == BatchCoder()
    batch = pa.RecordBatch.from_pylist([{"a": 1, "b": ["x", None]}, {"a": None, "b": []}])
    for piece in (batch, batch.slice(1, 1), batch.slice(0, 0)):
        back = coder.decode(coder.encode(piece))
        assert back.equals(piece)
        assert back.schema == piece.schema

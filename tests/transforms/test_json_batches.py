"""JSON objects read together give what they give one by one, or are left to that."""

from __future__ import annotations

import json
from datetime import UTC
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.json_batches import parse_json_batch
from transforms.tables import Field, Kind, batch_of, parse_row, values_of

FIELDS = [
    Field("at", "time"),
    Field("user.id", "text"),
    Field("n", "integer"),
    Field("ms", "number"),
    Field("real", "real"),
    Field("ok", "boolean"),
    Field("tag", "any"),
    Field("size", "numeric"),
]


def one_by_one(payloads: list[bytes], fields: list[Field]) -> pa.RecordBatch:
    return batch_of([values_of(parse_row(payload), fields) for payload in payloads], fields)


def plain(number: int, **other: Any) -> dict[str, Any]:
    row = {"at": 1_772_366_400 + number, "user": {"id": f"u{number}", "x": [1]}, "n": number, "ms": number / 7}
    return row | {"real": 1.5, "ok": True, "tag": f"t{number}", "size": number} | other


def test_plain_objects_are_read_together() -> None:
    payloads = [orjson.dumps(plain(number)) for number in range(1000)]
    batch = parse_json_batch(payloads, FIELDS)
    assert batch is not None
    assert batch.equals(one_by_one(payloads, FIELDS))


@pytest.mark.parametrize(
    "at",
    [
        1772366400,
        1772366400123,
        1772366400.123456,
        1772366400123.5,
        "2026-03-01T12:00:00Z",
        "2026-03-01T12:00:00.25+02:00",
        "2026-03-01 12:00:00+00:00",
        0,
        9999999999.999999,
    ],
)
def test_times_of_each_form_are_read_alike(at: Any) -> None:
    payloads = [orjson.dumps({"at": at})] * 2
    batch = parse_json_batch(payloads, [Field("at", "time")])
    assert batch is not None
    assert batch.equals(one_by_one(payloads, [Field("at", "time")]))


@pytest.mark.parametrize(
    "odd",
    [
        b'{"at": 1, "n": 1.5}',
        b'{"at": 1, "n": 9223372036854775808}',
        b'{"at": null}',
        b"{}",
        b'{"at": "2026-03-01T12:00:00"}',
        b'{"at": "2026-03-01"}',
        b'{"at": -1}',
        b'{"at": 1e13}',
        b'{"at": 1e300}',
        b'{"at": -1e300}',
        b'{"at": 9223372036854775808}',
        b'{"at": "9999-01-01T00:00:00Z"}',
        b'{"at": "1969-12-31T23:59:59Z"}',
        b'{"at": true}',
        b'{"at": 1}{"at": 1}',
        b'{"at": 1,\n"n": 1}',
        b'{"at": 1, "at": 2}',
        b'{"at": 1, "tag": "\xff"}',
        b'{"at": 1, "tag": "\\ud800"}',
        b'{"at": 1, "ms": NaN}',
        b'{"at": 1, "ms": [1, 2]}',
        b'{"at": 1, "ms": "3"}',
        b'{"at": 1, "tag": 7}',
        b'{"at": 1, "user": 7}',
        b'{"at": 1, "user.id": "dotted"}',
        b'{"at": 1, "x": 01}',
        b'{"at": 1, "x": "\x01"}',
        b'{"at": 1,}',
        b"[1]",
        b"",
        b"{",
        b'1.2.3.4 - - [01/Mar/2026:12:00:00 +0000] "GET / HTTP/1.1" 200 5',
    ],
)
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("at", [1_772_366_400, 1_772_366_400.5, "2026-03-01T12:00:00Z"])
def test_what_is_odd_is_left_to_be_looked_at_alone(odd: bytes, place: int, at: Any) -> None:
    payloads = [orjson.dumps(plain(number, at=at)) for number in range(3)]
    payloads.insert(place, odd)
    batch = parse_json_batch(payloads, FIELDS)
    if batch is not None:  # it was not odd for these fields: then it is the same
        assert batch.equals(one_by_one(payloads, FIELDS))


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**65), 2**65),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.sampled_from(["id", "x"]), st.text(max_size=3), max_size=2),
    st.datetimes(timezones=st.just(UTC)).map(lambda moment: moment.isoformat()),
)
_KINDS: list[Kind] = ["time", "text", "integer", "real", "boolean", "numeric", "number", "any"]


@settings(deadline=None, max_examples=400)
@given(
    st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), _VALUES, max_size=3), min_size=1, max_size=4),
    st.sampled_from(_KINDS),
    st.sampled_from(["a", "b.id"]),
    st.booleans(),
)
def test_together_gives_what_one_by_one_gives_or_nothing(
    rows: list[dict[str, Any]], kind: Kind, path: str, alike: bool
) -> None:
    if alike:  # the same type in all, so that something is read together at all
        rows = [rows[0] for _ in rows]
    try:
        payloads = [orjson.dumps(row) for row in rows]
    except orjson.JSONEncodeError:
        payloads = [json.dumps(row).encode() for row in rows]
    fields = [Field(path, kind)]
    batch = parse_json_batch(payloads, fields)
    if batch is not None:
        assert batch.equals(one_by_one(payloads, fields))

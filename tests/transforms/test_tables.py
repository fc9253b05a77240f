"""Rows of any shape become columns of stated kinds, or say why they cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from transforms.tables import Field, Kind, batch_of, columns_of, parse_row, values_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("text", "a", "a"),
        ("text", 7, "7"),
        ("text", True, "true"),
        ("text", 1.5, "1.5"),
        ("text", None, None),
        ("integer", 7, 7),
        ("real", 7, 7.0),
        ("boolean", False, False),
        ("numeric", 7, 7),
        ("numeric", 2**63 - 1, 2**63 - 1),
        ("number", [1, 2.5, None], [1.0, 2.5, None]),
        ("any", ["a", None], ["a", None]),
        ("time", "2026-03-01T12:00:00Z", NOON),
        ("time", 1_772_366_400_000, NOON),
    ],
)
def test_a_value_of_its_kind_is_taken(kind: Kind, value: Any, expected: Any) -> None:
    assert values_of({"x": value}, [Field("x", kind)]) == (expected,)


@pytest.mark.parametrize(
    ("kind", "value", "problem"),
    [
        ("text", {"a": 1}, "x must be text, got dict"),
        ("integer", 1.5, "x must be a whole number, got 1.5"),
        ("integer", True, "x must be a whole number, got True"),
        ("real", float("nan"), "x must be a number, got nan"),
        ("number", "7", "x must be a number, got '7'"),
        ("number", [1, "7"], "x must be a number, got '7'"),
        ("numeric", [1], r"x must be a number, got \[1\]"),
        ("numeric", True, "x must be a number, got True"),
        ("integer", 2**63, "x must be a whole number of at most 64 bits with its sign, got 9223372036854775808"),
        ("any", [1, 2**63], "x must be a whole number of at most 64 bits"),
        ("boolean", 1, "x must be true or false, got 1"),
        ("any", {"a": 1}, "x must be text, a number, a boolean, or a list of such, got dict"),
        ("time", None, "x: created_at is missing"),
        ("time", "noon", "x: "),
    ],
)
def test_another_value_is_refused_with_the_rule_and_what_came(kind: Kind, value: Any, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        values_of({"x": value}, [Field("x", kind)])


def test_fields_of_fields_are_found_and_missing_ones_are_null() -> None:
    fields = [Field("user.id", "text"), Field("user.name", "text"), Field("nowhere.at.all", "any"), Field("a.b", "any")]
    assert values_of({"user": {"id": 7}, "a.b": 1}, fields) == ("7", None, None, 1)


def test_a_line_must_be_a_json_object() -> None:
    with pytest.raises(ValueError, match="expected a JSON object, got list"):
        parse_row(b"[1]")


def test_rows_become_a_batch_and_values_of_several_kinds_are_text() -> None:
    fields = [Field("at", "time"), Field("key", "text"), Field("tags", "any"), Field("mixed", "any")]
    rows = [(NOON, "a", ["x", "y"], 1), (NOON, None, "z", "one"), (NOON, "b", None, True)]
    batch = batch_of(rows, fields)
    assert batch.schema.field("at").type == pa.timestamp("us", tz="UTC")
    assert batch["tags"].to_pylist() == [["x", "y"], ["z"], None]
    assert batch["mixed"].to_pylist() == ["1", "one", "true"]
    assert batch_of([], fields).num_rows == 0


def test_long_whole_numbers_among_others_are_reals() -> None:
    (column,) = batch_of([(2**62 + 1,), (1.5,), (None,)], [Field("x", "any")]).columns
    assert column.to_pylist() == [2.0**62, 1.5, None]
    (column,) = batch_of([([2**62 + 1],), (1.5,)], [Field("x", "any")]).columns
    assert column.to_pylist() == [[2.0**62], [1.5]]


def test_columns_are_taken_as_they_are_and_rows_without_a_time_are_told() -> None:
    table = pa.table(
        {
            "at": pa.array([1_772_366_400, None, 1_772_366_401], pa.int64()),
            "user": pa.array([{"id": 1}, {"id": 2}, None]),
            "ms": pa.array([1, 2, 3], pa.int16()),
        }
    )
    (batch,) = table.to_batches()
    kept, left_out = columns_of(batch, [Field("at", "time"), Field("user.id", "text"), Field("ms", "number")])
    assert left_out == [1]
    assert kept.to_pylist() == [
        {"at": NOON, "user.id": "1", "ms": 1},
        {"at": NOON.replace(second=1), "user.id": None, "ms": 3},
    ]


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        (Field("nowhere", "any"), "there must be a column nowhere, got word, user"),
        (Field("user.name", "any"), "there must be a field user.name"),
        (Field("word", "number"), "the column word must hold numbers, got string"),
        (Field("word", "numeric"), "the column word must hold numbers, got string"),
        (Field("word", "integer"), "the column word must be of the kind integer, got string"),
        (Field("word", "time"), "the column word must be of the kind time, got string"),
    ],
)
def test_a_column_that_does_not_fit_is_refused(field: Field, problem: str) -> None:
    batch = pa.RecordBatch.from_pydict({"word": ["a"], "user": [{"id": 1}]})
    with pytest.raises(ValueError, match=problem):
        columns_of(batch, [field])


def test_timestamps_of_any_unit_are_microseconds_in_utc() -> None:
    for kind in (pa.timestamp("s"), pa.timestamp("ns", tz="Europe/Paris"), pa.timestamp("ms", tz="UTC")):
        batch = pa.RecordBatch.from_arrays(
            [pa.array([1_772_366_400], pa.int64()).cast(pa.timestamp("s")).cast(kind)]
            if kind.tz is None
            else [pa.array([NOON], kind)],
            ["at"],
        )
        kept, _ = columns_of(batch, [Field("at", "time")])
        assert kept["at"].to_pylist() == [NOON]

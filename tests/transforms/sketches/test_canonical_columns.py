"""Canonical columns: for each value what `canonical` gives, and the values again."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest

from transforms.sketches.canonical import canonical
from transforms.sketches.canonical_columns import tagged, untagged

COLUMNS = [
    pa.array(["ana", "", "ü\0", "ana"]),
    pa.array(["cut", "ana", "bo"], pa.large_string()).slice(1),
    pa.array([1, -1, 2**62]),
    pa.array([7, 200], pa.uint8()),
    pa.array([1, 2**63 - 1], pa.uint64()),
    pa.array([0.0, 1.5, float("inf"), float("nan")]),
    pa.array([0.25], pa.float32()),
    pa.array([True, False]),
    pa.array([b"", b"\xff"]),
    pa.array([date(2026, 3, 1)]),
    pa.array([datetime(2026, 3, 1, tzinfo=UTC)]),
    pa.array([], pa.string()),
]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: str(column.type))
def test_a_column_has_the_canonical_bytes_of_its_values(column: pa.Array) -> None:
    values = column.to_pylist()
    keys = tagged(column)
    assert keys.to_pylist() == [payload + bytes([tag]) for payload, tag in map(canonical, values)]
    assert list(map(repr, untagged(keys).to_pylist())) == list(map(repr, values))


def test_minus_zero_is_zero() -> None:
    assert tagged(pa.array([-0.0])).to_pylist() == tagged(pa.array([0.0])).to_pylist()


@pytest.mark.parametrize("keys", [[b""], [b"as", b""], [b"\xffs"], [b"ai"], [b"abc"], [b"as", b"\0\0\0\0\0\0\0\0i"]])
def test_bytes_that_are_no_values_of_one_kind_are_refused(keys: list[Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        untagged(pa.array(keys, pa.large_binary()))


@pytest.mark.parametrize("column", [pa.array([None, "a"]), pa.array([datetime(2026, 3, 1)])], ids=["null", "no zone"])
def test_what_has_no_canonical_bytes_is_refused(column: pa.Array) -> None:
    with pytest.raises(ValueError, match="cannot hash"):
        tagged(column)

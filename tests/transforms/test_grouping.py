"""Grouping: each row in the part of its pane and shard, at the place of its key."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.grouping import Parts, distinct_rows, flattened, together


@pytest.mark.parametrize("by", [[], ["lang"], ["lang", "device"]], ids=["no key", "one key", "two keys"])
@pytest.mark.parametrize("shards", [1, 3, 32])
@pytest.mark.parametrize("panes", [1, 12, 5_000])
def test_rows_are_where_their_pane_and_key_are(by: list[str], shards: int, panes: int) -> None:
    rng = np.random.default_rng(4)
    ends = rng.integers(-panes, panes, 1_000) * 10**7
    table = pa.table(
        {
            "lang": pa.array([["en", "ja", "", None][code] for code in rng.integers(0, 4, 1_000)]),
            "device": rng.integers(0, 50, 1_000) * 2**50,
        }
    )
    keys = list(zip(*(table.column(name).to_pylist() for name in by), strict=True)) if by else [()] * 1_000
    expected: dict[Any, list[int]] = defaultdict(list)
    for row, (end, key) in enumerate(zip(ends.tolist(), keys, strict=True)):
        expected[end, key].append(row)
    parts = Parts.of(table, by, ends, shards)
    found: dict[Any, list[int]] = defaultdict(list)
    shard_of: dict[Any, int] = {}
    for part, (rows, places) in zip(parts.parts, parts.split(pa.array(range(1_000)), None), strict=True):
        names = list(zip(*part.keys.to_pydict().values(), strict=True)) if by else [()]
        assert len(names) == len(set(names)) == part.size
        for row, place in zip(rows.to_pylist(), places.tolist(), strict=True):
            found[part.end, names[place]].append(row)
        for name in names:
            assert shard_of.setdefault(name, part.shard) == part.shard < shards, "a key must be in one shard"
    assert found == expected
    assert len({(part.end, part.shard) for part in parts.parts}) == len(parts.parts)
    assert not by or shards == 1 or len(set(shard_of.values())) > 1


def test_values_of_lists_go_where_their_rows_go() -> None:
    values, rows = flattened(pa.array([[[1], None, [2, None]], None, [], [[3]]]))
    assert (values.to_pylist(), rows.tolist() if rows is not None else None) == ([1, 2, 3], [0, 0, 3])
    parts = Parts.of(pa.table({"key": ["b", "a", "c", "a"]}), ["key"], np.array([20, 10, 10, 10]), 1)
    split = [
        (part.end, of_part.to_pylist())
        for part, (of_part, _) in zip(parts.parts, parts.split(values, rows), strict=True)
    ]
    assert split == [(20, [1, 2]), (10, [3])]


def test_a_column_without_nulls_and_lists_has_a_value_a_row() -> None:
    assert flattened(pa.array([1, 2]))[1] is None
    assert flattened(pa.array([1, None, 2]))[1] is not None


def test_the_wider_type_counts_and_dictionaries_are_their_values() -> None:
    batches = [
        pa.RecordBatch.from_pydict({"key": pa.array(["a", "b"]).dictionary_encode(), "n": pa.array([1, 2], pa.int8())}),
        pa.RecordBatch.from_pydict({"key": pa.array(["a"], pa.large_string()), "n": pa.array([2**40])}),
    ]
    table = together(batches)
    assert table.to_pydict() == {"key": ["a", "b", "a"], "n": [1, 2, 2**40]}
    rows, places = distinct_rows(table.select(["key"]), 3)
    assert (rows.to_pydict(), places.tolist()) == ({"key": ["a", "b"]}, [0, 1, 0])
    with pytest.raises(pa.ArrowTypeError):
        together([batches[0], pa.RecordBatch.from_pydict({"key": [1], "n": [1]})])

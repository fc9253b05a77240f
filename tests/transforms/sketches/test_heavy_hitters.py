"""HeavyHitters: laws, and counts between their bounds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import load
from transforms.sketches.heavy_hitters import HeavyHitters

GOLDEN = Path(__file__).parents[2] / "data" / "golden"

# Of every kind that hashes, and each another item.
KINDS = [1, True, 1.0, "1", b"1", 2**70, -1, False, date(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC), ""]


def test_laws_below_capacity_are_exact(check_laws: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    for size in (0, 4, 300):
        check_laws(lambda: HeavyHitters(40), [rng.integers(0, 40, size) for _ in range(8)], unlike=HeavyHitters(41))
    check_laws(lambda: HeavyHitters(40), [[f"tag{i % j}" for i in range(50)] for j in range(1, 8)])
    check_laws(lambda: HeavyHitters(40), [KINDS, KINDS[:3], KINDS[2:], [0.0, -0.0]])


def test_laws_over_capacity_hold_within_the_bound(check_laws: Callable[..., None]) -> None:
    rng = np.random.default_rng(2)
    shards = [rng.zipf(1.2, 150) for _ in range(8)]
    truth = Counter(np.concatenate(shards).tolist())

    def within(sketch: HeavyHitters) -> None:
        assert sketch.total == truth.total()
        assert sketch.uncertainty <= truth.total() / 21
        held = dict(sketch.top(20))
        for item, count in truth.items():
            bounds = held.get(item, sketch.count(item))
            assert bounds.low <= count <= bounds.high
            assert item in held or count <= truth.total() / 21

    check_laws(lambda: HeavyHitters(20), shards, exact=False, within=within)


def test_top_is_largest_first_and_says_what_it_knows() -> None:
    sketch = HeavyHitters.for_error(0.01)
    sketch.add_many(["c", "a", "b", "a", "b", "a"])
    assert [(item, count.value, count.low) for item, count in sketch.top(2)] == [("a", 3.0, 3.0), ("b", 2.0, 2.0)]
    assert sketch.count("unseen").value == 0.0
    assert len(sketch.top(100)) == 3
    with pytest.raises(ValueError, match="at least 1"):
        sketch.top(0)


def test_what_has_no_place_is_cut_from_all_as_the_papers_say() -> None:
    one_batch, merged, last = HeavyHitters(2), HeavyHitters(2), HeavyHitters(2)
    one_batch.add_many(["a"] * 5 + ["b"] * 3 + ["c"] * 2)
    merged.add_many(["a"] * 5 + ["b"] * 3)
    last.add_many(["c"] * 2)
    merged.merge(last)
    for sketch in (one_batch, merged):
        assert [(item, count.low, count.high) for item, count in sketch.top(9)] == [("a", 3.0, 5.0), ("b", 1.0, 3.0)]
        assert sketch.count("c").high == sketch.uncertainty == 2


def test_both_zeros_are_one_item_in_a_column_too() -> None:
    sketch = HeavyHitters(5)
    sketch.add_many(np.array([0.0, -0.0, 1.0]))
    assert [(item, count.value) for item, count in sketch.top(5)] == [(0.0, 2.0), (1.0, 1.0)]


def test_kinds_of_items_are_told_apart_and_come_back() -> None:
    sketch = HeavyHitters(20)
    sketch.add_many(KINDS)
    back = [item for item, _ in sketch.top(20)]
    assert sorted(map(repr, back)) == sorted(map(repr, KINDS))


@pytest.mark.parametrize(
    "column",
    [
        ["a", "b", "a"],
        pa.array(["a", "b", "a"]),
        pa.chunked_array([["a"], ["b", "a"]]),
        pa.array(["a", "b", "a"]).dictionary_encode(),
        np.array(["a", "b", "a"]),
        np.array(["a", "b", "a"], object),
        iter(["a", "b", "a"]),
    ],
    ids=["list", "arrow", "chunks", "dictionary", "numpy", "objects", "iterator"],
)
def test_any_column_counts_alike(column: Any) -> None:
    sketch, plain = HeavyHitters(5), HeavyHitters(5)
    sketch.add_many(column)
    for item in "aba":
        plain.add(item)
    assert sketch == plain


def test_the_heaviest_of_a_long_stream_are_found() -> None:
    rng = np.random.default_rng(3)
    values = rng.zipf(1.3, 200_000)
    sketch = HeavyHitters.for_error(0.002)
    for batch in np.array_split(values, 40):
        sketch.add_many(batch)
    truth = Counter(values.tolist())
    heavy = {item for item, count in truth.items() if count > 0.002 * values.size}
    assert heavy <= {item for item, _ in sketch.top(499)}
    assert [item for item, _ in sketch.top(5)] == [item for item, _ in truth.most_common(5)]
    assert sketch.memory() < 499 * 17 + 1


def test_missing_and_overlong_items_are_refused_and_nothing_is_added() -> None:
    sketch = HeavyHitters(2)
    for values, reason in [
        (["a", None], "drop nulls"),
        (pa.array([1, None]), "drop nulls"),
        (["x" * 1025], "1024 bytes, got 1025"),
        (["a", "x" * 1025, 1], "1024 bytes, got 1025"),
        (pa.array([datetime(2020, 1, 1)]), "time zone"),
        (pa.array([["a"]]), "flatten it"),
    ]:
        with pytest.raises(ValueError, match=reason):
            sketch.add_many(values)
    assert sketch == HeavyHitters(2)


def test_parameters_are_checked() -> None:
    for make in (lambda: HeavyHitters(0), lambda: HeavyHitters.for_error(1.0)):
        with pytest.raises(ValueError, match="must be"):
            make()
    assert HeavyHitters.for_error(0.5).parameters == {"capacity": 1}


def test_golden_bytes_answer_as_they_did() -> None:
    sketch = load((GOLDEN / "heavy_hitters-v1.bin").read_bytes())
    assert [(item, count.low, count.high) for item, count in sketch.top(2)] == [("beam", 4.0, 5.0), (7, 1.0, 2.0)]

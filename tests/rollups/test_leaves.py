"""Leaves are written a bundle at a time as if one by one."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import Count, HeavyHitters, Question

SECOND = 1_000_000
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "top:item": StoredMeasure(HeavyHitters(10), Question("top", (3,))),
}


def leaf(place: int, key: int, *items: Any, closed: bool = True) -> Leaf:
    count, top = Count(), HeavyHitters(10)
    count.add_many(items)
    top.add_many(items)
    return Leaf(place * SECOND, (key,), len(items), {"count": count, "top:item": top}, closed)


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with Store.create(str(tmp_path / "rollups.db"), window=SECOND, by={"key": "integer"}, measures=MEASURES) as made:
        yield made


def test_panes_of_one_window_in_one_bundle_are_taken_in_turn(store: Store) -> None:
    panes = [leaf(1, 7, "a", closed=False), leaf(1, 7, "a", "b"), leaf(1, 7), leaf(1, 7, "a", "b")]
    written = store.write("x", panes)
    assert (written.leaves, written.unchanged, written.refused) == (2, 1, 1)
    assert [row.values["count"] for row in store.query()] == [2]
    assert store.database.execute("SELECT COUNT(*) FROM leaves") == [(2,)]


def test_a_leaf_that_is_over_now_replaces_the_same_one_that_was_not(store: Store) -> None:
    store.write("x", [leaf(1, 7, "a", closed=False)])
    assert [row.values["count"] for row in store.query()] == [0]
    assert store.write("x", [leaf(1, 7, "a")]).leaves == 1
    assert [row.values["count"] for row in store.query()] == [1]


def test_thousands_of_keys_keep_their_numbers_and_rewrite_nothing(store: Store) -> None:
    leaves = [leaf(place, key, key) for place in range(2) for key in range(1500)]
    assert store.write("x", leaves).leaves == 3000
    numbers = store.database.execute("SELECT * FROM keys")
    assert store.write("x", leaves).unchanged == 3000
    more = [leaf(0, key, key) for key in range(1000, 2000)]
    written = store.write("x", more)
    assert (written.leaves, written.unchanged) == (500, 500)
    assert store.database.execute("SELECT * FROM keys WHERE key < 1500") == numbers
    assert store.key_count() == 2000
    answers = store.query(measures=["count"], by=("key",))
    assert [(row.group["key"], row.values["count"]) for row in answers] == [
        (key, 2 if key < 1500 else 1) for key in range(2000)
    ]


def test_writing_again_heals_what_was_damaged(store: Store) -> None:
    leaves = [leaf(1, 7, "a"), leaf(1, 8, "b")]
    store.write("x", leaves)
    store.database.execute("UPDATE leaves SET sketch = substr(sketch, 2) WHERE measure = 2 AND key_number = 1")
    assert store.query().damaged
    assert store.write("x", leaves).leaves == 1
    assert not store.query().damaged


def test_items_that_json_has_no_word_for_are_told_as_text(store: Store) -> None:
    items = [b"\xff", datetime(2026, 3, 1, tzinfo=UTC), 2**70]
    store.write("x", [leaf(1, 7, *items)])
    ((answer,),) = store.database.execute("SELECT answer FROM leaves WHERE measure = 2")
    assert {str(of["item"]) for of in json.loads(answer)} == {r"b'\xff'", "2026-03-01 00:00:00+00:00", str(2**70)}

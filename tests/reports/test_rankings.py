"""A list says what has become of each item since the piece before."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reports.figures import Reader
from reports.rankings import rankings_of, same
from reports.steps import cut
from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import HeavyHitters, Question

MINUTE = 60_000_000
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
MEASURES = {"top:tag": StoredMeasure(HeavyHitters(50), Question("top", (4,)))}


def rankings(place: Path, *minutes: dict[Any, int]) -> Any:
    with Store.create(str(place / "store.db"), window=MINUTE, by={}, measures=MEASURES) as store:
        for at, counts in enumerate(minutes):
            sketch = HeavyHitters(50)
            sketch.add_many(list(Counter(counts).elements()))
            store.write("a", [Leaf(NOON + at * MINUTE, (), sum(counts.values()), {"top:tag": sketch})])
        steps = cut(store)
        assert steps
        (ranking,) = rankings_of(Reader(store, steps), ["top:tag"])
        return ranking


def test_items_rise_fall_stay_come_and_go(tmp_path: Path) -> None:
    ranking = rankings(
        tmp_path,
        {"stays": 40, "falls": 30, "rises": 20, "goes": 10},
        {"stays": 90, "rises": 60, "falls": 50, "comes": 40, "goes": 1},
    )
    assert [(one.item, one.rank, one.before, one.now, one.movement, one.moved) for one in ranking.items] == [
        ("stays", 1, 1, 1, "same", 0),
        ("falls", 2, 2, 3, "down", -1),
        ("rises", 3, 3, 2, "up", 1),
        ("comes", 4, None, 4, "new", 0),
    ]
    assert [[point.value for point in one.trail] for one in ranking.items] == [[40, 90], [30, 50], [20, 60], [0, 40]]


def test_an_item_that_is_on_neither_list_has_not_moved(tmp_path: Path) -> None:
    few = {f"other {n}": 5 for n in range(4)}
    ranking = rankings(tmp_path, {"past": 99}, few, few)
    assert [(one.item, one.movement) for one in ranking.items[:1]] == [("past", "away")]
    ranking = rankings(tmp_path, {"past": 99}, {"past": 50}, few)
    assert [(one.item, one.movement) for one in ranking.items[:1]] == [("past", "gone")]


def test_without_two_pieces_there_is_no_movement(tmp_path: Path) -> None:
    ranking = rankings(tmp_path, {"a": 2})
    assert (ranking.latest, ranking.previous) == (None, None)
    assert [(one.now, one.before) for one in ranking.items] == [(None, None)]


@pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), ("1", 1)])
def test_items_are_told_apart_as_sketches_tell_them(one: Any, other: Any) -> None:
    assert not same(one, other)
    assert same(one, one)

"""Windows that are not over yet answer when they are asked for, beside merged spans, and never unasked."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import Count, HyperLogLog, Question

WINDOW = 10_000_000
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST = int(NOON.timestamp()) // 10
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog(10), Question("estimate", (0.95,))),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(str(tmp_path / "rollups.db"), window=WINDOW, by={"lang": "text"}, measures=MEASURES) as made:
        yield made


def leaf(window: int, lang: str, users: list[int], *, closed: bool = True) -> Leaf:
    sketches: dict[str, Any] = {name: measure.empty.copy() for name, measure in MEASURES.items()}
    for sketch in sketches.values():
        sketch.add_many(users)
    return Leaf((FIRST + window) * WINDOW, (lang,), len(users), sketches, closed)


def at(window: int) -> datetime:
    return NOON + timedelta(seconds=10) * window


@pytest.mark.parametrize("seed", range(3))
def test_any_range_answers_with_or_without_what_is_open_as_brute_force_does(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    users: dict[tuple[str, int, str], list[int]] = {}
    is_open: dict[tuple[str, int, str], bool] = {}
    for step in range(4):  # windows close from step to step, and some of another contribution stay open far behind
        for contribution in ("a", "b"):
            leaves = []
            for window in range(60):
                for lang in ("en", "ja"):
                    place = contribution, window, lang
                    of_leaf = users.setdefault(place, [chance.randrange(80)])
                    of_leaf.append(chance.randrange(80))
                    is_open[place] = window > 15 * step + chance.randrange(-12, 3)
                    leaves.append(leaf(window, lang, of_leaf, closed=not is_open[place]))
            store.write(contribution, leaves)
            if chance.random() < 0.6:
                store.settle()
        for _ in range(15):
            begin, end = sorted(chance.sample(range(61), 2))
            by = chance.choice([(), ("lang",)])
            for asked in (False, True):
                expected = defaultdict[tuple[str, ...], list[int]](list)
                for (contribution, window, lang), of_leaf in users.items():
                    if begin <= window < end and (asked or not is_open[contribution, window, lang]):
                        expected[(lang,) if by else ()] += of_leaf
                if not by:
                    expected[()] += []
                answers = store.query(start=at(begin), end=at(end), by=by, open=asked)
                told = {tuple(row.group.values()): row for row in answers}
                assert told.keys() == expected.keys()
                for group, inside in expected.items():
                    assert told[group].values["count"] == len(inside)
                    assert told[group].values["distinct:user"].value == len(set(inside))
                opened = {window for (_, window, _), still in is_open.items() if still and begin <= window < end}
                assert answers.open_windows == len(opened)


def test_steps_have_each_open_window_once(store: Store) -> None:
    store.write("a", [leaf(window, "en", [window], closed=window < 4) for window in range(7)])
    store.settle()
    two = timedelta(seconds=20)
    assert [row.values["count"] for row in store.query(step=two, open=True)] == [2, 2, 2, 1]
    assert [row.values["count"] for row in store.query(step=two)] == [2, 2, 0, 0]
    assert [row.values["count"] for row in store.query(step=two, open=True, where={"lang": "ja"})] == [0, 0, 0, 0]


def test_a_damaged_sketch_of_an_open_window_is_named_only_where_it_is_asked_for(store: Store) -> None:
    store.write("a", [leaf(0, "en", [1]), leaf(1, "en", [2], closed=False)])
    store.database.execute("UPDATE leaves SET sketch = ? WHERE measure = 2 AND NOT closed", [b"broken"])
    assert not store.query().damaged
    (problem,) = store.query(open=True).damaged
    assert f"leaves, measure 2, place {FIRST + 1}" in problem

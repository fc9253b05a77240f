"""A store answers any range as brute force does, whatever is written in which order, and never doubles."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from rollups import Leaf, Store, StoredMeasure, StoreError
from rollups.leaves import Written
from transforms.sketches import Count, HyperLogLog, Kll, Question

SECOND = 1_000_000
WINDOW = 10 * SECOND
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST = int(NOON.timestamp()) // 10
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog(10), Question("estimate", (0.95,))),
    "quantiles:latency": StoredMeasure(Kll(200), Question("quantiles", (0.5, 0.99))),
}
BY = {"lang": "text", "device": "integer"}


class Event(NamedTuple):
    place: int
    key: tuple[str | None, int]
    user: int
    latency: float


def random_events(chance: random.Random, number: int, windows: int) -> list[Event]:
    places = (FIRST + chance.randrange(windows) for _ in range(number))
    return [
        Event(place, (chance.choice(["en", "ja", None]), chance.randrange(3)), chance.randrange(50), chance.random())
        for place in places
    ]


def leaves_of(events: Iterable[Event], *, closed: bool = True) -> list[Leaf]:
    of_leaf = defaultdict(list)
    for event in events:
        of_leaf[event.place, event.key].append(event)
    return [
        Leaf(place * WINDOW, key, len(inside), sketches_of(inside), closed) for (place, key), inside in of_leaf.items()
    ]


def sketches_of(events: list[Event]) -> dict[str, Any]:
    sketches = {name: measure.empty.copy() for name, measure in MEASURES.items()}
    sketches["count"].add_many([event.user for event in events])
    sketches["distinct:user"].add_many([event.user for event in events])
    sketches["quantiles:latency"].add_many([event.latency for event in events])
    return sketches


def at(place: int) -> datetime:
    return NOON + timedelta(seconds=10) * (place - FIRST)


@pytest.fixture
def store(uri: str) -> Iterator[Store]:
    with Store.create(uri, window=WINDOW, by=BY, measures=MEASURES) as made:
        yield made


def contents(store: Store) -> list[Any]:
    """All that is stored, in terms of windows and keys."""
    leaves = "SELECT m.name, place, key_text, c.name, closed, records, value, answer, sketch FROM leaves "
    joined = (
        leaves
        + "JOIN keys USING (key_number) JOIN contributions c USING (contribution) JOIN measures m USING (measure)"
    )
    nodes = "SELECT measure, level, place, key_text, sketch FROM nodes JOIN keys USING (key_number)"
    return [sorted(map(repr, store.database.execute(query))) for query in (joined, nodes)]


@pytest.mark.parametrize("seed", range(3))
def test_any_range_and_subset_of_keys_answers_as_brute_force_does(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    events = random_events(chance, 1000, windows=150)
    for contribution, part in (("a", events[:600]), ("b", events[600:])):
        rows = leaves_of(part)
        chance.shuffle(rows)
        for first in range(0, len(rows), 97):
            store.write(contribution, rows[first : first + 97])
            if chance.random() < 0.3:
                store.settle()
    for settled in (False, True):
        if settled:
            store.settle()
            assert store.settle() == 0
        for _ in range(20):
            begin = FIRST + chance.randrange(-5, 150)
            end = chance.randrange(begin + 1, FIRST + 155)
            by = chance.choice([(), ("lang",), ("device",), ("device", "lang")])
            where: dict[str, Any] = chance.choice([{}, {"lang": "ja"}, {"lang": None}, {"device": 1, "lang": "en"}])
            answers = store.query(start=at(begin), end=at(end), by=by, where=where)
            expected: dict[tuple[Any, ...], list[Event]] = defaultdict(list)
            if not by:
                expected[()] = []
            for event in events:
                values = dict(zip(BY, event.key, strict=True))
                if begin <= event.place < end and all(values[name] == value for name, value in where.items()):
                    expected[tuple(values[name] for name in by)].append(event)
            assert {tuple(row.group.values()) for row in answers} == expected.keys()
            for row in answers:
                inside = expected[tuple(row.group.values())]
                exact = sketches_of(inside)
                assert (row.start, row.end) == (at(begin), at(end))
                assert row.values["count"] == len(inside)
                assert row.sketches["distinct:user"] == exact["distinct:user"]
                for q, told in row.values["quantiles:latency"].items():
                    rank = sum(event.latency <= told.value for event in inside) / len(inside)
                    assert rank == pytest.approx(q, abs=0.0133 + 1 / len(inside))
            if settled and not by and not where:
                assert answers.reads <= 3 * 9 * 2 * 20  # measures x keys x contributions x spans


def test_what_is_written_again_is_not_doubled_and_rewrites_nothing(store: Store) -> None:
    events = random_events(random.Random(1), 500, windows=40)
    first = store.write("a", leaves_of(events))
    store.settle()
    before = contents(store)
    again = store.write("a", leaves_of(events))
    assert (again.leaves, again.unchanged, again.refused) == (0, first.leaves, 0)
    assert store.settle() == 0
    assert contents(store) == before


def images_of_nodes(store: Store) -> dict[tuple[Any, ...], bytes]:
    rows = store.database.execute("SELECT level, place, measure, key_number, sketch FROM nodes")
    return {tuple(row[:4]): bytes(row[4]) for row in rows}


def test_a_file_that_comes_a_day_later_rewrites_only_what_is_above_its_windows(store: Store) -> None:
    events = random_events(random.Random(1), 3000, windows=256)
    store.write("a", leaves_of(events))
    made, top = store.settle(), store.top
    before = images_of_nodes(store)
    late = [Event(FIRST + 17, ("en", 1), 7, 0.5), Event(FIRST + 200, ("ja", 2), 8, 0.5)]
    assert store.write("late", leaves_of(late)) == Written(leaves=2)
    spans = {(level, event.place >> level) for event in late for level in range(1, top + 1)}
    assert store.settle() == len(spans) < made / 5
    after = images_of_nodes(store)
    assert {row[:2] for row in after if after[row] != before.get(row)} == spans
    assert before.keys() <= after.keys()
    # The same file again, and an answer that all windows are merged for.
    assert store.write("late", leaves_of(late)) == Written(unchanged=2)
    assert store.settle() == 0
    (row,) = store.query()
    assert row.values["count"] == len(events) + 2
    assert row.sketches["distinct:user"] == sketches_of([*events, *late])["distinct:user"]


def test_a_rebuild_rewrites_what_differs_and_what_is_above_it(store: Store) -> None:
    events = random_events(random.Random(1), 3000, windows=256)
    rows = leaves_of(events)
    store.write("a", rows)
    store.settle()
    assert store.write("a", rows, rebuild=True) == Written(unchanged=len(rows))
    assert store.settle() == 0
    several = Counter((event.place, event.key) for event in events)
    dropped = next(event for event in events if several[event.place, event.key] > 2)
    fewer = [event for event in events if event is not dropped]
    again = leaves_of(fewer)
    assert store.write("a", again) == Written(unchanged=len(again) - 1, refused=1)
    assert store.settle() == 0
    assert store.write("a", again, rebuild=True) == Written(leaves=1, unchanged=len(again) - 1)
    assert store.settle() == store.top
    assert [row.values["count"] for row in store.query()] == [len(fewer)]


def test_a_pane_replaces_one_that_counts_no_more_records_unless_it_is_a_rebuild(store: Store) -> None:
    events = [Event(FIRST, ("en", 1), user, 0.5) for user in range(5)]
    store.write("a", leaves_of(events[:3]))
    assert store.write("a", leaves_of(events)).leaves == 1
    assert store.write("a", leaves_of(events[:4])).refused == 1
    assert [row.values["count"] for row in store.query()] == [5]
    assert store.write("a", leaves_of(events[:4]), rebuild=True).leaves == 1
    assert [row.values["count"] for row in store.query()] == [4]


def test_windows_that_are_open_do_not_answer_before_they_are_over(store: Store) -> None:
    events = [Event(FIRST, ("en", 1), 1, 0.5), Event(FIRST + 1, ("en", 1), 2, 0.5)]
    store.write("a", leaves_of(events[:1]))
    store.write("a", leaves_of(events[1:], closed=False))
    store.settle()
    assert [row.values["count"] for row in store.query()] == [1]
    store.write("a", leaves_of(events[1:]))
    assert [row.values["count"] for row in store.query()] == [2]


def test_a_failed_write_leaves_nothing_behind(store: Store) -> None:
    rows = leaves_of(random_events(random.Random(1), 50, windows=5))
    broken = rows[-1]._replace(sketches={**rows[-1].sketches, "distinct:user": HyperLogLog(12)})
    before = contents(store)
    with pytest.raises(ValueError, match="precision"):
        store.write("a", [*rows[:-1], broken])
    assert contents(store) == before
    assert store.write("a", rows).leaves == len(rows)


def test_a_damaged_sketch_is_named_and_others_answer(store: Store) -> None:
    events = [Event(FIRST + n, (lang, 1), n, 0.5) for n in range(8) for lang in ("en", "ja")]
    store.write("a", leaves_of(events))
    store.settle()
    ((key,),) = store.database.execute("SELECT key_number FROM keys WHERE lang = 'ja'")
    (image,) = next(iter(store.database.execute("SELECT sketch FROM leaves WHERE measure = 2")))
    damaged = bytes(image)[:-1] + b"\0"
    for table, place in (("leaves", "?"), ("nodes", "? >> level")):
        change = f"UPDATE {table} SET sketch = ? WHERE measure = 2 AND key_number = ? AND place = {place}"  # noqa: S608
        store.database.execute(change, (damaged, key, FIRST + 3))
    answers = store.query(by=("lang",))
    assert [row.group["lang"] for row in answers] == ["en"]
    assert [row.values["count"] for row in answers] == [8]
    (problem,) = answers.damaged
    assert f"leaves, measure 2, place {FIRST + 3}, key number {key}" in problem
    assert [row.group["lang"] for row in store.query(by=("lang",), start=at(FIRST + 4))] == ["en", "ja"]
    assert [row.group["lang"] for row in store.query(by=("lang",), measures=["count"])] == ["en", "ja"]


def test_a_store_is_opened_again_if_it_is_alike_and_refused_otherwise(store: Store, uri: str) -> None:
    store.write("a", leaves_of([Event(FIRST, ("en", 1), 1, 0.5)]))
    with Store.create(uri, window=WINDOW, by=BY, measures=MEASURES) as again:
        assert len(again.query(by=("lang",))) == 1
    with pytest.raises(StoreError, match="windows"):
        Store.create(uri, window=SECOND, by=BY, measures=MEASURES)
    with pytest.raises(StoreError, match="keys"):
        Store.create(uri, window=WINDOW, by={"lang": "text"}, measures=MEASURES)
    with pytest.raises(StoreError, match="measures"):
        Store.create(uri, window=WINDOW, by=BY, measures={"count": MEASURES["count"]})


def test_what_cannot_be_asked_is_refused_with_what_can(store: Store, tmp_path: Path) -> None:
    store.write("a", leaves_of([Event(FIRST, ("en", 1), 1, 0.5)]))
    with pytest.raises(StoreError, match="the store has the measures count, distinct:user, quantiles:latency, got max"):
        store.query(measures=["max"])
    with pytest.raises(StoreError, match="the store has the keys lang, device, got country"):
        store.query(by=("country",))
    with pytest.raises(ValueError, match=r"use 2026-03-01T12:00:00Z or 2026-03-01T12:00:10Z"):
        store.query(start=NOON + timedelta(seconds=3))
    with pytest.raises(ValueError, match="multiple of windows of 0:00:10, got 0:00:15"):
        store.query(step=timedelta(seconds=15))
    with pytest.raises(FileNotFoundError, match="write one with rollup first"):
        Store(str(tmp_path / "not.db"))
    empty = tmp_path / "empty.db"
    sqlite3.connect(empty).close()
    with pytest.raises(StoreError, match="there must be the tables of a store"):
        Store(str(empty))


def test_steps_tell_a_row_for_each_and_group(store: Store) -> None:
    events = [Event(FIRST + n, ("en", n % 2), n, 0.5) for n in range(9)]
    store.write("a", leaves_of(events))
    rows = list(store.query(measures=["count"], step=timedelta(seconds=30)))
    assert [(row.start, row.values["count"]) for row in rows] == [(at(FIRST + n), 3) for n in (0, 3, 6)]
    flat = store.query(measures=["count", "distinct:user"], by=("device",), step=timedelta(seconds=60))
    assert flat.rows[0].as_json() == {
        "device": 0,
        "from": "2026-03-01T12:00:00Z",
        "to": "2026-03-01T12:01:00Z",
        "count": 3,
        "distinct:user": {"value": 3.0, "low": 3.0, "high": 3.0},
    }
    assert flat.to_arrow().column_names == ["device", "from", "to", "count", "distinct:user"]
    assert flat.to_arrow()["count"].to_pylist() == [row.values["count"] for row in flat]


def test_sql_reads_counts_and_estimates_without_us(store: Store) -> None:
    store.write("a", leaves_of([Event(FIRST, ("en", 1), user, 0.5) for user in range(7)]))
    statement = (
        "SELECT lang, name, records, value FROM leaves JOIN keys USING (key_number) JOIN measures USING (measure) "
        "WHERE value IS NOT NULL ORDER BY name"
    )
    assert store.database.execute(statement) == [("en", "count", 7, 7.0), ("en", "distinct:user", 7, 7.0)]


def test_any_range_of_ten_thousand_windows_takes_thirty_sketches_at_most(uri: str) -> None:
    chance, measures = random.Random(1), {"count": MEASURES["count"]}
    with Store.create(uri, window=WINDOW, by={}, measures=measures) as store:
        one = Count()
        one.add(1)
        store.write("a", [Leaf((FIRST + n) * WINDOW, (), 1, {"count": one}) for n in range(10_000)])
        store.settle()
        for _ in range(300):
            begin, end = sorted(chance.sample(range(10_001), 2))
            answers = store.query(start=at(FIRST + begin), end=at(FIRST + end))
            assert [row.values["count"] for row in answers] == [end - begin]
            assert answers.reads <= 30

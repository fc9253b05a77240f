"""What is kept answers as before, bit for bit; what is not is refused, never answered in part."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rollups import Leaf, Store, StoredMeasure, StoreError
from rollups.leaves import Written
from transforms.sketches import Count, HyperLogLog, Kll, Question

WINDOW = timedelta(seconds=10)
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog(6), Question("estimate", (0.95,))),
    "quantiles:latency": StoredMeasure(Kll(8), Question("quantiles", (0.5, 0.99))),
}
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FIRST = int(NOON.timestamp()) // 10 + 5  # not the begin of a longer span
LATER = NOON + timedelta(days=365)


def leaf(place: int, key: str, chance: random.Random, *, closed: bool = True) -> Leaf:
    records = chance.randrange(1, 20)
    sketches = {name: measure.empty.copy() for name, measure in MEASURES.items()}
    sketches["count"].add_many(range(records))
    sketches["distinct:user"].add_many([chance.randrange(100) for _ in range(records)])
    sketches["quantiles:latency"].add_many([chance.random() for _ in range(records)])
    return Leaf(place * 10_000_000, (key,), records, sketches, closed)


def leaves(places: range, seed: int) -> list[Leaf]:
    chance = random.Random(seed)
    return [leaf(place, key, chance) for place in places for key in ("en", "ja") if chance.random() < 0.9]


def new(uri: str) -> Store:
    return Store.create(uri, window=10_000_000, by={"lang": "text"}, measures=MEASURES)


def at(place: int) -> datetime:
    return NOON + WINDOW * (place - FIRST + 5)


def told(store: Store, begin: int | None, end: int | None, **asked: Any) -> list[Any]:
    """All that a range answers, in bits."""
    bounds = {"start": None if begin is None else at(begin), "end": None if end is None else at(end)}
    answers = store.query(by=("lang",), **bounds, **asked)
    assert not answers.damaged
    return [(row.as_json(), {name: sketch.to_bytes() for name, sketch in row.sketches.items()}) for row in answers]


def kept_by(store: Store, begin: int, end: int) -> bool:
    stored = store.spans()
    assert stored is not None
    return all(stored.nearest_bounds(bound) == (bound, bound) for bound in (begin, end))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_answers_as_a_store_that_keeps_all(uri: str, tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    with new(uri) as store, new(str(tmp_path / "whole.db")) as whole:
        end, refused = FIRST + 300, 0
        for both in (store, whole):
            both.write("a", leaves(range(FIRST, end), seed))
        for turn in range(4):
            ages = timedelta(seconds=chance.randrange(100, 1500))
            spans = {timedelta(seconds=100): ages * 1.5, timedelta(minutes=6): ages * 2}
            store.keep(ages, spans)
            whole.settle()
            floor = dict(store.database.execute("SELECT level, first FROM kept")).get(0, FIRST)
            assert floor > end - ages // WINDOW - 4
            for _ in range(60):
                begin, stop = sorted(chance.sample(range(FIRST - 3, end + 4), 2))
                if kept_by(store, begin, stop):
                    assert told(store, begin, stop) == told(whole, begin, stop)
                else:
                    refused += 1
                    with pytest.raises(StoreError, match=r"use 2026-03-0\S+ or 2026-03-0"):
                        told(store, begin, stop)
            assert told(store, None, None) == told(whole, None, None)
            # Late leaves, and later ones, which may make the tree grow.
            late = leaves(range(floor, floor + 9), seed + 10 * turn)
            new_ones = leaves(range(end + 10, end + chance.choice([20, 400])), seed + turn)
            for both in (store, whole):
                assert both.write(f"late {turn}", late).leaves == len(late)
                both.write("a", new_ones)
            end = new_ones[-1].start // 10_000_000 + 1
            if chance.random() < 0.5:
                assert told(store, None, None) == told(whole, None, None)  # from spans that are yet to be made again
        assert refused > 10


def test_bounds_that_are_named_can_be_asked(tmp_path: Path) -> None:
    with new(str(tmp_path / "rollups.db")) as store:
        store.write("a", leaves(range(FIRST, FIRST + 200), 1))
        store.keep(timedelta(seconds=500), {timedelta(seconds=100): timedelta(seconds=1000)})
        stored = store.spans()
        assert stored is not None
        for bound in range(FIRST, FIRST + 200):
            for near in stored.nearest_bounds(bound):
                told(store, near, None)
                told(store, None, near)
        with pytest.raises(StoreError) as refused:
            told(store, FIRST + 10, None)
        # It is 15 windows after noon, and what is left there are spans of 16 windows.
        assert str(refused.value).endswith("got 2026-03-01T12:02:30Z: use 2026-03-01T12:00:00Z or 2026-03-01T12:02:40Z")


def test_a_step_is_answered_if_it_is_made_of_what_is_kept(tmp_path: Path) -> None:
    with new(str(tmp_path / "rollups.db")) as store:
        store.write("a", leaves(range(FIRST - 5, FIRST + 200), 1))
        store.settle()
        step = {"step": WINDOW * 4, "measures": ["count"]}
        begin = (FIRST >> 2) << 2
        before = told(store, begin, None, **step)
        store.keep(timedelta(seconds=100), {timedelta(seconds=40): timedelta(seconds=500)})
        assert told(store, begin, None, **step) == before
        with pytest.raises(StoreError, match="must begin and end where what is kept does"):
            told(store, begin, None, step=WINDOW * 2)


def test_a_leaf_that_is_too_late_is_refused_and_counted(uri: str) -> None:
    rows = leaves(range(FIRST, FIRST + 100), 1)
    with new(uri) as store:
        store.write("a", rows)
        store.keep(timedelta(seconds=300))
        before = told(store, None, None)
        floor = dict(store.database.execute("SELECT level, first FROM kept"))[0]
        old = [row for row in rows if row.start < floor * 10_000_000]
        assert store.write("a", rows) == Written(unchanged=len(rows) - len(old), expired=len(old))
        assert store.write("b", old, rebuild=True) == Written(expired=len(old))
        assert store.settle() == 0
        assert told(store, None, None) == before


def test_a_store_takes_less_room_then(tmp_path: Path) -> None:
    path = tmp_path / "rollups.db"
    with new(str(path)) as store:
        store.write("a", leaves(range(FIRST, FIRST + 1000), 1))
        store.settle()
        before = told(store, None, None)
    size = path.stat().st_size
    with new(str(path)) as store:
        dropped = store.keep(timedelta(minutes=10), {timedelta(minutes=5): timedelta(minutes=20)})
        assert dropped.leaves > 5000 * 0.9
        assert dropped.nodes > 3000
        assert path.stat().st_size < size / 4
        assert told(store, None, None) == before
        again = store.keep(timedelta(minutes=10), {timedelta(minutes=5): timedelta(minutes=20)})
        assert (again.leaves, again.nodes) == (0, 0)


def _open(store: Store, place: int) -> None:
    store.write("b", [leaf(place, "en", random.Random(1), closed=False)])


def _damage(store: Store, place: int) -> None:
    store.database.execute("UPDATE leaves SET sketch = substr(sketch, 2) WHERE place = ? AND measure = 1", [place])
    store.write("b", [leaf(place, "fr", random.Random(1))])  # so that what lies above is to be made again


@pytest.mark.parametrize("hold", [_open, _damage])
def test_windows_are_kept_from_one_on_that_is_open_or_damaged(
    tmp_path: Path, hold: Callable[[Store, int], None]
) -> None:
    rows = leaves(range(FIRST, FIRST + 100), 1)
    place = FIRST + 31
    with new(str(tmp_path / "rollups.db")) as store:
        store.write("a", rows)
        store.settle()
        hold(store, place)
        dropped = store.keep(timedelta(seconds=200))
        assert dropped.leaves > 100
        assert dropped.held in (at(place), at(place - 1))
        ((first,),) = store.database.execute("SELECT MIN(place) FROM leaves")
        assert place - 2 < first <= place
        # Once that is mended, the rest may go.
        store.write("a", rows)
        assert store.write("b", [leaf(place, "en", random.Random(1))]).leaves == 1
        dropped = store.keep(timedelta(seconds=200))
        assert dropped.leaves > 200
        assert dropped.held is None
        assert sum(row["count"] for row, _ in told(store, None, None)) == sum(
            row.records for row in (*rows, leaf(place, "en", random.Random(1)))
        ) + (leaf(place, "fr", random.Random(1)).records if hold is _damage else 0)


def test_a_damaged_span_whose_windows_are_gone_is_named_and_others_answer(tmp_path: Path) -> None:
    with new(str(tmp_path / "rollups.db")) as store:
        store.write("a", leaves(range(FIRST + 3, FIRST + 103), 1))
        store.keep(timedelta(seconds=100), {timedelta(seconds=25): timedelta(seconds=150)})
        ((place, key),) = store.database.execute(
            "SELECT place, key_number FROM nodes WHERE level = 2 AND measure = 1 ORDER BY place LIMIT 1 OFFSET 3"
        )
        damage = "UPDATE nodes SET sketch = substr(sketch, 2) WHERE level = 2 AND measure = 1 AND place = ?"
        store.database.execute(f"{damage} AND key_number = ?", [place, key])
        answers = store.query(start=at(place << 2), end=at(place + 1 << 2), by=("lang",))
        assert len(answers) == 1
        (problem,) = answers.damaged
        assert f"the row nodes, level 2, measure 1, place {place}, key number {key}" in problem
        assert len(store.query(by=("lang",))) == 2


def test_ages_count_from_the_latest_window_and_never_from_the_future(tmp_path: Path) -> None:
    rows = leaves(range(FIRST, FIRST + 100), 1)
    with new(str(tmp_path / "rollups.db")) as store:
        store.write("a", [*rows, leaf(FIRST + 10_000_000, "en", random.Random(1))])  # a clock that was wrong
        assert store.keep(timedelta(hours=1), now=at(FIRST + 100)).leaves == 0
        assert store.keep(timedelta(seconds=500), now=at(FIRST + 100)).leaves > 250
    with new(str(tmp_path / "past.db")) as store:
        store.write("a", rows)
        assert store.keep(timedelta(hours=1), now=LATER).leaves == 0


def test_ages_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    hour, day = timedelta(hours=1), timedelta(days=1)
    with new(str(tmp_path / "rollups.db")) as store:
        for ages in [(timedelta(0),), (day, {hour: hour}), (hour, {hour: 2 * day, day: day})]:
            with pytest.raises(ValueError, match="longer spans must be kept for no less time"):
                store.keep(*ages)
        assert store.keep(hour).leaves == 0  # of nothing

"""Answers side by side: changes are those of the events, and bounds hold as often as they say."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rollups import Leaf, Store, StoredMeasure, StoreError
from rollups.comparing import changes, compare, without
from rollups.query import Answer
from transforms.sketches import (
    Count,
    DyadicQuantiles,
    HeavyHitters,
    HyperLogLog,
    Kll,
    LogHistogram,
    MinHash,
    Moments,
    Question,
    Total,
)

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "sum:ms": StoredMeasure(Total(), Question("sum")),
    "mean:ms": StoredMeasure(Total(), Question("mean")),
    "max:ms": StoredMeasure(Moments(), Question("max")),
    "distinct:user": StoredMeasure(HyperLogLog(12), Question("estimate", (0.95,))),
    "top:user": StoredMeasure(HeavyHitters(100), Question("top", (3,))),
    "loghist:ms": StoredMeasure(LogHistogram(0.01), Question("quantiles", (0.5,))),
    "dyadic:ms": StoredMeasure(DyadicQuantiles(0, 1000, epsilon=0.01), Question("quantile", (0.5,))),
    "quantiles:ms": StoredMeasure(Kll(200), Question("quantiles", (0.5,))),
    "alike:user": StoredMeasure(MinHash(16), Question("KIND")),
}


class Told:
    """A store of one window a minute, and the users and ms of each minute and key."""

    def __init__(self, store: Store) -> None:
        chance = random.Random(1)
        self.store, self.events = store, dict[tuple[int, str], list[tuple[int, int]]]()
        for minute in range(20):
            for lang in ("en", "ja") if minute < 10 else ("en", "fr"):
                shift = 20 * (lang != "en") + minute
                self.events[minute, lang] = [
                    (shift + chance.randrange(40), chance.randrange(1, 900)) for _ in range(25)
                ]
        leaves = []
        for (minute, lang), events in self.events.items():
            leaves.append(Leaf(micros(minute), (lang,), len(events), sketches_of(events)))
        store.write("a", leaves)
        store.settle()

    def of(self, first: int, end: int, *langs: str) -> list[tuple[int, int]]:
        return [
            e for (m, lang), es in self.events.items() if first <= m < end and (lang in langs or not langs) for e in es
        ]


def micros(minute: int) -> int:
    return int(at(minute).timestamp()) * 1_000_000


def at(minute: int) -> datetime:
    return NOON + minute * MINUTE


def sketches_of(events: list[tuple[int, int]]) -> dict[str, Any]:
    sketches: dict[str, Any] = {name: measure.empty.copy() for name, measure in MEASURES.items()}
    for name, sketch in sketches.items():
        sketch.add_many([ms if name.endswith("ms") else user for user, ms in events])
    return sketches


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    by = {"lang": "text"}
    with Store.create(str(tmp_path / "store.db"), window=60_000_000, by=by, measures=MEASURES) as store:
        yield Told(store)


def test_each_measure_of_two_ranges_is_compared_as_the_events_compare(told: Told) -> None:
    (row,) = compare(told.store, {"start": at(0), "end": at(10)}, start=at(10), end=at(20))
    now, before = told.of(10, 20), told.of(0, 10)
    users, earlier = ({user for user, _ in events} for events in (now, before))
    change = row.changes
    assert (change["count"].now, change["count"].before, change["count"].change) == (500, 500, 0)
    assert change["sum:ms"].change == sum(ms for _, ms in now) - sum(ms for _, ms in before)
    assert change["max:ms"].change == max(ms for _, ms in now) - max(ms for _, ms in before)
    assert change["distinct:user"].change.value == len(users) - len(earlier)
    assert change["distinct:user"].new.value == len(users - earlier)
    assert change["distinct:user"].both.value == len(users & earlier)
    moved = Counter(user for user, _ in now)
    moved.subtract(Counter(user for user, _ in before))
    assert {item: of.value for item, of in change["top:user"].change} == {
        item: moved[item] for item, _ in [*change["top:user"].now, *change["top:user"].before]
    }
    sizes = [abs(of.value) for _, of in change["top:user"].change]
    assert sizes == sorted(sizes, reverse=True)
    true = np.quantile([ms for _, ms in now], 0.5, method="inverted_cdf") - np.quantile(
        [ms for _, ms in before], 0.5, method="inverted_cdf"
    )
    for name in ("loghist:ms", "quantiles:ms"):
        assert change[name].change[0.5].low <= true <= change[name].change[0.5].high
    assert change["dyadic:ms"].change.low <= true <= change["dyadic:ms"].change.high
    assert change["alike:user"].change is None
    assert change["alike:user"].why == "KIND of a MinHash is nothing to subtract from"


def test_audiences_of_two_keys_overlap_as_their_users_do(told: Told) -> None:
    asked = {"measures": ["distinct:user"], "start": at(0), "end": at(10)}
    (row,) = compare(told.store, {"where": {"lang": "en"}}, where={"lang": "ja"}, **asked)
    ja, en = ({user for user, _ in told.of(0, 10, lang)} for lang in ("ja", "en"))
    assert row.changes["distinct:user"].both.value == len(ja & en) > 0
    assert row.changes["distinct:user"].new.value == len(ja - en) > 0


def test_groups_and_steps_are_compared_one_by_one_and_with_nothing_where_only_one_side_has_them(told: Told) -> None:
    asked = {"measures": ["count", "max:ms"], "by": ("lang",), "step": 5 * MINUTE}
    rows = list(compare(told.store, {"start": at(0), "end": at(10)}, start=at(10), end=at(20), **asked))
    counts = [(row.now.start, row.before.start, row.group["lang"], row.changes["count"]) for row in rows]
    assert [(*place, change.now, change.before) for *place, change in counts] == [
        (at(10 + n), at(n), lang, now, before)
        for n in (0, 5)
        for lang, now, before in (("en", 125, 125), ("fr", 125, 0), ("ja", 0, 125))
    ]
    assert (rows[1].changes["max:ms"].change, rows[1].changes["max:ms"].why) == (None, "there is no value before")
    assert rows[2].changes["max:ms"].why == "there is no value now"


def test_what_a_damaged_row_hides_is_not_taken_for_nothing(told: Told) -> None:
    told.store.database.execute("UPDATE leaves SET sketch = ? WHERE measure = 1 AND key_number = 2", [b"broken"])
    told.store.database.execute("UPDATE nodes SET sketch = ? WHERE measure = 1 AND key_number = 2", [b"broken"])
    asked = {"measures": ["count"], "by": ("lang",), "start": at(5), "end": at(15)}
    compared = compare(told.store, {"start": at(10), "end": at(20)}, **asked)
    names = [name for (name,) in told.store.database.execute("SELECT lang FROM keys WHERE key_number = 2")]
    assert compared.damaged
    assert not [row for row in compared if row.group["lang"] in names]
    assert [row.group["lang"] for row in compared] == ["en"]


def test_what_a_part_leaves_is_what_the_rest_of_the_events_is(told: Told) -> None:
    store = told.store
    names = ["count", "sum:ms", "mean:ms", "loghist:ms", "dyadic:ms"]
    (whole,) = store.query(measures=names, start=at(0), end=at(20))
    for part, rest in (
        (store.query(measures=names, where={"lang": "en"}), told.of(0, 20, "ja", "fr")),
        (store.query(measures=names, start=at(5), end=at(12)), told.of(0, 5) + told.of(12, 20)),
    ):
        left = without(store, whole, part.rows[0])
        expected = sketches_of(rest)
        assert left.sketches == {name: expected[name] for name in names}
        assert left.values["count"] == len(rest)
    (distinct,) = store.query(measures=["distinct:user"])
    with pytest.raises(StoreError, match="distinct:user is kept as a HyperLogLog, which does not subtract"):
        without(store, distinct, distinct)
    with pytest.raises(ValueError, match="a part must lie within"):
        without(store, part.rows[0], whole)


def test_bounds_of_new_of_both_and_of_change_hold_as_often_as_they_say(told: Told) -> None:
    chance, right = np.random.default_rng(5), Counter[str]()
    measure = {"distinct:user": StoredMeasure(HyperLogLog(9), Question("estimate", (0.95,)))}
    told.store.measures.update(measure)
    trials = 400
    for _ in range(trials):
        sizes = chance.integers(500, 4000, 3)  # only now, both, only before
        items = chance.integers(0, 2**62, sizes.sum())
        sides = items[: sizes[:2].sum()], items[sizes[0] :]
        answers = []
        for side in sides:
            sketch = HyperLogLog(9)
            sketch.add_many(side)
            answers.append(Answer({}, NOON, NOON, {"distinct:user": sketch}, {"distinct:user": sketch.estimate(0.95)}))
        change = changes(told.store, *answers)["distinct:user"]
        true = {"change": sizes[0] - sizes[2], "new": sizes[0], "both": sizes[1]}
        for name, number in true.items():
            estimate = getattr(change, name)
            assert estimate.confidence == pytest.approx(0.95)
            right[name] += estimate.low <= number <= estimate.high
    assert all(right[name] >= 0.95 * trials for name in ("change", "new", "both")), right


def test_what_cannot_be_compared_is_refused(told: Told) -> None:
    with pytest.raises(ValueError, match="may differ in start, end and where, got by"):
        compare(told.store, {"by": ("lang",)})
    with pytest.raises(ValueError, match="keys that are compared cannot be grouped by, got lang"):
        compare(told.store, {"where": {"lang": "en"}}, by=("lang",))
    with pytest.raises(ValueError, match="must have as many steps, got 4 and 2"):
        compare(told.store, {"start": at(0), "end": at(10)}, step=5 * MINUTE)

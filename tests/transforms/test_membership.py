"""Membership: what was seen never passes as new, and of the rest as little is lost as stated."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from transforms import bundling
from transforms.membership import DropSeen, KeepSeen, Membership
from transforms.sketches import Bloom

NOON = 1_000_000
FRIENDS = [f"user {number}" for number in range(0, 3000, 3)]
VISITS = [f"user {number}" for number in range(3000)] * 2


def placed(item: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Any:
    return item, float(time), float(window.start)


def test_a_membership_denies_no_item_and_errs_as_stated(in_process: Any) -> None:
    def describe(bloom: Bloom) -> tuple[bool, bool]:
        wrong = bloom.contains_many([f"stranger {number}" for number in range(20_000)]).mean()
        return bool(bloom.contains_many(FRIENDS).all()), bool(wrong <= 1.2 * 0.01)

    with in_process() as pipeline:
        bloom = pipeline | beam.Create(FRIENDS) | Membership.Globally(len(FRIENDS), error=0.01)
        assert_that(bloom | beam.Map(describe), equal_to([(True, True)]))


@pytest.mark.parametrize("batch", [7, 10_000])
def test_what_is_dropped_and_what_is_kept_are_what_the_bloom_says(
    in_process: Any, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "_BATCH", batch)
    bloom = Bloom.for_error(len(FRIENDS), 0.05)
    bloom.add_many(FRIENDS)
    with in_process() as pipeline:
        seen = pipeline | "Friends" >> beam.Create(FRIENDS) | Membership.Globally(len(FRIENDS), error=0.05)
        visits = pipeline | "Visits" >> beam.Create(VISITS)
        strangers, friends = visits | DropSeen(seen), visits | KeepSeen(seen)
        assert_that(strangers, equal_to([visit for visit in VISITS if visit not in bloom]), "strangers")
        assert_that(friends, equal_to([visit for visit in VISITS if visit in bloom]), "friends")


def test_items_are_looked_up_by_their_key(in_process: Any) -> None:
    with in_process() as pipeline:
        seen = pipeline | "Seen" >> beam.Create([1, 2]) | Membership.Globally(100, error=1e-6)
        rows = pipeline | "Rows" >> beam.Create([{"id": 1}, {"id": 3}])
        assert_that(rows | DropSeen(seen, key=lambda row: row["id"]), equal_to([{"id": 3}]))


def test_each_window_asks_its_own_bloom_and_items_keep_their_time(in_process: Any) -> None:
    with in_process() as pipeline:
        stamped = beam.MapTuple(TimestampedValue)
        earlier = pipeline | "Seen" >> beam.Create([("ana", 1), ("bo", 11)]) | "A" >> stamped
        seen = earlier | "W" >> beam.WindowInto(FixedWindows(10)) | Membership.Globally(100, error=1e-6)
        pairs = [("ana", 2), ("bo", 3), ("ana", 12), ("bo", 13), ("ana", 25)]
        items = pipeline | "Items" >> beam.Create(pairs) | "B" >> stamped | beam.WindowInto(FixedWindows(10))
        dropped = items | DropSeen(seen) | "C" >> beam.Map(placed)
        assert_that(dropped, equal_to([("bo", 3.0, 0.0), ("ana", 12.0, 10.0), ("ana", 25.0, 20.0)]), "dropped")
        kept = items | KeepSeen(seen) | "D" >> beam.Map(placed)
        assert_that(kept, equal_to([("ana", 2.0, 0.0), ("bo", 13.0, 10.0)]), "kept")


def test_what_is_no_bloom_is_refused_by_name() -> None:
    pipeline = TestPipeline(runner="FnApiRunner")
    seen = pipeline | "Seen" >> beam.Create(["ana"])
    _ = pipeline | "Items" >> beam.Create(["ana"]) | DropSeen(seen)
    with pytest.raises(Exception, match="seen must be a collection of one Bloom, got 'ana'"):
        pipeline.run()

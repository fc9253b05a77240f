"""Deduplication: every duplicate is found, nothing is lost, and the error is as stated and as counted."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, Sessions, SlidingWindows, TimestampedValue

from transforms import bundling, deduplication
from transforms.combining import SketchCoder
from transforms.deduplication import DeduplicateApproximately
from transforms.membership import membership
from transforms.sketches import Bloom, Hasher
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
FRIENDS = [f"user {number}" for number in range(0, 3000, 3)]
VISITS = [f"user {number}" for number in range(3000)] * 2


def placed(item: Any, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> Any:
    return item, float(time), float(window.start)


@pytest.mark.parametrize(("batch", "shards"), [(40, 3), (10_000, 16), (10_000, 1)])
def test_a_duplicate_is_always_found_and_nothing_is_lost(
    in_process: Any, batch: int, shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "_BATCH", batch)
    chance = random.Random(3)
    items = [chance.choice([chance.randrange(1500), f"user {chance.randrange(1500)}"]) for _ in range(4000)]
    with in_process() as pipeline:
        told = pipeline | beam.Create(items) | DeduplicateApproximately(3000, error=0.05, shards=shards)
        named = [
            collection | name >> beam.Map(lambda item, name: (name, item), name)
            for name, collection in (("fresh", told.fresh), ("repeated", told.repeated))
        ]

        def check(answers: list[tuple[str, Any]]) -> None:
            fresh = Counter(item for name, item in answers if name == "fresh")
            assert Counter(item for _, item in answers) == Counter(items)
            assert max(fresh.values()) == 1
            assert len(set(items)) * 0.95 < len(fresh) <= len(set(items))

        assert_that(named | beam.Flatten(), check)


def run_counting(distinct: int, capacity: int, error: float) -> tuple[int, dict[str, int]]:
    """How many of so many different items were taken for repeated, and the counters."""
    pipeline = TestPipeline(runner="FnApiRunner")
    told = pipeline | beam.Create(range(distinct)) | DeduplicateApproximately(capacity, error)
    _ = told.repeated | beam.Map(lambda _: beam.metrics.Metrics.counter("test", "lost").inc())
    _ = told.fresh | "Fresh" >> beam.Map(lambda _: None)
    result = pipeline.run()
    result.wait_until_finish()
    counters = {counter.key.metric.name: counter.committed for counter in result.metrics().query()["counters"]}
    return counters.get("lost", 0), counters


def test_fresh_items_are_lost_as_rarely_as_stated_and_as_often_as_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "_BATCH", 2000)
    lost, counters = run_counting(20_000, 20_000, 0.05)
    assert 0 < lost <= 0.05 * 20_000
    # The filter fills while the items pass, so that it errs less than stated on the average.
    assert abs(lost - counters["expected_wrongly_repeated"]) < 5 * lost**0.5
    assert counters.get("beyond_capacity", 0) == 0


def test_more_keys_than_there_is_room_for_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundling, "_BATCH", 500)
    lost, counters = run_counting(5000, 1000, 0.05)
    assert counters["beyond_capacity"] > 500
    assert abs(lost - counters["expected_wrongly_repeated"]) < 0.2 * lost


def test_windows_are_kept_apart_and_items_keep_their_time(in_process: Any) -> None:
    pairs = [("ana", 1), ("ana", 7), ("bo", 8), ("ana", 12)]
    with in_process() as pipeline:
        items = pipeline | beam.Create(pairs) | beam.MapTuple(TimestampedValue) | beam.WindowInto(FixedWindows(10))
        told = items | DeduplicateApproximately(1000, error=1e-6)
        fresh, repeated = told.fresh | "F" >> beam.Map(placed), told.repeated | "R" >> beam.Map(placed)
        assert_that(fresh, equal_to([("ana", 1.0, 0.0), ("bo", 8.0, 0.0), ("ana", 12.0, 10.0)]), "fresh")
        assert_that(repeated, equal_to([("ana", 7.0, 0.0)]), "repeated")


def test_an_item_is_told_once_in_each_sliding_window(in_process: Any) -> None:
    pairs = [("ana", 1), ("ana", 6)]
    with in_process() as pipeline:
        items = pipeline | beam.Create(pairs) | beam.MapTuple(TimestampedValue)
        told = items | beam.WindowInto(SlidingWindows(10, 5)) | DeduplicateApproximately(1000, error=1e-6)
        fresh, repeated = told.fresh | "F" >> beam.Map(placed), told.repeated | "R" >> beam.Map(placed)
        assert_that(fresh, equal_to([("ana", 1.0, -5.0), ("ana", 1.0, 0.0), ("ana", 6.0, 5.0)]), "fresh")
        assert_that(repeated, equal_to([("ana", 6.0, 0.0)]), "repeated")


def tell_stream(arrivals: TestStream, policy: WindowPolicy, expected: list[tuple[str, str, int]]) -> None:
    def named(item: str, name: str, time: Any = beam.DoFn.TimestampParam) -> tuple[str, str, int]:
        return name, item, int(time) - NOON

    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        told = pipeline | "Arrive" >> arrivals | ApplyWindow(policy) | DeduplicateApproximately(1000, error=1e-6)
        both = told.fresh | "F" >> beam.Map(named, "fresh"), told.repeated | "R" >> beam.Map(named, "repeated")
        assert_that(both | beam.Flatten(), equal_to(expected))


def test_a_duplicate_in_a_later_bundle_is_found_and_a_new_window_starts_afresh() -> None:
    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements([TimestampedValue("ana", NOON + 1), TimestampedValue("bo", NOON + 2)])
        .advance_watermark_to(NOON + 3)
        .add_elements([TimestampedValue("ana", NOON + 4), TimestampedValue("cy", NOON + 4)])
        .add_elements([TimestampedValue("bo", NOON + 12), TimestampedValue("cy", NOON + 5)])
        .advance_watermark_to(NOON + 15)
        .add_elements([TimestampedValue("bo", NOON + 16), TimestampedValue("ana", NOON + 17)])
        .advance_watermark_to(NOON + 100)
        .advance_watermark_to_infinity()
    )
    expected = [
        ("fresh", "ana", 1),
        ("fresh", "bo", 2),
        ("repeated", "ana", 4),
        ("fresh", "cy", 4),
        ("fresh", "bo", 12),
        ("repeated", "cy", 5),
        ("repeated", "bo", 16),
        ("fresh", "ana", 17),
    ]
    tell_stream(arrivals, WindowPolicy("10s"), expected)


def test_a_late_duplicate_is_found_while_lateness_lasts_and_then_the_state_is_gone() -> None:
    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements([TimestampedValue("ana", NOON + 1)])
        .advance_watermark_to(NOON + 25)
        .add_elements([TimestampedValue("ana", NOON + 2)])
        .advance_watermark_to(NOON + 60)
        .add_elements([TimestampedValue("ana", NOON + 3)])
        .advance_watermark_to(NOON + 200)
        .advance_watermark_to_infinity()
    )
    expected = [("fresh", "ana", 1), ("repeated", "ana", 2), ("fresh", "ana", 3)]
    tell_stream(arrivals, WindowPolicy("10s", allowed_lateness=30), expected)


def test_keys_may_be_secretly_hashed_and_of_records(in_process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKETCH_KEY", "00" * 16)
    hasher = Hasher.from_environment("SKETCH_KEY")
    rows = [{"id": 7, "n": 1}, {"id": "7", "n": 2}, {"id": 7, "n": 3}]
    with in_process() as pipeline:
        deduplicate = DeduplicateApproximately(1000, error=1e-6, key=lambda row: row["id"], hasher=hasher)
        told = pipeline | beam.Create(rows) | deduplicate
        assert_that(told.fresh, equal_to(rows[:2]), "fresh")
        assert_that(told.repeated, equal_to(rows[2:]), "repeated")


def test_state_is_the_sealed_bytes_of_a_bloom() -> None:
    coder = deduplication._SEEN.state_spec.coder
    assert type(coder) is SketchCoder
    bloom = Bloom.for_error(100, 0.01)
    bloom.add("ana")
    assert coder.encode(bloom) == bloom.to_bytes()


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (partial(membership, 0), "capacity must be at least 1 item, got 0"),
        (partial(DeduplicateApproximately, 0), "capacity must be at least 1 item, got 0"),
        (partial(DeduplicateApproximately, 1000, error=1.0), "error must be between 0 and 1, got 1.0"),
        (partial(DeduplicateApproximately, 1000, shards=0), "shards must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused_when_the_pipeline_is_built(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_sessions_cannot_be_deduplicated() -> None:
    items = TestPipeline(runner="FnApiRunner") | beam.Create([1]) | beam.WindowInto(Sessions(10))
    with pytest.raises(ValueError, match="windows that merge cannot be deduplicated, got Sessions"):
        items | DeduplicateApproximately(1000)

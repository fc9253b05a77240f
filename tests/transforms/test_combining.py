"""Sketches on Beam: each question against an oracle, per key and globally, in batch, in windows and with late data."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
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
from apache_beam.transforms.window import FixedWindows, Sessions, TimestampedValue

from transforms import combining
from transforms.combining import SketchCombineFn
from transforms.distinct import Distinct, distinct_count
from transforms.frequency import Frequency, frequency
from transforms.quantiles import LogQuantiles, Quantiles, log_quantiles, quantiles
from transforms.sketches.hyperloglog import HyperLogLog
from transforms.spread import Spread, spread
from transforms.top import Top, heavy_hitters
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
CHANCE = random.Random(11)
CLICKS = [(CHANCE.choice("abc"), f"user {CHANCE.randrange(400)}") for _ in range(3000)]
DELAYS = [(CHANCE.choice("abc"), CHANCE.lognormvariate(3, 1)) for _ in range(3000)]


def by_key(pairs: list[tuple[str, Any]]) -> dict[str, list[Any]]:
    grouped: dict[str, list[Any]] = defaultdict(list)
    for key, value in pairs:
        grouped[key].append(value)
    return grouped


def test_distinct_counts_lie_within_their_bounds(in_process: Any) -> None:
    truth = {key: len(set(users)) for key, users in by_key(CLICKS).items()}

    def holds(answer: tuple[str, Any]) -> bool:
        key, estimate = answer
        return (
            bool(estimate.low <= truth[key] <= estimate.high) and abs(estimate.value - truth[key]) < 0.05 * truth[key]
        )

    with in_process() as pipeline:
        counted = pipeline | beam.Create(CLICKS) | Distinct.PerKey(error=0.02) | beam.Map(holds)
        assert_that(counted, equal_to([True] * 3))


def test_the_top_is_exact_while_it_fits(in_process: Any) -> None:
    truth = {key: Counter(users).most_common(1)[0][1] for key, users in by_key(CLICKS).items()}
    with in_process() as pipeline:
        top = pipeline | beam.Create(CLICKS) | Top.PerKey(5, capacity=500)
        first = top | beam.MapTuple(lambda key, items: (key, len(items), items[0][1].value, items[0][1].low))
        assert_that(first, equal_to([(key, 5, count, count) for key, count in truth.items()]))


def test_frequencies_are_never_too_low(in_process: Any) -> None:
    truth = Counter(user for _, user in CLICKS)
    with in_process() as pipeline:
        asked = pipeline | beam.Create([user for _, user in CLICKS]) | Frequency.Globally("user 1", "nobody")
        counts = asked | beam.Map(lambda found: (found["user 1"].value >= truth["user 1"], found["nobody"].value <= 3))
        assert_that(counts, equal_to([(True, True)]))


@pytest.mark.parametrize("question", [Quantiles, LogQuantiles])
def test_quantiles_lie_near_their_rank(in_process: Any, question: Any) -> None:
    truth = {key: sorted(values) for key, values in by_key(DELAYS).items()}

    def near(answer: tuple[str, Any]) -> bool:
        key, found = answer
        values = truth[key]
        return all(
            values[max(0, round((q - 0.03) * len(values)))] * 0.98
            <= found[q].value
            <= values[min(len(values) - 1, round((q + 0.03) * len(values)))] * 1.02
            for q in (0.5, 0.99)
        )

    with in_process() as pipeline:
        assert_that(pipeline | beam.Create(DELAYS) | question.PerKey(0.5, 0.99) | beam.Map(near), equal_to([True] * 3))


def test_spread_is_that_of_the_numbers(in_process: Any) -> None:
    with in_process() as pipeline:
        moments = pipeline | beam.Create([1.0, 2.0, 6.0]) | Spread.Globally()
        assert_that(moments | beam.Map(lambda m: (m.count, m.mean, m.variance)), equal_to([(3, 3.0, 7.0)]))


def test_nothing_gives_the_answer_of_the_empty_sketch(in_process: Any) -> None:
    with in_process() as pipeline:
        nothing = pipeline | beam.Create([])
        assert_that(nothing | "D" >> Distinct.Globally() | beam.Map(float), equal_to([0.0]), "distinct")
        assert_that(nothing | "Q" >> Quantiles.Globally(0.5), equal_to([{}]), "quantiles")
        assert_that(nothing | "T" >> Top.Globally(3), equal_to([[]]), "top")
        windows = nothing | beam.WindowInto(FixedWindows(10)) | "InWindows" >> Distinct.Globally()
        assert_that(windows, equal_to([]), "windows")


def test_one_pass_gives_several_answers(in_process: Any) -> None:
    several = beam.combiners.SingleInputTupleCombineFn(distinct_count(), heavy_hitters(1), frequency("a"))
    with in_process() as pipeline:
        answers = pipeline | beam.Create(["a", "b", "a"]) | beam.CombineGlobally(several)
        found = answers | beam.Map(lambda row: (row[0].value, row[1][0][0], row[2]["a"].value))
        assert_that(found, equal_to([(2.0, "a", 2)]))


MEASURES: dict[str, tuple[SketchCombineFn[Any, Any], list[tuple[str, Any]]]] = {
    "distinct": (distinct_count(output="sketch"), CLICKS),
    "frequency": (frequency(output="sketch"), CLICKS),
    "top": (heavy_hitters(5, capacity=500, output="sketch"), CLICKS),
    "loghist": (log_quantiles(output="sketch"), DELAYS),
}


@pytest.mark.parametrize("name", MEASURES)
def test_beams_own_combine_and_ours_give_the_same_bytes_for_any_bundles(in_process: Any, name: str) -> None:
    combine_fn, pairs = MEASURES[name]
    expected = []
    for key, values in by_key(pairs).items():
        sketch = combine_fn.make()
        sketch.add_many(values)
        expected.append((key, sketch.to_bytes()))

    def to_bytes(answer: tuple[str, Any]) -> tuple[str, bytes]:
        return answer[0], answer[1].to_bytes()

    with in_process() as pipeline:
        source = pipeline | beam.Create(pairs) | beam.Reshuffle()
        ours = source | "Ours" >> combining.CombineSketchPerKey(combine_fn) | "A" >> beam.Map(to_bytes)
        theirs = source | "Theirs" >> beam.CombinePerKey(combine_fn) | "B" >> beam.Map(to_bytes)
        assert_that(ours, equal_to(expected), "ours")
        assert_that(theirs, equal_to(expected), "theirs")


def test_keys_that_python_takes_for_one_stay_apart(in_process: Any) -> None:
    pairs = [(1, "a"), (True, "b"), (1.0, "c"), ("1", "d"), (0.0, "e"), (-0.0, "f"), ((1, 2), "g"), (None, "h")]
    with in_process() as pipeline:
        counts = pipeline | beam.Create(pairs) | Distinct.PerKey() | beam.MapTuple(lambda key, n: (repr(key), n.value))
        assert_that(counts, equal_to([(repr(key), 1.0) for key, _ in pairs]))


def test_many_keys_of_a_bundle_are_handed_on_in_turn(in_process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(combining, "_SLOTS", 10)
    pairs = [(f"key {number % 50}", number) for number in range(200)]
    with in_process() as pipeline:
        counts = pipeline | beam.Create(pairs) | Distinct.PerKey() | beam.MapTuple(lambda _, n: n.value)
        assert_that(counts, equal_to([4.0] * 50))


def test_a_late_item_updates_its_window_and_no_other() -> None:
    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements([TimestampedValue(("a", "ana"), NOON + 1), TimestampedValue(("a", "bo"), NOON + 2)])
        .add_elements([TimestampedValue(("a", "ana"), NOON + 11)])
        .advance_watermark_to(NOON + 25)
        .add_elements([TimestampedValue(("a", "cy"), NOON + 3)])
        .advance_watermark_to(NOON + 200)
        .advance_watermark_to_infinity()
    )
    policy = WindowPolicy("10s", allowed_lateness=60, accumulation="accumulating")

    def placed(answer: tuple[str, Any], window: Any = beam.DoFn.WindowParam) -> tuple[int, float]:
        return int(window.start) - NOON, answer[1].value

    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        panes = pipeline | arrivals | ApplyWindow(policy) | Distinct.PerKey() | beam.Map(placed)
        assert_that(panes, equal_to([(0, 2.0), (10, 1.0), (0, 3.0)]))


def test_early_answers_after_a_number_of_records_count_records_and_not_bundles() -> None:
    users = [TimestampedValue(("a", f"user {number}"), NOON + 1) for number in range(5)]
    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements(users[:2])  # a bundle
        .add_elements(users[2:4])
        .add_elements(users[4:])
        .advance_watermark_to(NOON + 25)
        .advance_watermark_to_infinity()
    )
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        windowed = pipeline | arrivals | ApplyWindow(WindowPolicy("10s", early="every 3 records"))
        each = windowed | Distinct.PerKey() | beam.MapTuple(lambda _, n: n.value)
        assert_that(each, equal_to([4.0, 1.0]), "PerKey")
        together = windowed | beam.Values() | Distinct.Globally() | beam.Map(lambda n: n.value)
        assert_that(together, equal_to([4.0, 1.0]), "Globally")


def test_sessions_merge_their_sketches(in_process: Any) -> None:
    times = [0, 5, 9, 100, 104]
    with in_process() as pipeline:
        clicks = pipeline | beam.Create([(f"user {time}", time) for time in times]) | beam.MapTuple(TimestampedValue)
        keyed = clicks | beam.WindowInto(Sessions(10)) | beam.Map(lambda user: ("page", user))
        counts = keyed | Distinct.PerKey() | beam.MapTuple(lambda _, n: n.value)
        assert_that(counts, equal_to([3.0, 2.0]))


@pytest.mark.parametrize(
    ("factory", "complaint"),
    [
        (partial(distinct_count, error=2), "error must be between 0 and 1"),
        (partial(distinct_count, output="sketchy"), "output must be one of answer, sketch, got 'sketchy'"),
        (partial(heavy_hitters, 0), "n must be at least 1 item, got 0"),
        (partial(quantiles), "ranks must lie between 0 and 1, and there must be one"),
        (partial(log_quantiles, 50), "ranks must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused_when_the_pipeline_is_built(factory: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        factory()


def test_a_merge_leaves_its_parts_as_they_are() -> None:
    combine_fn = SketchCombineFn(HyperLogLog)
    parts = [combine_fn.add_input(combine_fn.create_accumulator(), item) for item in "ab"]
    before = [part.settle().to_bytes() for part in parts]
    combine_fn.merge_accumulators(parts)
    assert [part.settle().to_bytes() for part in parts] == before


def test_spread_needs_no_parameters() -> None:
    assert spread().create_accumulator().settle().count == 0

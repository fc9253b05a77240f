"""The project's own transforms tell of a stream what they tell of a batch, on schedules drawn by seeds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.columnar import MeasureBatches
from transforms.combining import SketchCombineFn
from transforms.counting import CountByValue
from transforms.deduplication import DeduplicateApproximately
from transforms.distinct import Distinct
from transforms.frequency import Frequency
from transforms.lateness import Gate
from transforms.measures import Measure, parse_measures
from transforms.membership import Membership
from transforms.quantiles import LogQuantiles, Quantiles
from transforms.ranking import Ranking
from transforms.rising import FindRising
from transforms.schemas import Text
from transforms.settling import AwaitFinal, Retract
from transforms.similarity import NearDuplicates, Similarity
from transforms.sliding import ReduceByKeyAndWindow
from transforms.spread import Spread
from transforms.testing import check_batch_equals_stream, within
from transforms.top import Top
from transforms.watermarks import FromTimers
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.words import DescribeCounts, words_of

SHORT = ("10s, lateness 30s, accumulating", 30)  # a policy, and the seconds that records span
EARLY = ("10s, lateness 1m, early every 5s, late every 30s, accumulating", 30)
COUNTED = ("10s, lateness 1m, early every 3 records, accumulating", 30)
SLIDING = ("20s/5s, lateness 30s, accumulating", 30)
SESSIONS = ("session 4s, lateness 30s, accumulating", 60)
CLOSED = ("10s, accumulating", 30)
ALL = ("all, early every 5s, accumulating", 30)
DAYS = ("day Europe/Paris, lateness 12h, accumulating", 3 * 86_400)
DISCARDING = ("10s, lateness 1m, early every 5s", 30)

SPRING = datetime(2026, 3, 28, 12, tzinfo=UTC).timestamp()  # Paris skips an hour in the night after
KEYS = ("ana", "bo")


TOLD = parse_measures(["count", "top:n=12"])

Build = Callable[[WindowPolicy], Callable[[beam.PCollection], beam.PCollection]]


@dataclass(frozen=True)
class Case:
    """A transform of pairs of a key and a number, under policies, and what the check must know of it."""

    build: Build
    policies: tuple[tuple[str, int], ...] = (SHORT, EARLY, SLIDING, SESSIONS)
    check: dict[str, Any] = field(default_factory=dict)
    late: Build | None = None  # what tells which records come too late


def keyed(question: Callable[[], beam.PTransform], *then: beam.PTransform) -> Any:
    """A question asked for each key."""

    def build(policy: WindowPolicy) -> Any:
        def transform(pairs: beam.PCollection) -> beam.PCollection:
            answers = pairs | ApplyWindow(policy) | question()
            for step in then:
                answers = answers | step
            return answers

        return transform

    return build


def pairs(number: int, span: float, seed: int) -> list[tuple[float, tuple[str, int]]]:
    chance = random.Random(seed)
    # Whole milliseconds, as the bounds of sessions are on FnApiRunner.
    return [
        (SPRING + round(chance.uniform(0, span), 3), (chance.choice(KEYS), chance.randrange(12))) for _ in range(number)
    ]


def last(answers: list[Any]) -> Any:
    return answers[-1]


def overlap(one: dict[float, Any], other: dict[float, Any]) -> bool:
    """Whether two estimates of each quantile can both be right."""
    return one.keys() == other.keys() and all(one[q].low <= other[q].high and other[q].low <= one[q].high for q in one)


def near(one: Any, other: Any) -> bool:
    close = within(relative=1e-9)
    return all(
        close(getattr(one, name), getattr(other, name))
        for name in ("count", "mean", "variance", "skewness", "min", "max")
    )


def many_numbers(pairs: beam.PCollection) -> beam.PCollection:
    return pairs | "Many" >> beam.FlatMapTuple(
        lambda key, number: [(key, (number * 83 + step * 37) % 1000) for step in range(100)]
    )


def texts(policy: WindowPolicy) -> Any:
    text = "the quick brown fox jumps over the lazy dog near the bank of a slow river"

    def of(key: str, number: int) -> tuple[str, str]:
        words = text.split()
        words[number % 12] = key
        return f"{key}{number}", " ".join(words)

    return lambda pairs: (
        pairs | beam.MapTuple(of).with_output_types(tuple[str, str]) | ApplyWindow(policy) | NearDuplicates(0.6)
    )


class Batched(beam.DoFn):
    """The rows of each bundle as one batch, at its earliest time."""

    def start_bundle(self) -> None:
        self._rows: list[tuple[Any, str, int]] = []

    def process(self, pair: tuple[str, int], at: Any = beam.DoFn.TimestampParam) -> None:
        self._rows.append((at, *pair))

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._rows:
            times, keys, numbers = zip(*self._rows, strict=True)
            moments = pa.array([time.micros for time in times], pa.timestamp("us", tz="UTC"))
            batch = pa.record_batch({"at": moments, "user": list(keys), "n": list(numbers)})
            yield WindowedValue(batch, min(times), [GlobalWindow()])


def measured(output: Any) -> Any:
    measures = parse_measures(["count", "sum:n", "distinct:n", "top:n=3", "loghist:n=0.5"])

    def build(policy: WindowPolicy) -> Any:
        measure = MeasureBatches(by=["user"], measures=measures, windows=policy, event_time="at", output=output)
        rows = beam.ParDo(Batched()).with_output_types(pa.RecordBatch)
        if output == "answers":
            return lambda pairs: pairs | rows | measure
        return lambda pairs: (
            pairs | rows | measure | beam.FlatMap(lambda batch: [(row["user"], row) for row in batch.to_pylist()])
        )

    return build


def rising(policy: WindowPolicy) -> Any:
    measures = {name: Measure(m.column, SketchCombineFn(m.combine_fn.make)) for name, m in TOLD.items()}
    measure = MeasureBatches(by=["user"], measures=measures, windows=policy, event_time="at")
    find = FindRising(["top:n"], pane=policy, width=4, half_life="10s", least=0)
    rows = beam.ParDo(Batched()).with_output_types(pa.RecordBatch)
    return lambda pairs: pairs | rows | measure | find | beam.Map(lambda trend: (trend.key, trend))


def word_counts(policy: WindowPolicy) -> Any:
    return lambda pairs: (
        pairs
        | beam.MapTuple(lambda key, number: Text(f"{key} saw {number} and {key}"))
        | beam.FlatMap(words_of).with_output_types(str)
        | ApplyWindow(policy)
        | CountByValue()
        | DescribeCounts()
        | beam.Map(lambda count: (count.word, count))
    )


def deduplicated(policy: WindowPolicy) -> Any:
    seen = DeduplicateApproximately(1000, error=1e-6, key=lambda pair: f"{pair[0]} {pair[1]}")
    return lambda pairs: (pairs | ApplyWindow(policy) | seen).fresh


def balance(changes: list[tuple[Any, int]]) -> Counter[Any]:
    """What was told and not withdrawn."""
    told: Counter[Any] = Counter()
    for value, sign in changes:
        told[value] += sign
    return +told


def sum_per_key() -> beam.PTransform:
    return beam.CombinePerKey(sum).with_output_types(tuple[str, int])


CASES = {
    "Distinct": Case(keyed(lambda: Distinct.PerKey(0.05)), (SHORT, EARLY, SLIDING, SESSIONS, ALL)),
    "Top": Case(keyed(lambda: Top.PerKey(3, capacity=50)), (SHORT, COUNTED, SLIDING, SESSIONS)),
    "Frequency": Case(keyed(lambda: Frequency.PerKey(1, 2, 99)), (SHORT, EARLY, SLIDING, DAYS)),
    "Quantiles": Case(
        lambda policy: lambda pairs: many_numbers(pairs) | ApplyWindow(policy) | Quantiles.PerKey(0.1, 0.5, error=0.05),
        (SHORT, EARLY, SLIDING, SESSIONS),
        {"equal": overlap},
    ),
    "LogQuantiles": Case(keyed(lambda: LogQuantiles.PerKey(0.1, 0.5)), (SHORT, EARLY, SESSIONS, DAYS)),
    "Spread": Case(keyed(Spread.PerKey), (SHORT, EARLY, SLIDING, SESSIONS), {"equal": near}),
    "Ranking": Case(keyed(lambda: Ranking.PerKey("largest", 3)), (SHORT, COUNTED, SLIDING, SESSIONS)),
    "Membership": Case(
        keyed(lambda: Membership.PerKey(100), beam.MapTuple(lambda key, bloom: (key, bloom.to_bytes()))),
        (SHORT, EARLY, SLIDING, CLOSED),
    ),
    "Similarity": Case(
        keyed(Similarity.PerKey, beam.MapTuple(lambda key, minhash: (key, minhash.to_bytes()))),
        (SHORT, EARLY, SLIDING, SESSIONS),
    ),
    "NearDuplicates": Case(texts, (SHORT, SLIDING, CLOSED, DAYS), {"final": lambda told: sorted(set(told))}),
    "MeasureBatches": Case(measured("answers"), (SHORT, EARLY, SLIDING, DAYS)),
    "MeasureBatches to batches": Case(measured("batches"), (SHORT, SLIDING, CLOSED, DAYS), {"final": last}),
    "FindRising": Case(
        rising,
        (("2s, lateness 30s, accumulating", 30), ("2s, accumulating", 20)),
        {"final": lambda told: sorted(told, key=lambda trend: trend.item)},
    ),
    "CountByValue": Case(keyed(CountByValue), (SHORT, COUNTED, SLIDING, SESSIONS, DISCARDING, DAYS, ALL)),
    "word counts": Case(word_counts, (SHORT, EARLY, SESSIONS, DAYS), {"final": last}),
    "DeduplicateApproximately": Case(deduplicated, (SHORT, CLOSED, DISCARDING, DAYS), {"repeats": True}),
    "ReduceByKeyAndWindow": Case(
        lambda policy: lambda pairs: pairs | ReduceByKeyAndWindow(lambda a, b: a + b, window=policy),
        (SLIDING,),
        {"final": last},
    ),
    "ReduceByKeyAndWindow with an inverse": Case(
        lambda policy: (
            lambda pairs: pairs | ReduceByKeyAndWindow(lambda a, b: a + b, lambda a, b: a - b, window=policy)
        ),
        (SLIDING,),
        {"final": last},
    ),
    # Not by the clock: only the runner of stories answers again, by it, for windows that are over.
    "AwaitFinal": Case(keyed(sum_per_key, AwaitFinal()), (SHORT, COUNTED, SLIDING, DAYS)),
    "Retract": Case(keyed(sum_per_key, Retract()), (SHORT, COUNTED, SLIDING, DAYS), {"final": balance}),
    "Gate": Case(
        lambda policy: (
            lambda pairs: (pairs | Gate(policy, FromTimers(shards=1))).in_time | ApplyWindow(policy) | sum_per_key()
        ),
        (SHORT, EARLY, SLIDING, DISCARDING, DAYS),
        late=lambda policy: lambda pairs: (pairs | Gate(policy, FromTimers(shards=1))).late,
    ),
}


def tell_schedules(case: Case, policies: Sequence[tuple[str, int]], schedules: int, seed: int) -> None:
    """That many schedules, shared out among policies."""
    for text, span in policies:
        policy = WindowPolicy.parse(text)
        transform, late = case.build(policy), case.late and case.late(policy)
        check_batch_equals_stream(
            transform,
            pairs(24, span, seed),
            policy,
            late_dropped=late or False,
            schedules=schedules // len(policies),
            seed=seed,
            **case.check,
        )


@pytest.mark.parametrize("name", CASES)
def test_a_stream_tells_what_a_batch_tells(name: str) -> None:
    tell_schedules(CASES[name], CASES[name].policies[:2], schedules=10, seed=0)


@pytest.mark.schedules
@pytest.mark.parametrize("name", CASES)
def test_a_stream_tells_what_a_batch_tells_on_200_schedules(name: str) -> None:
    tell_schedules(CASES[name], CASES[name].policies, schedules=200, seed=1)

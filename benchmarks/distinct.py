"""Distinct users for each key and window: columnar, item by item, and Beam's own, on the same events.

    python -m benchmarks.distinct --events 1000000 --keys 10

All run on the in-process runner, interleaved; CPU seconds of whole pipelines less those of a pipeline that only makes
the events. Items are timed on a tenth of the events and scaled, because they are slow.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.stats import ApproximateUnique
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from transforms.columnar import MeasureBatches
from transforms.combining import SketchCombineFn
from transforms.distinct import Distinct
from transforms.measures import Measure
from transforms.sketches import HyperLogLog
from transforms.windowing import WindowPolicy

_ROWS = 10_000
_RUNS = 5
_SECONDS_A_MILLION = 60  # of event time: twelve windows of 5 s


def batches(_: Any, events: int, keys: int) -> Iterator[pa.RecordBatch]:
    """Record batches in order of event time."""
    chance = np.random.default_rng(0)
    step = _SECONDS_A_MILLION * _ROWS  # microseconds, so that a million events take their time
    for number in range(events // _ROWS):
        times = number * step + np.sort(chance.integers(0, step, _ROWS))
        columns = [times, chance.integers(0, keys, _ROWS), chance.integers(0, 1_000_000, _ROWS)]
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], ["at", "key", "user"])


def with_times(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same batch, its times as Arrow has them."""
    return batch.set_column(0, "at", batch.column(0).cast(pa.timestamp("us", tz="UTC")))


def rows(batch: pa.RecordBatch) -> Iterator[TimestampedValue]:
    """The events of a batch, one by one."""
    columns = [column.to_pylist() for column in batch.columns]
    return (TimestampedValue((key, user), at / 1e6) for at, key, user in zip(*columns, strict=True))


def columnar(source: beam.PCollection) -> beam.PCollection:
    """Whole batches."""
    measures = {"users": Measure("user", SketchCombineFn(partial(HyperLogLog, 12), HyperLogLog.estimate))}
    policy = WindowPolicy("5s")
    return (
        source | beam.Map(with_times) | MeasureBatches(by=["key"], measures=measures, windows=policy, event_time="at")
    )


def by_item(source: beam.PCollection, question: Callable[[], beam.PTransform]) -> beam.PCollection:
    """One event after the other."""
    return source | beam.FlatMap(rows) | beam.WindowInto(FixedWindows(5)) | question()


WAYS: dict[str, tuple[Callable[[beam.PCollection], Any], int]] = {
    "columnar": (columnar, 1),
    "Distinct.PerKey, item by item": (partial(by_item, question=lambda: Distinct.PerKey(error=0.032)), 10),
    "CombinePerKey(HyperLogLog), item by item": (
        partial(by_item, question=lambda: beam.CombinePerKey(_OneByOne())), 10),
    "Beam's ApproximateUnique": (partial(by_item, question=lambda: ApproximateUnique.PerKey(error=0.032)), 10),
}  # fmt: skip


class _OneByOne(beam.CombineFn):
    """A CombineFn as one would write it: each item is added when it comes."""

    def create_accumulator(self) -> HyperLogLog:
        return HyperLogLog(12)

    def add_input(self, accumulator: HyperLogLog, item: Any) -> HyperLogLog:
        accumulator.add(item)
        return accumulator

    def merge_accumulators(self, accumulators: Any) -> HyperLogLog:
        total = HyperLogLog(12)
        for accumulator in accumulators:
            total.merge(accumulator)
        return total

    def extract_output(self, accumulator: HyperLogLog) -> float:
        return float(accumulator.estimate())


def cpu_seconds(way: Callable[[beam.PCollection], Any], events: int, keys: int) -> float:
    """CPU of one pipeline, in all threads of this process."""
    begin = time.process_time()
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        way(pipeline | beam.Impulse() | beam.FlatMap(batches, events, keys))
    return time.process_time() - begin


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10)
    given = parser.parse_args()
    runs: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(_RUNS):
        for name, (way, share) in WAYS.items():
            events = given.events // share
            source = cpu_seconds(lambda batches: batches | beam.Map(len), events, given.keys)
            runs[name].append((cpu_seconds(way, events, given.keys) - source) * share)
    versions = f"Python {platform.python_version()}, Beam {version('apache-beam')}, numpy {np.__version__}"
    print(f"{versions}; {os.cpu_count()} cores")
    print(f"{given.events:,} events, {given.keys:,} keys, windows of 5 s, 4,096 registers; medians of {_RUNS}")
    least = statistics.median(runs["columnar"])
    for name, figures in runs.items():
        median = statistics.median(figures)
        print(f"  {name:42} {median:8.2f} CPU s ({min(figures):.2f} to {max(figures):.2f}) {median / least:7.1f} x")


if __name__ == "__main__":
    main()

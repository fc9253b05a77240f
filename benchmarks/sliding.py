"""Sums over windows that slide: from panes, by Beam's SlidingWindows, and by PySpark's reduceByKeyAndWindow.

    python -m benchmarks.sliding --events 1000000 --keys 10000 --window 24h/10s

CPU seconds of whole pipelines on the in-process runner, less those of a pipeline that only makes the events. What tells
every window gives some 170 million answers here, so it is timed on the events of a few keys and scaled by keys; Beam's
own on those of one key, where its answers are checked to be ours.

With PySpark installed, its DStreams are timed as well (`--spark-batches`; Java processes and workers counted): batches
follow the clock there, so the cost of a slide is measured with all keys in state and multiplied by how many there are.
It does not depend on the size of the window, because the inverse is given; each slide gives all keys.
"""

from __future__ import annotations

import argparse
import importlib.util
import operator
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
from apache_beam.transforms.window import TimestampedValue

from transforms.slides import Tell
from transforms.sliding import ReduceByKeyAndWindow
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import Sliding, parse_window

_DAY = 86_400
_FEW = 100  # keys, where every window is told
Pairs: TypeAlias = beam.PCollection


def events(_: Any, count: int, keys: int, among: int) -> Iterator[TimestampedValue]:
    """The events of a day, in order, that belong to the first keys among all."""
    chance = np.random.default_rng(0)
    rows = 10_000
    for number in range(count // rows):
        times = (number + np.sort(chance.random(rows))) * _DAY * rows / count
        owners = chance.integers(0, among, rows)
        for owner, at in zip(owners[owners < keys].tolist(), times[owners < keys].tolist(), strict=True):
            yield TimestampedValue((owner, 1), at)


def from_panes(pairs: Pairs, window: Sliding, tell: Tell, inverse: Callable[[int, int], int] | None) -> Pairs:
    """Ours."""
    return pairs | ReduceByKeyAndWindow(operator.add, inverse, window=window, tell=tell)


def by_copies(pairs: Pairs, window: Sliding) -> Pairs:
    """Beam's."""
    return pairs | ApplyWindow(WindowPolicy(window)) | beam.CombinePerKey(sum)


class _Digest(beam.CombineFn):
    """How many answers, and a sum of hashes of them with their windows."""

    def create_accumulator(self) -> tuple[int, int]:
        return 0, 0

    def add_input(self, accumulator: tuple[int, int], item: Any) -> tuple[int, int]:
        return accumulator[0] + 1, (accumulator[1] + hash(item)) % 2**61

    def merge_accumulators(self, accumulators: Any) -> tuple[int, int]:
        counts, digests = zip(*accumulators, strict=True)
        return sum(counts), sum(digests) % 2**61

    def extract_output(self, accumulator: tuple[int, int]) -> tuple[int, int]:
        return accumulator


def _placed(answer: tuple[int, int], window: Any = beam.DoFn.WindowParam) -> tuple[int, int, int]:
    return window.end.micros, *answer


def _keep(digest: tuple[int, int], path: str) -> None:
    Path(path).write_text(repr(digest), encoding="utf-8")


def digest(way: Callable[[Pairs], Pairs], count: int, keys: int, among: int) -> tuple[int, int]:
    """What a way answers."""
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "digest")
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            told = way(_events(pipeline, count, keys, among)) | "Place" >> beam.Map(_placed)
            whole = told | beam.WindowInto(beam.window.GlobalWindows()) | beam.CombineGlobally(_Digest())
            _ = whole | "Keep" >> beam.Map(_keep, path)
        answers, hashed = map(int, Path(path).read_text(encoding="utf-8").strip("()").split(", "))
    return answers, hashed


def cpu_seconds(way: Callable[[Pairs], Any], count: int, keys: int, among: int) -> float:
    """CPU of one pipeline, in all threads of this process."""
    begin = time.process_time()
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        way(_events(pipeline, count, keys, among))
    return time.process_time() - begin


def _events(pipeline: beam.Pipeline, count: int, keys: int, among: int) -> Pairs:
    made = pipeline | beam.Impulse() | beam.FlatMap(events, count, keys, among)
    return made | "Pairs" >> beam.Map(lambda pair: pair).with_output_types(tuple[int, int])


def tree_cpu_seconds(root: int) -> float:
    """CPU of a process and all that it started."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        process = int(stat.parent.name)
        parents[process], ticks[process] = int(fields[1]), sum(map(int, fields[11:15]))
    family = {root}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks.get(process, 0) for process in family) / os.sysconf("SC_CLK_TCK")


def spark_seconds_a_slide(count: int, keys: int, slides: int, batches: int) -> tuple[float, float]:
    """CPU seconds of a slide and the keys that each gives, once as many events leave the window as enter it."""
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415  only where it is installed
    from pyspark.streaming import StreamingContext  # noqa: PLC0415

    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {"spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.default.parallelism": "2"}
    context = SparkContext(conf=SparkConf().setMaster("local[2]").setAppName("sliding").setAll(list(settings.items())))
    context.setLogLevel("ERROR")
    seconds = 3.0  # between batches: more than one takes, so that none waits for another
    streaming = StreamingContext(context, seconds)
    streaming.checkpoint(tempfile.mkdtemp())
    chance = np.random.default_rng(0)
    first = [(key, 1) for key in range(keys)]
    queue = [first] + [[(key, 1) for key in chance.integers(0, keys, count // slides).tolist()] for _ in range(batches)]
    done: list[tuple[float, int]] = []
    pairs = streaming.queueStream([context.parallelize(batch, 2) for batch in queue])
    reduced = pairs.reduceByKeyAndWindow(operator.add, operator.sub, 5 * seconds, seconds, 2)
    reduced.foreachRDD(lambda rdd: done.append((rdd.count(), tree_cpu_seconds(os.getpid()))[::-1]))
    streaming.start()
    while len(done) < batches:
        time.sleep(0.1)
    streaming.stop(stopSparkContext=True, stopGraceFully=False)
    warm = batches // 2
    return (done[batches - 1][0] - done[warm - 1][0]) / (batches - warm), statistics.median(n for _, n in done[warm:])


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--window", type=parse_window, default=Sliding(_DAY, 10))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--spark-batches", type=int, default=40, help="0 leaves PySpark out")
    given = parser.parse_args()
    window: Sliding = given.window
    short = Sliding(window.size / 24, window.period)
    count, keys = given.events, given.keys
    ours = from_panes
    ways: dict[str, tuple[Callable[[Pairs], Any], int]] = {
        f"changes, {window}, subtracting": (lambda pairs: ours(pairs, window, "changes", operator.sub), keys),
        f"changes, {window}, two stacks": (lambda pairs: ours(pairs, window, "changes", None), keys),
        f"changes, {short}, subtracting": (lambda pairs: ours(pairs, short, "changes", operator.sub), keys),
        f"every window, {window}, subtracting": (lambda pairs: ours(pairs, window, "every window", operator.sub), _FEW),
        f"Beam's SlidingWindows, {window}": (lambda pairs: by_copies(pairs, window), 1),
    }
    answers = digest(lambda pairs: ours(pairs, window, "every window", operator.sub), count, 1, keys)
    theirs = digest(lambda pairs: by_copies(pairs, window), count, 1, keys)
    if answers != theirs:
        raise SystemExit(f"the answers differ: {answers} from panes, {theirs} by Beam")
    versions = f"Python {platform.python_version()}, Beam {version('apache-beam')}; {os.cpu_count()} cores"
    print(f"{versions}; {count:,} events of a day, {keys:,} keys; medians of {given.runs}")
    print(f"one key: {answers[0]:,} windows, all equal to Beam's")
    runs: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(given.runs):
        for name, (way, share) in ways.items():
            source = cpu_seconds(lambda pairs: pairs | beam.Map(len), count, share, keys)
            runs[name].append((cpu_seconds(way, count, share, keys) - source) * keys / share)
    least = statistics.median(next(iter(runs.values())))
    for name, figures in runs.items():
        median, share = statistics.median(figures), ways[name][1]
        scaled = f"of {share} of the keys, scaled" if share < keys else ""
        spread = f"({min(figures):,.1f} to {max(figures):,.1f})"
        print(f"  {name:40} {median:12,.1f} CPU s {spread} {median / least:9,.1f} x {scaled}")
    if given.spark_batches and importlib.util.find_spec("pyspark"):
        slides = round((_DAY + window.size) / window.period)
        one, told = spark_seconds_a_slide(count, keys, round(_DAY / window.period), given.spark_batches)
        name = f"PySpark {version('pyspark')}, every key a slide"
        total, slide = one * slides, f"{one:.2f} s a slide of {told:,.0f} keys, scaled"
        print(f"  {name:40} {total:12,.1f} CPU s {total / least:9,.1f} x {slide}")


if __name__ == "__main__":
    main()

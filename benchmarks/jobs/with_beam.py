"""Beam as one would write it: one event after the other, with Beam's own aggregations and with DataSketches' sketches.

It does a sixtieth of the events: those of two windows of 5 s, as dense as all of them. Figures are scaled,
which takes a million events or more to mean something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib.metadata import version
from operator import itemgetter
from pathlib import Path
from typing import Any

import apache_beam as beam
import datasketches
import pyarrow as pa
from apache_beam.transforms.stats import ApproximateQuantilesCombineFn, ApproximateUnique
from apache_beam.transforms.window import TimestampedValue

from benchmarks.jobs.jobs import COLUMNS, JOBS, QUANTILES, TOP, Way
from benchmarks.jobs.reading import ReadBatches
from benchmarks.jobs.writing import WriteRows
from transforms.windowing import ApplyWindow, WindowPolicy

_SHARE = 60
_PRECISION = 12  # 4,096 registers


class SketchFn(beam.CombineFn):
    """A CombineFn as one would write it around a sketch of DataSketches: each item is added when it comes."""

    def __init__(self, new: Callable[[], Any], answer: Callable[[Any], Any], coder: beam.coders.Coder) -> None:
        super().__init__()
        self._new = new
        self._answer = answer
        self._coder = coder

    def create_accumulator(self) -> Any:
        return self._new()

    def add_input(self, accumulator: Any, item: Any) -> Any:
        accumulator.update(item)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        total = self._new()
        for accumulator in accumulators:
            total.merge(accumulator)
        return total

    def extract_output(self, accumulator: Any) -> Any:
        return self._answer(accumulator)

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return self._coder


class UnionFn(SketchFn):
    """The same for HyperLogLog, which another class merges."""

    def merge_accumulators(self, accumulators: Iterable[Any]) -> Any:
        union = datasketches.hll_union(_PRECISION)
        for accumulator in accumulators:
            union.update(accumulator)
        return union.get_result()


class BytesCoder(beam.coders.Coder):
    """A sketch as DataSketches' own bytes, since its objects do not pickle."""

    def __init__(self, kind: type[Any], serialize: str) -> None:
        self._kind = kind
        self._serialize = serialize

    def encode(self, value: Any) -> bytes:
        encoded: bytes = getattr(value, self._serialize)()
        return encoded

    def decode(self, encoded: bytes) -> Any:
        return self._kind.deserialize(encoded)

    def is_deterministic(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BytesCoder) and self._kind is other._kind

    def __hash__(self) -> int:
        return hash(self._kind)


def _hll() -> UnionFn:
    kind = datasketches.hll_sketch
    return UnionFn(partial(kind, _PRECISION), _estimate_of, BytesCoder(kind, "serialize_compact"))


def _estimate_of(sketch: Any) -> float:
    return float(sketch.get_estimate())


def _kll() -> SketchFn:
    kind = datasketches.kll_doubles_sketch
    return SketchFn(partial(kind, 200), _quantiles_of, BytesCoder(kind, "serialize"))


def _quantiles_of(sketch: Any) -> tuple[float, ...]:
    return tuple(sketch.get_quantiles(list(QUANTILES)))


def _frequent() -> SketchFn:
    kind = datasketches.frequent_strings_sketch
    return SketchFn(partial(kind, 11), _top_of, BytesCoder(kind, "serialize"))


def _top_of(sketch: Any) -> list[tuple[str, int]]:
    items = sketch.get_frequent_items(datasketches.frequent_items_error_type.NO_FALSE_NEGATIVES)
    return [(word, count) for word, count, _, _ in items[:TOP]]


def _percentiles() -> beam.CombineFn:
    return ApproximateQuantilesCombineFn.create(101)  # smallest, 1 %, 2 % ... largest


def _p50_p99(percentiles: list[float]) -> tuple[float, float]:
    return percentiles[50], percentiles[99]


@beam.ptransform_fn
def _per_window(latencies: beam.PCollection, combine_fn: beam.CombineFn) -> beam.PCollection:
    return latencies | beam.CombineGlobally(combine_fn).without_defaults()


@beam.ptransform_fn
def _percentiles_per_window(latencies: beam.PCollection) -> beam.PCollection:
    percentiles = latencies | _per_window(ApproximateQuantilesCombineFn.create(101))  # smallest, 1 %, 2 % ... largest
    return percentiles | beam.Map(itemgetter(50, 99))


@beam.ptransform_fn
def _largest_counts(words: beam.PCollection) -> beam.PCollection:
    counts = words | beam.combiners.Count.PerElement()
    return counts | beam.combiners.Top.Of(TOP, key=itemgetter(1)) | beam.FlatMap(iter)


@beam.ptransform_fn
def _frequent_words(words: beam.PCollection) -> beam.PCollection:
    return words | beam.CombineGlobally(_frequent()) | beam.FlatMap(iter)


WAYS = [
    Way("J1", "Count", beam.combiners.Count.PerElement(), share=_SHARE),
    *(
        Way(job, name, transform, "rms", 0.0163, _SHARE)
        for job in ("J2a", "J2b", "J2h", "J2s")
        for name, transform in (
            ("CombineFn, DataSketches HLL", beam.CombinePerKey(_hll())),
            ("ApproximateUnique", ApproximateUnique.PerKey(error=0.032)),
        )
    ),
    Way("J3", "CombineFn, DataSketches KLL", _per_window(_kll()), "rank", 0.0133, _SHARE),
    Way("J3", "ApproximateQuantiles", _percentiles_per_window(), "rank", 0.01, _SHARE),
    Way("J4", "CombineFn, DataSketches frequent items", _frequent_words(), "share", 1 / 1536, _SHARE),
    Way("J4", "Count, Top", _largest_counts(), share=_SHARE),
]


class System:
    """Does the jobs on a file of events."""

    def __init__(self, path: Path, events: int) -> None:
        self._path = path
        self._events = events // _SHARE

    def versions(self) -> str:
        """What it runs on."""
        return f"Beam {version('apache-beam')} FnApiRunner, DataSketches {version('datasketches')}"

    def answer(self, way: Way, folder: Path) -> None:
        """Writes the answers of a way into a folder."""
        self._run(way, folder, self._events)

    def idle(self, way: Way, folder: Path) -> None:
        """The same without an event: what is not to be scaled."""
        self._run(way, folder, 0)

    def _run(self, way: Way, folder: Path, events: int) -> None:
        job = JOBS[way.job]
        windowed = job.window != "all"
        columns = [*(["time"] if windowed else []), *([job.key] if job.key else []), job.column]
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            items = pipeline | "Read" >> ReadBatches(self._path, columns, events)
            items = items | "Items" >> beam.FlatMap(_timed_items if windowed else _items)
            if windowed:
                items = items | "Window" >> ApplyWindow(WindowPolicy(job.window))
            _ = items | "Answer" >> way.ask | "Write" >> beam.ParDo(WriteRows(folder, COLUMNS[job.question]))


def _items(batch: pa.RecordBatch) -> Iterator[Any]:
    """Values one by one, or keys and values."""
    columns = [column.to_pylist() for column in batch.columns]
    return iter(columns[0]) if len(columns) == 1 else zip(*columns, strict=True)


def _timed_items(batch: pa.RecordBatch) -> Iterator[TimestampedValue]:
    """The same with their event times, which are the first column."""
    seconds = (batch.column(0).cast(pa.int64()).to_numpy() / 1e6).tolist()
    return map(TimestampedValue, _items(batch.select(batch.schema.names[1:])), seconds)

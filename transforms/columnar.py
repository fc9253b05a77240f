"""Measures over Arrow record batches: the same sketches as one by one, many rows and many keys at a time.

Event time is a column. Rows are grouped by pane and key with whole arrays, the sketches of all keys lie side by side in
columns, and one partial for each pane and shard of a bundle is shuffled: many times quicker than item by item.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from numpy.typing import NDArray

from transforms.combining import SketchCombineFn
from transforms.grouping import Parts, flattened, together
from transforms.measures import Measure
from transforms.partials import Partial, UnitePartials
from transforms.sketches import SketchColumn, sketch_column
from transforms.windowing import ApplyWindow, WindowPolicy, window_bounds
from transforms.windows import AllTime, Fixed, to_micros

_ROWS_TOGETHER = 2**19  # of a bundle, grouped at once
_SHARDS_OF_ALL_TIME = 8
_TIME = pa.timestamp("us", tz="UTC")
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
Key: TypeAlias = tuple[Any, ...]  # the values of the key columns
Output: TypeAlias = Literal["answers", "batches"]


@dataclass(eq=False, kw_only=True)
class MeasureBatches(beam.PTransform):
    """Several answers for each pane and key, in one pass: PCollection[RecordBatch] -> PCollection[tuple[Key, dict]].

    A key is the tuple of the values of the columns `by`, nulls as None; the dict has the answer of each measure by its
    name. Panes are those of `windows`, by the column `event_time` (a timestamp; nulls fail the step, reject them
    before). A measure of a list column takes each item of the lists; nulls do not count.

    With `output="batches"` -> PCollection[RecordBatch], one for each pane and shard, a row a key: many keys cost
    little more than few. Its columns are those of `by`, `window_start` and `window_end` (null where time is left
    whole), and one for each measure: counts int64, other numbers float64, an Estimate a struct of value, low, high
    and confidence, quantiles a list of such structs with the rank `q`, frequent items one with the `item`, sketches
    their sealed bytes.

    Batches may hold any order of event times and any number of panes. Their element timestamps should be that of their
    earliest event that is not late.

    Keys are hashed into `shards`, and a shard and pane is one group to Beam, to which each group costs half a
    millisecond however small it is. One shard is the cheapest up to some 100,000 keys a pane; more of them let several
    workers merge one pane, and where a pane fires again, which tells all keys of the shard again, tell fewer. Left out,
    there is one a pane, and 8 where time is left whole.
    """

    by: Sequence[str]
    measures: Mapping[str, Measure]
    windows: WindowPolicy
    event_time: str
    shards: int | None = None
    output: Output = "answers"

    def __post_init__(self) -> None:
        super().__init__()
        if self.shards is not None and self.shards < 1:
            raise ValueError(f"shards must be at least 1, got {self.shards}")
        if not self.measures:
            raise ValueError("there must be at least one measure; for example {'n': Measure(None, count())}")
        if not self.windows.window.PANES:
            raise ValueError(
                f"batches are measured in panes, which windows of {self.windows.window} do not have: "
                "measure their records one by one"
            )
        if self.windows.counts_records:
            raise ValueError(
                f"batches cannot answer early {self.windows.early}: many records come as one; use a time, as every 5s"
            )
        if self.output not in get_args(Output):
            raise ValueError(f"output must be one of {', '.join(get_args(Output))}, got {self.output!r}")
        names = [*self.by, "window_start", "window_end", *self.measures]
        if self.output == "batches" and len(set(names)) < len(names):
            raise ValueError(f"the columns of a batch must have different names, got {', '.join(names)}: rename some")

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        sketched, asked = _sketched_and_asked(self.measures)
        shards = self.shards or _shards(self.windows)
        partials = batches | "Measure" >> beam.ParDo(
            _MeasureBundle(tuple(self.by), sketched, self.windows, self.event_time, shards)
        )
        merged = partials | "Pane" >> ApplyWindow(self.windows) | "Merge" >> beam.CombinePerKey(UnitePartials())
        if self.output == "batches":
            return merged | "Answer" >> beam.FlatMap(_batch, asked).with_output_types(pa.RecordBatch)
        return merged | "Answer" >> beam.FlatMap(_answers, asked).with_output_types(tuple[Key, dict[str, Any]])


# Which column of sketches answers a measure, and how.
_Asked: TypeAlias = dict[str, tuple[int, SketchCombineFn[Any, Any]]]


def _sketched_and_asked(measures: Mapping[str, Measure]) -> tuple[list[Measure], _Asked]:
    """The measures to sketch, and where each measure finds its sketches: those of a sum and of a mean are the same."""
    sketched: list[Measure] = []
    asked: _Asked = {}
    places: dict[Any, int] = {}
    for name, measure in measures.items():
        empty = measure.combine_fn.make()
        of = measure.column, type(empty), tuple(sorted(empty.parameters.items()))
        if of not in places:
            places[of] = len(sketched)
            sketched.append(measure)
        asked[name] = places[of], measure.combine_fn
    return sketched, asked


@beam.typehints.with_output_types(tuple[int, Partial])
class _MeasureBundle(beam.DoFn):
    """Sketches of the rows of a bundle: (shard, sketches of its keys) for each pane, at the pane's end."""

    def __init__(
        self, by: tuple[str, ...], measures: list[Measure], windows: WindowPolicy, event_time: str, shards: int
    ) -> None:
        self._by = by
        self._measures = measures
        self._windows = windows
        self._event_time = event_time
        self._shards = shards
        self._needed = list(dict.fromkeys([event_time, *by, *(m.column for m in self._measures if m.column)]))

    def start_bundle(self) -> None:
        self._waiting: list[pa.RecordBatch] = []
        self._rows = 0

    def process(self, batch: pa.RecordBatch) -> Iterator[WindowedValue]:
        missing = [name for name in self._needed if name not in batch.schema.names]
        if missing:
            raise ValueError(f"a batch must have the columns {', '.join(missing)}, got {', '.join(batch.schema.names)}")
        self._waiting.append(batch.select(self._needed))
        self._rows += batch.num_rows
        if self._rows >= _ROWS_TOGETHER:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        waiting = [batch for batch in self._waiting if batch.num_rows]
        self.start_bundle()
        if not waiting:
            return
        table = together(waiting)
        parts = Parts.of(table, self._by, self._windows.window.pane_ends(self._times(table)), self._shards)
        columns = zip(*self._columns(table, parts), strict=True)
        for part, sketches in zip(parts.parts, columns, strict=True):
            group = _group(self._windows, part.end) * self._shards + part.shard
            yield WindowedValue((group, Partial(part.keys, sketches)), _last(self._windows, part.end), [GlobalWindow()])

    def _columns(self, table: pa.Table, parts: Parts) -> Iterator[list[SketchColumn]]:
        """For each measure, a column of sketches for each part. What measures share is prepared once."""
        prepared: dict[Any, Any] = {}
        for measure in self._measures:
            empty = measure.combine_fn.make()
            use = measure.column, empty.prepare
            if use not in prepared:
                values, rows = (
                    (pa.nulls(table.num_rows), None)
                    if measure.column is None
                    else flattened(table.column(measure.column).combine_chunks())
                )
                prepared[use] = list(parts.split(empty.prepare(values), rows))
            yield [
                sketch_column(empty, values, keys, part.size)
                for part, (values, keys) in zip(parts.parts, prepared[use], strict=True)
            ]

    def _times(self, table: pa.Table) -> NDArray[np.int64]:
        """Microseconds since 1970."""
        times = table.column(self._event_time)
        if times.null_count:
            raise ValueError(
                f"{times.null_count} rows have no {self._event_time}: reject them before they are measured"
            )
        if not pa.types.is_timestamp(times.type):
            raise ValueError(f"{self._event_time} must be a column of timestamps, got {times.type}: cast it")
        ticks: NDArray[np.int64] = times.cast(pa.int64()).to_numpy()
        return ticks // 1000 if times.type.unit == "ns" else ticks * _MICROS[times.type.unit]


# What depends on how time is cut: these alone.


def _shards(windows: WindowPolicy) -> int:
    """How many shards there are unless it is said: panes are many groups already."""
    return _SHARDS_OF_ALL_TIME if isinstance(windows.window, AllTime) else 1


def _group(windows: WindowPolicy, end: int) -> int:
    """What parts are grouped by beside their shard: windows that have one pane each are told apart by their key, too.

    Beam's runners look at all windows of a key whenever one of them is told, so many must not share one.
    """
    return end // to_micros(windows.window.size) if isinstance(windows.window, Fixed) else 0


def _last(windows: WindowPolicy, end: int) -> Timestamp:
    """The time of a pane's partial: the pane's last moment, which lies in the same windows as all of the pane."""
    return MIN_TIMESTAMP if isinstance(windows.window, AllTime) else Timestamp(micros=end - 1)


def _answers(of_shard: tuple[int, Partial | None], asked: _Asked) -> Iterator[tuple[Key, dict[str, Any]]]:
    if (partial := of_shard[1]) is None:
        return
    answers = [map(combine_fn.answer_of, partial.columns[place]) for place, combine_fn in asked.values()]
    keys = zip(*partial.keys.to_pydict().values(), strict=True) if partial.keys.num_columns else [()]
    for key, *of_key in zip(keys, *answers, strict=True):
        yield key, dict(zip(asked, of_key, strict=True))


def _batch(
    of_shard: tuple[int, Partial | None], asked: _Asked, window: Any = beam.DoFn.WindowParam
) -> Iterator[pa.RecordBatch]:
    if (partial := of_shard[1]) is None:
        return
    size = len(partial.columns[0])
    bounds = [None if bound is None else bound.micros for bound in window_bounds(window)]
    answers = [partial.columns[place].answers(fn.answer or fn.answer_of) for place, fn in asked.values()]
    arrays = [
        *(column.combine_chunks() for column in partial.keys.columns),
        *(pa.repeat(pa.scalar(bound, _TIME), size) for bound in bounds),
        *answers,
    ]
    names = [*partial.keys.column_names, "window_start", "window_end", *asked]
    yield pa.RecordBatch.from_arrays(arrays, names)

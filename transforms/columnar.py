"""Measures over Arrow record batches: the same sketches as one by one, many rows at a time.

Event time is a column. Rows are grouped by pane and key with whole arrays, each group goes into its sketches as one
vector, and one partial for each pane and key of a bundle is shuffled: some 25 times quicker than item by item.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from numpy.typing import NDArray

from transforms.measures import Measure
from transforms.sketches import Sketch, load
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import AllTime

_ROWS_TOGETHER = 2**20  # of a bundle, grouped at once
Key: TypeAlias = tuple[Any, ...]  # the values of the key columns


@dataclass(eq=False, kw_only=True)
class MeasureBatches(beam.PTransform):
    """Several answers for each pane and key, in one pass: PCollection[RecordBatch] -> PCollection[tuple[Key, dict]].

    A key is the tuple of the values of the columns `by`, nulls as None; the dict has the answer of each measure by its
    name. Panes are those of `windows`, by the column `event_time` (a timestamp; nulls fail the step, reject them
    before). A measure of a list column takes each item of the lists; nulls do not count.

    Batches may hold any order of event times and any number of panes. Their element timestamps should be that of their
    earliest event that is not late.

    Keys are hashed into `shards`, and a shard and pane is one group to Beam, to which each group costs half a
    millisecond however small it is. A pane that fires again tells all keys of the shard again.
    """

    by: Sequence[str]
    measures: Mapping[str, Measure]
    windows: WindowPolicy
    event_time: str
    shards: int = 32

    def __post_init__(self) -> None:
        super().__init__()
        if self.shards < 1:
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

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        partials = batches | "Measure" >> beam.ParDo(
            _MeasureBundle(tuple(self.by), dict(self.measures), self.windows, self.event_time, self.shards)
        )
        return (
            partials
            | "Pane" >> ApplyWindow(self.windows)
            | "Merge" >> beam.CombinePerKey(_MergeKeys())
            | "Answer" >> beam.FlatMap(_answers, dict(self.measures)).with_output_types(tuple[Key, dict[str, Any]])
        )


# The sealed sketches of each key, in the order of the measures; keys are bytes, since 1 and True are one to a dict.
_Keys: TypeAlias = dict[bytes, list[bytes]]


@beam.typehints.with_output_types(tuple[int, _Keys])
class _MeasureBundle(beam.DoFn):
    """Sketches of the rows of a bundle: (shard, sketches of its keys) for each pane, at the pane's end."""

    def __init__(
        self, by: tuple[str, ...], measures: dict[str, Measure], windows: WindowPolicy, event_time: str, shards: int
    ) -> None:
        self._shards = shards
        self._by = by
        self._measures = measures
        self._window = windows.window
        self._event_time = event_time
        self._needed = list(dict.fromkeys([event_time, *by, *(m.column for m in measures.values() if m.column)]))

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
        tables = [pa.Table.from_batches([batch]) for batch in waiting]
        table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
        groups = _Groups.of(table, self._by, self._panes(table))
        sketches = [_sketch_groups(measure, table, groups) for measure in self._measures.values()]
        partials: dict[tuple[int, int], _Keys] = {}
        for group, (pane, key) in enumerate(groups.names):
            encoded = _KEY_CODER.encode(key)
            shard = zlib.crc32(encoded) % self._shards
            partials.setdefault((pane, shard), {})[encoded] = [of_measure[group].to_bytes() for of_measure in sketches]
        for (pane, shard), keys in partials.items():
            # The last moment of its pane, which lies in the same windows as all of the pane.
            time = MIN_TIMESTAMP if isinstance(self._window, AllTime) else Timestamp(micros=pane - 1)
            yield WindowedValue((shard, keys), time, [GlobalWindow()])

    def _panes(self, table: pa.Table) -> NDArray[np.int64]:
        """The end of each row's pane, in microseconds."""
        times = table.column(self._event_time)
        if times.null_count:
            raise ValueError(
                f"{times.null_count} rows have no {self._event_time}: reject them before they are measured"
            )
        micros = times.cast(pa.timestamp("us", tz=times.type.tz)).cast(pa.int64()).to_numpy()
        return self._window.pane_ends(micros)


@dataclass(frozen=True)
class _Groups:
    """Rows by pane and key: the group of each row, and what each group is."""

    of_row: NDArray[np.intp]
    names: list[tuple[int, Key]]

    @classmethod
    def of(cls, table: pa.Table, by: tuple[str, ...], panes: NDArray[np.int64]) -> _Groups:
        present, of_row = np.unique(panes, return_inverse=True)
        names: list[tuple[int, Key]] = [(pane, ()) for pane in present.tolist()]
        for column in by:
            encoded = table.column(column).combine_chunks().dictionary_encode(null_encoding="encode")
            values, codes = encoded.dictionary.to_pylist(), encoded.indices.to_numpy(zero_copy_only=False)
            combined, of_row = np.unique(of_row * len(values) + codes, return_inverse=True)
            before, value = np.divmod(combined, len(values))
            names = [
                (names[group][0], (*names[group][1], values[code]))
                for group, code in zip(before.tolist(), value.tolist(), strict=True)
            ]
        return cls(of_row, names)

    @cached_property
    def rows_together(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The order that puts the rows of each group side by side, and where each group ends; one for all columns."""
        return self.together(self.of_row)

    def together(self, of_value: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The same for values of which some rows have none, or several."""
        # Groups that fit 16 bits are sorted by counting.
        order = np.argsort(of_value.astype(np.uint16) if len(self.names) <= 2**16 else of_value, kind="stable")
        return order, np.cumsum(np.bincount(of_value, minlength=len(self.names)))


def _sketch_groups(measure: Measure, table: pa.Table, groups: _Groups) -> list[Sketch]:
    """One sketch a group, each of which takes its rows as one vector."""
    sketches = [measure.combine_fn.make() for _ in groups.names]
    values, of_value = _values(measure.column, table, groups.of_row)
    order, bounds = groups.rows_together if of_value is groups.of_row else groups.together(of_value)
    if len(values):
        values = sketches[0].prepare(values).take(pa.array(order))
    start = 0
    for sketch, end in zip(sketches, bounds.tolist(), strict=True):
        if end > start:
            sketch.add_many(values.slice(start, end - start))
        start = end
    return sketches


def _values(column: str | None, table: pa.Table, of_row: NDArray[np.intp]) -> tuple[pa.Array, NDArray[np.intp]]:
    """The values of a column without nulls, lists taken apart, and the group of each."""
    if column is None:
        return pa.nulls(table.num_rows), of_row
    values = table.column(column).combine_chunks()
    while (
        pa.types.is_list(values.type) or pa.types.is_large_list(values.type) or pa.types.is_fixed_size_list(values.type)
    ):
        of_row = of_row[pc.list_parent_indices(values).to_numpy(zero_copy_only=False)]
        values = pc.list_flatten(values)
    if values.null_count:
        of_row = of_row[values.is_valid().to_numpy(zero_copy_only=False)]
        values = values.drop_null()
    return values, of_row


class _MergeKeys(beam.CombineFn):
    """Merges the sketches of each key."""

    def create_accumulator(self) -> _Keys:
        return {}

    def add_input(self, accumulator: _Keys, keys: _Keys) -> _Keys:
        return self.merge_accumulators([accumulator, keys])

    def merge_accumulators(self, accumulators: Iterable[_Keys]) -> _Keys:
        merged: _Keys = {}
        several: dict[bytes, list[Sketch]] = {}
        for accumulator in accumulators:
            for key, sealed in accumulator.items():
                if key not in merged:
                    merged[key] = sealed
                    continue
                if key not in several:
                    several[key] = [load(one) for one in merged[key]]
                for sketch, other in zip(several[key], sealed, strict=True):
                    sketch.merge(load(other))
        return merged | {key: [sketch.to_bytes() for sketch in sketches] for key, sketches in several.items()}

    def extract_output(self, accumulator: _Keys) -> _Keys:
        return accumulator


_KEY_CODER = beam.coders.FastPrimitivesCoder()


def _answers(of_shard: tuple[int, _Keys], measures: dict[str, Measure]) -> Iterator[tuple[Key, dict[str, Any]]]:
    for key, sealed in of_shard[1].items():
        sketches = zip(measures.items(), map(load, sealed), strict=True)
        answers = {name: measure.combine_fn.answer_of(sketch) for (name, measure), sketch in sketches}
        yield _KEY_CODER.decode(key), answers

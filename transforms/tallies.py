"""How many records each window has, counted in the data itself, whatever runs and whenever they come."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.schemas import EPOCH, EventTime, WrittenFile, micros, register
from transforms.windowing import ForgetTime, window_bounds
from transforms.windows import Fixed, Micros, Sessions, Window

_TOGETHER = 100_000  # records of a bundle that are counted at once at most
_END_OF_TIME = GlobalWindow().max_timestamp().micros
_FOREVER = np.iinfo(np.int64).max  # what AllTime has as bounds
_FIRST, _LAST = micros(datetime.min.replace(tzinfo=UTC)), micros(datetime.max.replace(tzinfo=UTC))


@register
@dataclass(frozen=True, slots=True)
class Tally:
    """How many records a window has, for AccountByWindow. Times are microseconds, as in `transforms.windows`."""

    start: int
    end: int
    records: int


@register
@dataclass(frozen=True, slots=True)
class Aside:
    """Why a record was put aside: the last window that would have held it was over, or has not come yet.

    `met` is the watermark that a late record met, and for one from the future what time it was. A window without bounds
    has none here.
    """

    event_time: EventTime
    window_start: datetime | None
    window_end: datetime | None
    met: datetime


class CountByWindow(beam.PTransform):
    """How many records fall into each window, for AccountByWindow: PCollection[T] -> PCollection[Tally].

    A record counts once, by its event time, in the last window that holds it; where windows are sessions, of which
    nobody knows the bounds before their end, in the piece of time, as long as their gap, that holds it. What a Gate put
    aside counts by the event time that it has. With `event_time`, the name of a column, the rows of Arrow record
    batches count. A record without a time counts in no window.
    """

    def __init__(self, window: Window, event_time: str | None = None) -> None:
        super().__init__()
        self._window = window
        self._event_time = event_time

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return (
            records
            | ForgetTime()
            | "Count" >> beam.ParDo(_CountBundle(self._window, self._event_time)).with_output_types(Tally)
        )


class CountWrittenByWindow(beam.PTransform):
    """How many records each file of a windowed sink holds: PCollection[WrittenFile] -> PCollection[Tally].

    Files of sliding windows hold a record more than once, and are no measure of what was used.
    """

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return files | "Records" >> beam.Map(_tally_of_file).with_output_types(Tally)


def event_times(batch: pa.RecordBatch, column: str) -> Micros:
    """The event times of a batch in microseconds; ValueError where there is no such column, or a time is missing."""
    if column not in batch.schema.names:
        raise ValueError(f"a batch must have the column {column}, got {', '.join(batch.schema.names)}")
    times = batch.column(column)
    if times.null_count:
        raise ValueError(f"{times.null_count} rows have no {column}: reject them before")
    in_micros: Micros = times.cast(pa.timestamp("us", tz=times.type.tz)).cast(pa.int64()).to_numpy()
    return in_micros


def tallies_of(window: Window, times: Micros, told: Micros) -> Iterator[WindowedValue]:
    """Tallies of event times, each at the last moment of its window, or when its records were told after that.

    So a tally never comes behind the watermark that its records met; and when a record is told does not follow from
    those that came with it, which are others where a run goes on after a crash.
    """
    starts, ends = (Fixed(window.gap) if isinstance(window, Sessions) else window).last(times)
    at = np.maximum(window.last(times)[1] - 1, told).clip(max=_END_OF_TIME)
    order = np.lexsort((at, starts))
    starts, ends, at = starts[order], ends[order], at[order]
    first = np.flatnonzero(np.r_[True, (starts[1:] != starts[:-1]) | (at[1:] != at[:-1])][: times.size])
    counts = np.diff(first, append=times.size)
    rows = starts[first].tolist(), ends[first].tolist(), counts.tolist(), at[first].tolist()
    for start, end, records, then in zip(*rows, strict=True):
        yield WindowedValue(Tally(start, end, records), Timestamp(micros=then), [GlobalWindow()])


def moment_of(in_micros: int) -> datetime:
    """A time as a date; the first or the last there is, where no calendar has it."""
    return EPOCH + timedelta(microseconds=min(max(in_micros, _FIRST), _LAST))


def bound_of(in_micros: int) -> datetime | None:
    """A bound of a window as a date; None for one window that has no bounds."""
    return None if abs(in_micros) == _FOREVER else moment_of(in_micros)


class _CountBundle(beam.DoFn):
    """Counts the event times of a bundle together."""

    def __init__(self, window: Window, event_time: str | None) -> None:
        self._window = window
        self._event_time = event_time

    def start_bundle(self) -> None:
        self._times = array("q")
        self._told = array("q")

    def process(self, record: Any, told: Timestamp = beam.DoFn.TimestampParam) -> Iterator[WindowedValue]:
        if self._event_time:
            times = event_times(record, self._event_time)
            self._times.frombytes(times.tobytes())
            self._told.frombytes(np.full_like(times, told.micros).tobytes())
        else:
            is_aside = type(record) is tuple and len(record) == 2 and type(record[1]) is Aside
            self._times.append(micros(record[1].event_time) if is_aside else told.micros)
            self._told.append(told.micros)
        if len(self._times) >= _TOGETHER:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        times, told = np.array(self._times, np.int64), np.array(self._told, np.int64)
        self.start_bundle()
        timed = times > MIN_TIMESTAMP.micros
        yield from tallies_of(self._window, times[timed], told[timed])


def _tally_of_file(file: WrittenFile, window: Any = beam.DoFn.WindowParam) -> Tally:
    start, end = window_bounds(window)
    if start is None or end is None:
        return Tally(-_FOREVER, _FOREVER, file.records)
    return Tally(start.micros, end.micros, file.records)

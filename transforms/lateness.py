"""Late and lost: what comes too late, or from the future, goes aside with the window that it missed, and is counted.

A runner drops records whose windows are over, and tells nobody. A gate right after parsing, before any window, lets
through exactly what will not be dropped.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import compress
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow, GlobalWindows
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from numpy.typing import NDArray

from transforms.bundling import InBatches
from transforms.tallies import Aside, Tally, bound_of, event_times, moment_of, tallies_of
from transforms.watermarks import Load, Watermark
from transforms.windowing import WindowPolicy
from transforms.windows import Micros, Window, parse_duration, to_micros

_END_OF_TIME = GlobalWindow().max_timestamp().micros
_GLOBAL = (GlobalWindow(),)
_MOMENT = pa.timestamp("us", tz="UTC")
_ASIDE_COLUMNS = ("window_start", "window_end", "met")
Bounds: TypeAlias = tuple[Micros, Micros]


class Gated(NamedTuple):
    """What a Gate makes of records."""

    in_time: beam.PCollection
    late: beam.PCollection
    future: beam.PCollection
    read: beam.PCollection


class Gate(beam.PTransform):
    """Parts records that are in time from late ones and those from the future: PCollection[T] -> Gated.

    `.in_time` are T, at their event times; put them into the windows of `policy`. `.late` and `.future` are tuple[T,
    Aside]: each with the window that it missed and the watermark, or clock, that it met. They stand at that time, not
    at their own, so that windows after the gate do not drop them again. `.read` are Tallies of all, by window.

    A record is late iff the last window that holds it was over, allowed lateness included, when the watermark that it
    met was told (`watermark`, see `transforms.watermarks`): its end + lateness <= watermark. Sliding windows that are
    over do not take a record for which others wait. Sessions judge a record by itself, before it is merged, as runners
    do: it is late although a session that it would belong to were still open. Nothing is late for one window that never
    ends.

    A record is from the future where its event time is more than `max_future` ahead of `clock`, which gives seconds
    since 1970; such records never move a watermark that follows from the data. By default none is.

    With `event_time`, the name of a column, elements are Arrow record batches. `.in_time` are then batches at the time
    of their earliest row, as MeasureBatches wants them; `.late` and `.future` are batches of the rows that go aside,
    with all their columns, and `window_start`, `window_end` and `met` behind them.

    Raises ValueError where records are in windows already, or have no event time.
    """

    def __init__(
        self,
        policy: WindowPolicy,
        watermark: Watermark,
        *,
        max_future: float | str | None = None,
        clock: Callable[[], float] = time.time,
        event_time: str | None = None,
    ) -> None:
        super().__init__()
        ahead = parse_duration(max_future) if isinstance(max_future, str) else max_future
        if ahead is not None and not ahead >= 0:
            raise ValueError(f"max_future must be at least 0 seconds, got {ahead:g}; leave it out to let all pass")
        self._policy, self._watermark, self._clock = policy, watermark, clock
        self._max_future = None if ahead is None else to_micros(ahead)
        self._content = _Rows(event_time) if event_time else _Records()

    def expand(self, elements: beam.PCollection) -> Gated:
        if not isinstance(elements.windowing.windowfn, GlobalWindows):
            raise ValueError(
                f"a gate must stand before any window, got records in {type(elements.windowing.windowfn).__name__}: "
                "move it to where they are parsed"
            )
        kind: Any = self._watermark.kind_of(elements.element_type)
        aside = self._content.aside_type(kind)
        gather = _Gather(self._watermark, self._content, self._policy.window, self._max_future, self._clock)
        gathered = elements | "Gather" >> beam.ParDo(gather).with_output_types(
            tuple[self._watermark.SHARD, tuple[bytes, bytes, list[kind]]],  # type: ignore[name-defined]
            future=aside,
            read=Tally,
        ).with_outputs("future", "read", main="loads")
        met = self._watermark.meet(gathered.loads, self._policy, kind)
        judged = met | "Judge" >> beam.ParDo(_Judge(self._content, self._policy)).with_output_types(
            kind, late=aside, read=Tally
        ).with_outputs("late", "read", main="in_time")
        read = (gathered.read, judged.read) | "Read" >> beam.Flatten()
        return Gated(judged.in_time, judged.late, gathered.future, read)


class _Content(ABC):
    """What the items of a load are, of which each has a time, or one has all."""

    @abstractmethod
    def aside_type(self, kind: Any) -> Any:
        """The type of what goes aside."""

    @abstractmethod
    def part(self, items: list[Any], chosen: NDArray[np.bool_]) -> list[Any]:
        """The items of some of the times."""

    @abstractmethod
    def in_time(self, items: list[Any], times: Micros) -> Iterator[WindowedValue]:
        """The items at their times."""

    @abstractmethod
    def aside(self, items: list[Any], times: Micros, bounds: Bounds, met: Micros) -> Iterator[WindowedValue]:
        """The items, with the windows that they missed and the times that they met, at those times."""


class _Records(_Content):
    """A record for each time."""

    def aside_type(self, kind: Any) -> Any:
        return tuple[kind, Aside]

    def part(self, items: list[Any], chosen: NDArray[np.bool_]) -> list[Any]:
        return list(compress(items, chosen))

    def in_time(self, items: list[Any], times: Micros) -> Iterator[WindowedValue]:
        for item, at in zip(items, times.tolist(), strict=True):
            yield _told(item, at)

    def aside(self, items: list[Any], times: Micros, bounds: Bounds, met: Micros) -> Iterator[WindowedValue]:
        columns = (column.tolist() for column in (times, *bounds, met))
        for item, at, start, end, then in zip(items, *columns, strict=True):
            yield _told((item, Aside(moment_of(at), bound_of(start), bound_of(end), moment_of(then))), then)


@dataclass(frozen=True)
class _Rows(_Content):
    """One batch, whose rows have the times."""

    event_time: str

    def times(self, batch: pa.RecordBatch) -> Micros:
        taken = [name for name in _ASIDE_COLUMNS if name in batch.schema.names]
        if taken:
            raise ValueError(f"what goes aside gets the column {taken[0]}, but batches have one already: rename it")
        return event_times(batch, self.event_time)

    def aside_type(self, kind: Any) -> Any:
        return kind

    def part(self, items: list[Any], chosen: NDArray[np.bool_]) -> list[Any]:
        return [items[0].filter(pa.array(chosen))]

    def in_time(self, items: list[Any], times: Micros) -> Iterator[WindowedValue]:
        yield _told(items[0], int(times.min()))

    def aside(self, items: list[Any], times: Micros, bounds: Bounds, met: Micros) -> Iterator[WindowedValue]:
        del times
        batch = items[0]
        for name, column in zip(_ASIDE_COLUMNS, (*bounds, met), strict=True):
            endless = np.abs(column) == np.iinfo(np.int64).max
            batch = batch.append_column(name, pa.array(column, _MOMENT, mask=endless))
        for then in np.unique(met).tolist():
            yield _told(batch.filter(pa.array(met == then)), then)


class _Gather(InBatches):
    """Puts the items of a bundle that belong to one shard together, in order, without those from the future."""

    def __init__(
        self,
        watermark: Watermark,
        content: _Content,
        window: Window,
        max_future: int | None,
        clock: Callable[[], float],
    ) -> None:
        self._watermark, self._content, self._window = watermark, content, window
        self._max_future, self._clock = max_future, clock

    def process(self, element: Any, time: Timestamp = beam.DoFn.TimestampParam) -> Iterator[Any]:
        if not isinstance(self._content, _Rows):
            yield from self.wait(element, time, _GLOBAL)
            return
        stamps, items = self._watermark.parted([element])
        if items[0].num_rows:
            times = self._content.times(items[0])
            (shard,) = self._watermark.split([element], times)
            yield from self._load(shard, times, stamps, items)

    def handle(self, elements: list[Any], times: list[Timestamp], window: Any) -> Iterator[Any]:
        del window
        in_micros = np.array([time.micros for time in times])
        if in_micros.min() <= MIN_TIMESTAMP.micros:
            raise ValueError(
                "records must have event times before a gate, got one without: give their type an EventTime"
            )
        for shard, places in self._watermark.split(elements, in_micros).items():
            stamps, items = self._watermark.parted([elements[place] for place in places])
            yield from self._load(shard, in_micros[places], stamps, items)

    def _load(self, shard: Any, times: Micros, stamps: Micros, items: list[Any]) -> Iterator[Any]:
        if self._max_future is not None:
            now = to_micros(self._clock())
            ahead = times > now + self._max_future
            if ahead.any():
                clock = np.full_like(times, now)
                yield from _put_aside("future", self._content, items, times, ahead, self._window, clock)
                items, times = self._content.part(items, ~ahead), times[~ahead]
                stamps = stamps[~ahead] if stamps.size == ahead.size else stamps
        if times.size:
            # At its earliest time, so that no item comes out behind the watermark that this load holds.
            yield _told((shard, (times.astype("<i8").tobytes(), stamps.tobytes(), items)), int(times.min()))


class _Judge(beam.DoFn):
    """Tells late items from those in time."""

    def __init__(self, content: _Content, policy: WindowPolicy) -> None:
        self._content, self._window, self._lateness = content, policy.window, to_micros(policy.allowed_lateness)

    def process(self, load: Load) -> Iterator[Any]:
        times, items = np.frombuffer(load[0], "<i8"), load[2]
        met = np.broadcast_to(np.frombuffer(load[1], "<i8"), times.shape)
        # No watermark is so low that it could not be lowered by the lateness.
        over = np.maximum(met, MIN_TIMESTAMP.micros + self._lateness) - self._lateness
        late = self._window.last(times)[1] <= over
        if late.any():
            yield from _put_aside("late", self._content, items, times, late, self._window, met)
            items, times = self._content.part(items, ~late), times[~late]
        if times.size:
            yield from (TaggedOutput("read", tally) for tally in tallies_of(self._window, times, times))
            yield from self._content.in_time(items, times)


def _put_aside(
    name: str,
    content: _Content,
    items: list[Any],
    times: Micros,
    chosen: NDArray[np.bool_],
    window: Window,
    met: Micros,
) -> Iterator[TaggedOutput]:
    times, met = times[chosen], met[chosen]
    for aside in content.aside(content.part(items, chosen), times, window.last(times), met):
        yield TaggedOutput(name, aside)
    for tally in tallies_of(window, times, met):
        yield TaggedOutput("read", tally)


def _told(element: Any, in_micros: int) -> WindowedValue:
    return WindowedValue(element, Timestamp(micros=min(in_micros, _END_OF_TIME)), _GLOBAL)

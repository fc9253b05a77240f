"""Which watermark a record meets: its source's word, what the data say, or what the runner's timers tell.

A runner drops what comes too late, silently, and no step can ask it for the watermark. These are three ways to know it
beside each record, for a Gate to choose from:

    FromStamps   exact, without state, at the cost of one number a block; for sources that stamp what they read
    FromData     a function of the records and their order alone, so that batch and stream agree; one number a shard
    FromTimers   for sources of others; exact where the runner fires timers before it goes on; timers at each deadline
"""

from __future__ import annotations

import struct
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import apache_beam as beam
import numpy as np
from apache_beam.coders import BytesCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from transforms.timers import with_own_timers
from transforms.windowing import WindowPolicy
from transforms.windows import AllTime, Micros, parse_duration, to_micros

_UNKNOWN = MIN_TIMESTAMP.micros  # a watermark that has not been told
_NONE = np.zeros(0, "<i8")

# Event times and the watermarks that they met, as bytes, and what they belong to, in order of arrival: a record each,
# or one batch whose rows they are. The watermark may be one for all; before it is known there is none.
Load: TypeAlias = tuple[bytes, bytes, list[Any]]


class Watermark(ABC):
    """A way to know the watermark that records meet."""

    SHARD: ClassVar[type]  # what a shard is named by

    def kind_of(self, element_type: Any) -> Any:
        """The type of records, or batches, by that of the elements that come to a Gate."""
        return element_type or Any

    def parted(self, elements: list[Any]) -> tuple[Micros, list[Any]]:
        """The watermarks that elements carry, if they do, and their records or batches."""
        return _NONE, elements

    @abstractmethod
    def split(self, elements: list[Any], times: Micros) -> dict[Any, Sequence[int]]:
        """The places of the elements of each shard, in order; those of one shard are kept together."""

    @abstractmethod
    def meet(self, loads: beam.PCollection, policy: WindowPolicy, kind: Any) -> beam.PCollection:
        """Adds the watermarks: PCollection[tuple[shard, Load]] -> PCollection[Load]."""


@dataclass(frozen=True)
class FromStamps(Watermark):
    """The source's own word: elements are pairs of a watermark, in microseconds, and a record or batch.

    For a batch it may be an array, with the watermark of each row.

    The watermark must be the one that the source had told the runner before it emitted the element, or a later one.
    Exact, stateless and free, where the runner's watermark never passes that of a split of a source: on Flink, and on
    Prism for sources of one split.
    """

    SHARD: ClassVar[type] = int

    def kind_of(self, element_type: Any) -> Any:
        return getattr(element_type, "tuple_types", (int, Any))[1]

    def parted(self, elements: list[Any]) -> tuple[Micros, list[Any]]:
        stamps, items = zip(*elements, strict=True)
        return np.hstack(stamps).astype("<i8"), list(items)

    def split(self, elements: list[Any], times: Micros) -> dict[Any, Sequence[int]]:
        del times
        return {0: range(len(elements))}

    def meet(self, loads: beam.PCollection, policy: WindowPolicy, kind: Any) -> beam.PCollection:
        del policy
        return loads | "ReadStamps" >> beam.Values().with_output_types(tuple[bytes, bytes, list[kind]])


@dataclass(frozen=True, init=False)
class FromData(Watermark):
    """The latest event time that came before on a shard, minus a bound, in the order in which records come.

    It is a function of the records and their order alone: the same in batch and in a stream, on every runner and after
    a replay. What a Gate puts aside as coming from the future does not count; a clock that is fast by less than
    `max_future` does, so `bound` should be at least that. A shard that has told nothing yet lets all pass.

    `shard` names the part of the source that an element comes from, such as its partition, and everything is one shard
    without it; records of a shard must come in order, and one number is kept for each, for good.

    The runner drops by its own watermark, not by this one. So windows over a stream must wait longer than the Gate's
    policy says, by as much as the runner's watermark may be ahead of this one: a shard that rests for an hour stays an
    hour behind, so a day is not too much. It costs the state of the windows of that time.
    """

    SHARD: ClassVar[type] = bytes
    bound: float  # seconds
    shard: Callable[[Any], int | str | bytes] | None

    def __init__(self, bound: float | str, shard: Callable[[Any], int | str | bytes] | None = None) -> None:
        seconds = parse_duration(bound) if isinstance(bound, str) else float(bound)
        if not seconds >= 0:
            raise ValueError(
                f"bound must be at least 0 seconds, got {seconds:g}; use how far out of order records come"
            )
        object.__setattr__(self, "bound", seconds)
        object.__setattr__(self, "shard", shard)

    def split(self, elements: list[Any], times: Micros) -> dict[Any, Sequence[int]]:
        del times
        if not self.shard:
            return {b"": range(len(elements))}
        places: dict[bytes, list[int]] = {}
        for place, element in enumerate(elements):
            places.setdefault(str(self.shard(element)).encode(), []).append(place)
        return dict(places)

    def meet(self, loads: beam.PCollection, policy: WindowPolicy, kind: Any) -> beam.PCollection:
        del policy
        follow = beam.ParDo(_Follow(to_micros(self.bound)))
        return loads | "Follow" >> follow.with_output_types(tuple[bytes, bytes, list[kind]])


_LATEST = beam.DoFn.StateParam(ReadModifyWriteStateSpec("latest", VarIntCoder()))


class _Follow(beam.DoFn):
    """Keeps the latest event time of a shard."""

    def __init__(self, bound: int) -> None:
        self._bound = bound

    def process(self, sharded: tuple[bytes, Load], latest: Any = _LATEST) -> Iterator[Load]:
        times, _, items = sharded[1]
        before = latest.read()
        # Its own time may stand in the watermark that a record meets: it makes no record late.
        seen = np.maximum.accumulate(np.frombuffer(times, "<i8"))
        if before is not None:
            seen = np.maximum(seen, before)
        latest.write(int(seen[-1]))
        yield times, (seen - self._bound).tobytes(), items


@dataclass(frozen=True, kw_only=True)
class FromTimers(Watermark):
    """The runner's own watermark, learnt from timers: for sources that stamp nothing, and for TestStream.

    Deadlines of windows (their ends, and the allowed lateness) are points of a grid. A timer waits at the next one, and
    others twice, four times, … as far, so that a watermark that jumps over n of them costs some log n rounds of timers,
    and one that goes step by step one timer a step, in each of the `shards`. The watermark that records meet is told as
    the last moment before the next deadline: whether a window is over is known exactly. Sessions have no grid; a
    watermark is known up to `resolution` seconds, and what would be late within them is late.

    Exact where a runner fires timers before it goes on, as for TestStream. A runner that hands on records in between
    may tell an older watermark than it has, and drop what passed; and one that fires timers one by one, each with what
    it set, fires one for each deadline that a jump skips. Watermarks before 1970 are not learnt. Bounded input has no
    watermark: nothing of it is late.
    """

    SHARD: ClassVar[type] = int
    shards: int = 4
    resolution: float = 1.0  # seconds

    def __post_init__(self) -> None:
        if self.shards < 1:
            raise ValueError(f"shards must be at least 1, got {self.shards}; use as many as workers at most")
        if not to_micros(self.resolution) > 0:
            raise ValueError(f"resolution must be more than 0 seconds, got {self.resolution:g}; for example 1")

    def split(self, elements: list[Any], times: Micros) -> dict[Any, Sequence[int]]:
        return {zlib.crc32(times[:1].tobytes()) % self.shards: range(len(elements))}

    def meet(self, loads: beam.PCollection, policy: WindowPolicy, kind: Any) -> beam.PCollection:
        load: Any = tuple[bytes, bytes, list[kind]]
        if loads.is_bounded or isinstance(policy.window, AllTime):
            return loads | "NoWatermark" >> beam.MapTuple(_unknown).with_output_types(load)
        starts = (
            loads.pipeline
            | "Once" >> beam.Impulse()
            | "EachShard" >> beam.FlatMap(_start, self.shards).with_output_types(tuple[int, load])
        )
        started = (starts, loads) | "WithStarts" >> beam.Flatten()
        learn = beam.ParDo(with_own_timers(_Learn(policy, to_micros(self.resolution)), started))
        return started | "Learn" >> learn.with_output_types(load)


def _unknown(shard: Any, load: Load) -> Load:
    del shard
    times, _, items = load
    return times, np.int64(_UNKNOWN).tobytes(), items


def _start(_: bytes, shards: int) -> Iterator[tuple[int, Load]]:
    """Empty loads, so that each shard learns the watermark before its first record comes."""
    for shard in range(shards):
        yield shard, (b"", b"", [])


_LEARNT = beam.DoFn.StateParam(ReadModifyWriteStateSpec("learnt", BytesCoder()))
_STATE = "<qb"  # what the watermark has reached, and how high the ladder of timers is
_DEADLINE = TimerSpec("deadline", TimeDomain.WATERMARK)
_DEADLINE_TIMER = beam.DoFn.TimerParam(_DEADLINE)
_BEGINNING = 0
_HORIZON = 7000 * 366 * 86_400 * 1_000_000  # calendars end in 9999
_HIGHEST = 60


class _Learn(beam.DoFn):
    """Keeps a ladder of timers: at the next deadline after what the watermark has reached, and 2^k steps further."""

    def __init__(self, policy: WindowPolicy, resolution: int) -> None:
        self._window = policy.window
        self._lateness = to_micros(policy.allowed_lateness)
        self._resolution = resolution

    def setup(self) -> None:
        first = self._next(_BEGINNING)
        self._step = self._next(first) - first

    def process(
        self, sharded: tuple[int, Load], learnt: Any = _LEARNT, deadline: Any = _DEADLINE_TIMER
    ) -> Iterator[Load]:
        times, _, items = sharded[1]
        state = learnt.read()
        reached = struct.unpack(_STATE, state)[0] if state else _BEGINNING
        if not state:
            self._climb(_BEGINNING, 1, learnt, deadline)
        if items:
            met = self._next(reached) - 1 if reached > _BEGINNING else _UNKNOWN
            yield times, np.int64(met).tobytes(), items

    @on_timer(_DEADLINE)
    def reach(
        self,
        at: Timestamp = beam.DoFn.TimestampParam,
        tag: str = beam.DoFn.DynamicTimerTagParam,
        learnt: Any = _LEARNT,
        deadline: Any = _DEADLINE_TIMER,
    ) -> None:
        reached, height = struct.unpack(_STATE, learnt.read())
        if at.micros <= reached:  # a rung of a ladder that stood lower
            return
        rung = int(tag)
        # When the topmost fires, the watermark may be anywhere beyond: the next ladder is more than twice as high. When
        # another does, it lies below the next rung.
        self._climb(at.micros, min(2 * rung + 2, _HIGHEST) if rung >= height else max(rung, 1), learnt, deadline)

    def _climb(self, reached: int, height: int, learnt: Any, deadline: Any) -> None:
        learnt.write(struct.pack(_STATE, reached, height))
        if reached >= _HORIZON:
            return
        first = self._next(reached)
        for rung in range(height + 1):
            at = min(first + (2**rung - 1) * self._step, _HORIZON)
            deadline.set(Timestamp(micros=at), dynamic_timer_tag=str(rung))
            if at == _HORIZON:
                break

    def _next(self, reached: int) -> int:
        """The first deadline after a moment."""
        if not self._window.PANES:
            return (reached // self._resolution + 1) * self._resolution
        (end,) = self._window.pane_ends(np.array([reached - self._lateness]))
        return int(end) + self._lateness

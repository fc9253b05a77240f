"""What comes again within a time, put aside: exactly, by an id."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.coders import Coder, ListCoder, VarIntCoder
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    ReadModifyWriteStateSpec,
    RuntimeState,
    RuntimeTimer,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import NonMergingWindowFn
from apache_beam.utils.timestamp import Timestamp

from transforms.storing import coder_of
from transforms.timers import just_after, with_own_timers
from transforms.windowing import given_up
from transforms.windows import parse_duration, to_micros

T = TypeVar("T")


class Deduplicate(beam.PTransform):
    """Puts aside what comes again within a time: PCollection[T] -> `.fresh` and `.repeated`, each PCollection[T].

    An item is repeated if an item with the same id was fresh in its window before, and their event times are at most
    `within` seconds apart; otherwise it is fresh, at once. Of items that arrive in the order of their times, each is
    fresh that comes more than `within` after the last fresh one of its id, live and from files alike.

    An id, of type `id_type`, is what `key` makes of an item. State is the times of its fresh items, until the watermark
    is `within` and `lateness` seconds beyond them, or the window is given up; nothing holds the watermark meanwhile,
    as Beam's DeduplicatePerKey does. DeduplicateApproximately does the same for whole windows in fixed memory. Raises
    ValueError for session windows and for types that would have to be pickled.
    """

    def __init__(
        self, key: Callable[[T], Any], *, id_type: Any = str, within: float | str, lateness: float | str = 0.0
    ) -> None:
        super().__init__()
        times = [parse_duration(time) if isinstance(time, str) else time for time in (within, lateness)]
        if not (times[0] > 0 and times[1] >= 0):
            raise ValueError(f"within must be longer than 0 seconds and lateness at least 0, got {times}")
        self._key, self._id_type = key, id_type
        self._within, self._lateness = map(to_micros, times)

    def expand(self, items: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        windowing, kind = items.windowing, items.element_type or Any
        if not isinstance(windowing.windowfn, NonMergingWindowFn):
            raise ValueError(f"windows that merge have no state, got {type(windowing.windowfn).__name__}")
        id_coder = coder_of(self._id_type, f"the id of {self.label}").as_deterministic_coder(self.label)
        keyed: Any = beam.typehints.Tuple[bytes, kind]
        remember = _Remember(self._within, self._lateness, windowing.allowed_lateness.micros)
        return (
            items
            | "Identify" >> beam.Map(_identified, self._key, id_coder).with_output_types(keyed)
            | "Remember"
            >> beam.ParDo(with_own_timers(remember, items))
            .with_output_types(kind, repeated=kind)
            .with_outputs("repeated", main="fresh")
        )


def _identified(item: Any, key: Callable[[Any], Any], id_coder: Coder) -> tuple[bytes, Any]:
    return id_coder.encode(key(item)), item


class _Remember(beam.DoFn):
    """Holds the times at which an id was fresh."""

    TIMES = ReadModifyWriteStateSpec("times", ListCoder(VarIntCoder()))
    OVER = TimerSpec("over", TimeDomain.WATERMARK)

    def __init__(self, within: int, lateness: int, given_up_after: int) -> None:
        self._within, self._lateness, self._given_up_after = within, lateness, given_up_after  # microseconds

    def process(
        self,
        keyed: tuple[bytes, Any],
        time: Timestamp = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        times: RuntimeState = beam.DoFn.StateParam(TIMES),
        over: RuntimeTimer = beam.DoFn.TimerParam(OVER),
    ) -> Iterator[Any]:
        fresh = times.read() or []
        if any(abs(time.micros - then) <= self._within for then in fresh):
            yield TaggedOutput("repeated", keyed[1])
            return
        self._hold(sorted([*fresh, time.micros]), window, times, over)
        yield keyed[1]

    @on_timer(OVER)
    def forget(
        self,
        window: Any = beam.DoFn.WindowParam,
        times: RuntimeState = beam.DoFn.StateParam(TIMES),
        over: RuntimeTimer = beam.DoFn.TimerParam(OVER),
    ) -> None:
        """Forgets the times that nothing near can come to any more: the first, whose timer this is, and its like."""
        fresh = times.read()
        now = self._end(fresh[0], window)
        self._hold([then for then in fresh if self._end(then, window) > now], window, times, over)

    def _hold(self, fresh: list[int], window: Any, times: RuntimeState, over: RuntimeTimer) -> None:
        if fresh:
            times.write(fresh)
            over.set(self._end(fresh[0], window))
        else:
            times.clear()

    def _end(self, micros: int, window: Any) -> Timestamp:
        end = just_after(micros + self._within + self._lateness)
        return min(end, given_up(window, self._given_up_after))

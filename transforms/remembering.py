"""A state for each key that every record may change: DStreams' mapWithState, which PySpark never had."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import apache_beam as beam
from apache_beam.coders import BooleanCoder, BytesCoder, Coder, NullableCoder, TupleCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    ReadModifyWriteStateSpec,
    RuntimeState,
    RuntimeTimer,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import GlobalWindows, NonMergingWindowFn
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.storing import PairCoders, coder_of
from transforms.timers import just_after, with_own_timers
from transforms.windowing import given_up
from transforms.windows import parse_duration, to_micros

K = TypeVar("K")
V = TypeVar("V")
S = TypeVar("S")
A = TypeVar("A")
Clock: TypeAlias = Literal["event", "processing"]


class MapWithState(beam.PTransform):
    """What each record says, given the state of its key: PCollection[tuple[K, V]] -> PCollection[A].

    `function(key, value, state)` gives an answer and the next state: None for no answer, None to remove the state.
    Records are taken as they arrive, not in the order of their times: where that matters, use UpdateStateByKey.

    A key of which nothing comes for `timeout` loses its state, and `timed_out(key, state)`, if given, is told.
    On the clock of events that is when the watermark is so far beyond the latest time of the key; a record that is so
    much later finds no state either, wherever the watermark stands, so that yesterday's files give what was given live.
    On the processing clock the wait is one of real time; meanwhile the watermark stays at the key's last record, and
    windows that follow wait. Over bounded input that clock stands still.

    State belongs to a key and window; windows may not merge. When a window and its lateness are over, states end as by
    a timeout; without a timeout, that is the only end, so a `timeout` of None is for windows that end.

    `state` is the type of states, or a coder. `initial` are states that keys have before their first record: a bounded
    collection (a side input, which every worker holds), in the one global window. Raises ValueError for windows that
    merge, for state that would never end, and for types that would have to be pickled.
    """

    def __init__(
        self,
        function: Callable[[K, V, S | None], tuple[A | None, S | None]],
        *,
        state: Any,
        timeout: float | str | None,
        clock: Clock = "event",
        timed_out: Callable[[K, S], A] | None = None,
        initial: beam.PCollection | None = None,
    ) -> None:
        super().__init__()
        seconds = parse_duration(timeout) if isinstance(timeout, str) else timeout
        if seconds is not None and not seconds > 0:
            raise ValueError(f"timeout must be longer than 0 seconds, got {seconds:g}")
        if clock not in get_args(Clock):
            raise ValueError(f"clock must be {' or '.join(get_args(Clock))}, got {clock!r}")
        self._function, self._timed_out = function, timed_out
        self._state, self._initial, self._clock = state, initial, clock
        self._timeout = None if seconds is None else to_micros(seconds)

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        windowing = pairs.windowing
        if not isinstance(windowing.windowfn, NonMergingWindowFn):
            raise ValueError(
                f"windows that merge have no state, got {type(windowing.windowfn).__name__}: use a timeout instead"
            )
        is_global = isinstance(windowing.windowfn, GlobalWindows)
        if is_global and self._timeout is None:
            raise ValueError("state in the one global window would never end, got timeout=None: give one, such as 30d")
        if not is_global and self._initial is not None:
            raise ValueError("initial states are for the one global window: each other window begins without state")
        coders = PairCoders.of(pairs, self.label)
        state_coder = coder_of(self._state, f"the state of {self.label}")
        by_the_clock = self._clock == "processing" and not pairs.is_bounded
        events = None if self._clock == "processing" else self._timeout
        seconds = self._timeout if by_the_clock else None
        remember = _Remember(self._function, self._timed_out, coders, state_coder, windowing, events, seconds)
        initial: Any = {}
        if self._initial is not None:
            stored = PairCoders(coders.key, state_coder, coders.key_type, self._state)
            encoded = self._initial | "EncodeInitial" >> beam.Map(stored.encode).with_output_types(tuple[bytes, bytes])
            initial = beam.pvalue.AsDict(encoded)
        return (
            pairs
            | "Encode" >> beam.Map(coders.encode).with_output_types(tuple[bytes, bytes])
            | "Remember" >> beam.ParDo(with_own_timers(remember, pairs), initial)
        )


class _Remember(beam.DoFn):
    """Keeps a state with the latest event time of its key, and one timer for each clock."""

    # Latest time; whether there was an initial state, which must not begin again; the state, None where it was removed.
    KEPT = ReadModifyWriteStateSpec("kept", TupleCoder([VarIntCoder(), BooleanCoder(), NullableCoder(BytesCoder())]))
    OVER = TimerSpec("over", TimeDomain.WATERMARK)
    QUIET = TimerSpec("quiet", TimeDomain.REAL_TIME)

    def __init__(
        self,
        function: Callable[[Any, Any, Any], tuple[Any, Any]],
        timed_out: Callable[[Any, Any], Any] | None,
        coders: PairCoders,
        state_coder: Coder,
        windowing: beam.transforms.core.Windowing,
        in_events: int | None,
        in_real_time: int | None,
    ) -> None:
        self._function, self._timed_out, self._coders, self._state_coder = function, timed_out, coders, state_coder
        self._lateness = windowing.allowed_lateness.micros
        self._in_events, self._in_real_time = in_events, in_real_time  # microseconds

    def process(
        self,
        pair: tuple[bytes, bytes],
        initial: Mapping[bytes, bytes],
        time: Timestamp = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        kept: RuntimeState = beam.DoFn.StateParam(KEPT),
        over: RuntimeTimer = beam.DoFn.TimerParam(OVER),
        quiet: RuntimeTimer = beam.DoFn.TimerParam(QUIET),
    ) -> Iterator[Any]:
        key = pair[0]
        latest, _, encoded = kept.read() or (time.micros, True, initial.get(key))
        if self._in_events is not None and time.micros > latest + self._in_events:
            yield from self._last_words(key, encoded)
            encoded = None
        state = None if encoded is None else self._state_coder.decode(encoded)
        answer, state = self._function(self._coders.key.decode(key), self._coders.value.decode(pair[1]), state)
        if answer is not None:
            yield answer
        latest = max(latest, time.micros)
        if state is None:
            _forget(kept, latest, began=key in initial)
            return
        kept.write((latest, key in initial, self._state_coder.encode(state)))
        end = given_up(window, self._lateness)
        over.set(end if self._in_events is None else min(end, just_after(latest + self._in_events)))
        if self._in_real_time is not None:
            quiet.set(Timestamp.now() + Duration(micros=self._in_real_time))

    @on_timer(OVER)
    def end(
        self,
        key: bytes = beam.DoFn.KeyParam,
        time: Timestamp = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        kept: RuntimeState = beam.DoFn.StateParam(KEPT),
    ) -> Iterator[WindowedValue]:
        """Tells and forgets a state when its window is over, or the watermark so far beyond its key."""
        for answer in self._time_out(key, kept):
            yield WindowedValue(answer, min(time, window.max_timestamp()), [window])

    @on_timer(QUIET)
    def tire(
        self,
        key: bytes = beam.DoFn.KeyParam,
        window: Any = beam.DoFn.WindowParam,
        kept: RuntimeState = beam.DoFn.StateParam(KEPT),
    ) -> Iterator[WindowedValue]:
        """Tells and forgets a state when nothing came of its key for so long by the clock, at the key's latest time."""
        latest = (kept.read() or (0,))[0]
        for answer in self._time_out(key, kept):
            yield WindowedValue(answer, Timestamp(micros=latest), [window])

    def _time_out(self, key: bytes, kept: RuntimeState) -> Iterator[Any]:
        if (known := kept.read()) is not None:
            latest, began, encoded = known
            yield from self._last_words(key, encoded)
            _forget(kept, latest, began=began)

    def _last_words(self, key: bytes, encoded: bytes | None) -> Iterator[Any]:
        if self._timed_out and encoded is not None:
            yield self._timed_out(self._coders.key.decode(key), self._state_coder.decode(encoded))


def _forget(kept: RuntimeState, latest: int, *, began: bool) -> None:
    if began:
        kept.write((latest, True, None))
    else:
        kept.clear()

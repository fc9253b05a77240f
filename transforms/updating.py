"""A state for each key that every window carries on: DStreams' updateStateByKey, in the order of event time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, TypeAlias, TypeVar, get_args

import apache_beam as beam
import numpy as np
from apache_beam.coders import BooleanCoder, BytesCoder, Coder, ListCoder, TupleCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    RuntimeState,
    RuntimeTimer,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp

from transforms.storing import PairCoders, coder_of
from transforms.timers import with_own_timers
from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy
from transforms.windows import Calendar, Fixed, Window, parse_duration, to_micros

V = TypeVar("V")
S = TypeVar("S")
Tell: TypeAlias = Literal["every window", "changes"]
_Stamped: TypeAlias = tuple[int, bytes]  # microseconds, value
_Turn: TypeAlias = tuple[int, bool, list[_Stamped]]  # end of a window, whether these are initial states, and they

_ALWAYS = -(2**62)  # microseconds: the time of an initial state that has none


class UpdateStateByKey(beam.PTransform):
    """What each key's state is after each window: PCollection[tuple[K, V]] -> PCollection[tuple[K, S]].

    `update(values, before)` is given the values of a key in a window, and the state after the window before or None;
    what it returns is told in that window, and None removes the key. It is called for the windows of a key in their
    order, once each, with values in the order of their event times (equal ones by their bytes): so the answer does not
    depend on the order of arrival. For that a window is told when none of it can come any more: when the watermark
    passes its end and its lateness. What comes later is dropped by the runner: put a Gate before.

    A key without values is told, too, with no values, as DStreams do, for as long as `timeout` after the end of the
    last window with any; then it is forgotten. With `tell="changes"` it is remembered as long, but `update` is called
    and answers are told for windows with values alone, which costs a timer for each of them and no more.

    `state` is the type of states, or a coder. `initial` are states before the first values: one with an event time is
    told from the window of that time on, one without (as beam.Create makes them) waits for the first value of its key,
    for ever. State holds the values of windows that are still open, and one state for each key.

    Windows are fixed or of a calendar, and answer once. Raises ValueError for others, and for types that would have to
    be pickled.
    """

    def __init__(
        self,
        update: Callable[[list[V], S | None], S | None],
        *,
        state: Any,
        window: WindowPolicy | Window | str,
        timeout: float | str,
        initial: beam.PCollection | None = None,
        tell: Tell = "every window",
    ) -> None:
        super().__init__()
        policy = WindowPolicy.parse(window) if isinstance(window, str) else window
        self._policy = policy if isinstance(policy, WindowPolicy) else WindowPolicy(policy)
        if not isinstance(self._policy.window, Fixed | Calendar):
            raise ValueError(
                f"state goes from window to window, so windows must lie side by side, got {self._policy.window}; "
                "for example 10s, or day Europe/Paris"
            )
        if self._policy.early:
            raise ValueError(f"a state is told once for each window, got early {self._policy.early}: leave it out")
        if tell not in get_args(Tell):
            raise ValueError(f"tell must be {' or '.join(map(repr, get_args(Tell)))}, got {tell!r}")
        seconds = parse_duration(timeout) if isinstance(timeout, str) else timeout
        if not seconds >= 0:
            raise ValueError(f"timeout must be at least 0 seconds, got {seconds:g}")
        self._update, self._state, self._initial = update, state, initial
        self._timeout, self._tell = to_micros(seconds), tell

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        coders = PairCoders.of(pairs, self.label)
        state_coder = coder_of(self._state, f"the state of {self.label}")
        turns = (
            pairs
            | "Stamp" >> beam.ParDo(_Stamp(coders.key, coders.value)).with_output_types(tuple[bytes, _Stamped])
            | "Window" >> ApplyWindow(WindowPolicy(self._policy.window, allowed_lateness=self._policy.allowed_lateness))
            | "Gather" >> beam.GroupByKey()
            | "Turn" >> beam.ParDo(_make_turn).with_output_types(tuple[bytes, _Turn])
            | "Carry" >> ForgetTime()
        )
        if self._initial is not None:
            stamp = _Stamp(coders.key, state_coder)
            started = (
                self._initial
                | "StampInitial" >> beam.ParDo(stamp).with_output_types(tuple[bytes, _Stamped])
                | "Begin" >> beam.Map(_begin, self._policy.window).with_output_types(tuple[bytes, _Turn])
                | "CarryInitial" >> ForgetTime()
            )
            turns = (turns, started) | "Together" >> beam.Flatten()
        update = _Update(self._update, coders, state_coder, self._policy, self._timeout, self._tell)
        told: Any = beam.typehints.Tuple[coders.key_type, Any if isinstance(self._state, Coder) else self._state]
        return (
            turns
            | "Update" >> beam.ParDo(with_own_timers(update, turns)).with_output_types(told)
            | "Place" >> ApplyWindow(self._policy)
        )


class _Stamp(beam.DoFn):
    """Keys and values as bytes, values with their time."""

    def __init__(self, key: Coder, value: Coder) -> None:
        self._key, self._value = key, value

    def process(
        self, pair: tuple[Any, Any], time: Timestamp = beam.DoFn.TimestampParam
    ) -> Iterator[tuple[bytes, _Stamped]]:
        stamp = _ALWAYS if time == MIN_TIMESTAMP else time.micros
        yield self._key.encode(pair[0]), (stamp, self._value.encode(pair[1]))


def _make_turn(
    gathered: tuple[bytes, Iterable[_Stamped]], window: Any = beam.DoFn.WindowParam
) -> Iterator[tuple[bytes, _Turn]]:
    yield gathered[0], (window.end.micros, False, list(gathered[1]))


def _begin(stamped: tuple[bytes, _Stamped], window: Window) -> tuple[bytes, _Turn]:
    key, (time, state) = stamped
    return key, (time if time == _ALWAYS else _end(window, time), True, [(time, state)])


def _end(window: Window, micros: int) -> int:
    """The end of the window that holds a time."""
    return int(window.last(np.array([micros]))[1][0])


class _Update(beam.DoFn):
    """Takes the windows of a key one after the other, in turns that a timer gives it."""

    WAITING = BagStateSpec(
        "waiting",
        TupleCoder([VarIntCoder(), BooleanCoder(), ListCoder(TupleCoder([VarIntCoder(), BytesCoder()]))]),
    )
    KEPT = ReadModifyWriteStateSpec("kept", TupleCoder([VarIntCoder(), BytesCoder()]))  # last window's end, state
    DUE = ReadModifyWriteStateSpec("due", VarIntCoder())
    TURN = TimerSpec("turn", TimeDomain.WATERMARK)

    def __init__(
        self,
        update: Callable[[list[Any], Any], Any],
        coders: PairCoders,
        state_coder: Coder,
        policy: WindowPolicy,
        timeout: int,
        tell: Tell,
    ) -> None:
        self._update, self._coders, self._state_coder, self._timeout = update, coders, state_coder, timeout
        self._window, self._lateness = policy.window, to_micros(policy.allowed_lateness)
        self._every = tell == "every window"

    def process(
        self,
        keyed: tuple[bytes, _Turn],
        waiting: RuntimeState = beam.DoFn.StateParam(WAITING),
        kept: RuntimeState = beam.DoFn.StateParam(KEPT),
        due: RuntimeState = beam.DoFn.StateParam(DUE),
        turn: RuntimeTimer = beam.DoFn.TimerParam(TURN),
    ) -> None:
        end, _, stamped = keyed[1]
        if end == _ALWAYS:
            if kept.read() is None:
                kept.write((_ALWAYS, stamped[0][1]))
            return
        waiting.add(keyed[1])
        now_due = due.read()
        if now_due is None or end < now_due:
            self._set(end, due, turn)

    @on_timer(TURN)
    def take_turn(
        self,
        key: bytes = beam.DoFn.KeyParam,
        waiting: RuntimeState = beam.DoFn.StateParam(WAITING),
        kept: RuntimeState = beam.DoFn.StateParam(KEPT),
        due: RuntimeState = beam.DoFn.StateParam(DUE),
        turn: RuntimeTimer = beam.DoFn.TimerParam(TURN),
    ) -> Iterator[TimestampedValue]:
        """Updates the state by the window whose turn it is, and sets the timer for the next."""
        now = due.read()
        turns = list(waiting.read())
        last, encoded = kept.read() or (_ALWAYS, None)
        state = None if encoded is None else self._state_coder.decode(encoded)
        for end, started, values in self._up_to(now, turns, told=self._every and state is not None):
            if last != _ALWAYS and end > last + self._timeout:
                state = None
            state = started if state is None else state
            if values is None and state is None:
                continue
            last = last if values is None else end
            state = self._update(values or [], state)
            if state is not None:
                yield TimestampedValue((self._coders.key.decode(key), state), Timestamp(micros=end - 1))
        later = [one for one in turns if one[0] > now]
        waiting.clear()
        for one in later:
            waiting.add(one)
        following = _end(self._window, now)
        forgotten = last + self._timeout
        if state is not None and following <= forgotten:
            kept.write((last, self._state_coder.encode(state)))
            ends = [one[0] for one in later] + [following if self._every else forgotten]
        else:
            kept.clear()
            ends = [one[0] for one in later]
        due.clear()
        if ends:
            self._set(min(ends), due, turn)

    def _up_to(self, now: int, turns: list[_Turn], *, told: bool) -> Iterator[tuple[int, Any, list[Any] | None]]:
        """The windows whose turn has come: their end, their initial state, and their values, None if nothing came."""
        started: dict[int, Any] = {}
        values: dict[int, list[_Stamped]] = defaultdict(list)
        for end, initial, stamped in turns:
            if end <= now:
                values[end] += [] if initial else stamped
                if initial:
                    started[end] = self._state_coder.decode(stamped[0][1])
        for end in sorted(values):
            yield end, started.get(end), [self._coders.value.decode(value) for _, value in sorted(values[end])]
        if told and now not in values:
            yield now, None, None

    def _set(self, end: int, due: RuntimeState, turn: RuntimeTimer) -> None:
        due.write(end)
        turn.set(Timestamp(micros=end - 1 + self._lateness))

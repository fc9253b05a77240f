"""What belongs together by key and comes close in time: clicks with the impressions of the half hour before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import apache_beam as beam
from apache_beam.coders import BooleanCoder, BytesCoder, TupleCoder, VarIntCoder
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
from apache_beam.utils.timestamp import Timestamp

from transforms.joining import How, joined_type, outer_sides
from transforms.storing import PairCoders
from transforms.timers import just_after, with_own_timers
from transforms.windowing import ForgetTime
from transforms.windows import parse_duration, to_micros

_Side: TypeAlias = Literal[0, 1]  # left, right
_Waiting: TypeAlias = tuple[int, bool, bytes]  # event time, whether it has a partner, value


class JoinWithin(beam.PTransform):
    """Every left with every right value of its key that is near in time: (lefts, rights) -> [tuple[K, tuple[A, B]]].

    A right is near when it comes at most `after` seconds after the left, or at most `before` seconds before it, by
    event time, bounds included, whatever the order of arrival. Each such pair is told once, as soon as both are there,
    with the later of their times. What has no partner is told with None in its place when its time is over, with the
    time of that: lefts with how="left", rights with "right", both with "full". Windows do not matter, and pairs are in
    the global one: put them into windows after.

    A value is held until the watermark has passed the last moment at which a partner may come, and `lateness` seconds
    more; what is later still finds only what is left (put a Gate before). State is those values; to join a record costs
    as much as its key has values waiting. Raises ValueError for types that would have to be pickled.
    """

    def __init__(
        self, after: float | str, *, before: float | str = 0.0, how: How = "inner", lateness: float | str = 0.0
    ) -> None:
        super().__init__()
        times = [parse_duration(time) if isinstance(time, str) else time for time in (after, before, lateness)]
        for name, seconds in zip(("after", "before", "lateness"), times, strict=True):
            if not seconds >= 0:
                raise ValueError(f"{name} must be at least 0 seconds, got {seconds:g}; exchange the sides if need be")
        self._after, self._before, self._lateness = map(to_micros, times)
        self._tells = outer_sides(how)

    def expand(self, sides: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        coders = [
            PairCoders.of(side, f"the {name} side of {self.label}")
            for name, side in zip(("left", "right"), sides, strict=True)
        ]
        if coders[0].key != coders[1].key:
            raise ValueError(f"both sides must have keys of one type, got {coders[0].key_type}, {coders[1].key_type}")
        tagged = [
            side
            | f"Encode{name}" >> beam.Map(_tagged, coder, number).with_output_types(tuple[bytes, tuple[int, bytes]])
            | f"InAll{name}" >> ForgetTime()
            for number, (name, side, coder) in enumerate(zip(("Left", "Right"), sides, coders, strict=True))
        ]
        together = tagged | "Together" >> beam.Flatten()
        pair = _Pair((coders[0], coders[1]), (self._after, self._before), self._lateness, self._tells)
        return together | "Pair" >> beam.ParDo(with_own_timers(pair, together)).with_output_types(
            joined_type(*sides, *self._tells)
        )


def _tagged(pair: tuple[Any, Any], coders: PairCoders, side: int) -> tuple[bytes, tuple[int, bytes]]:
    key, value = coders.encode(pair)
    return key, (side, value)


_WAITING = TupleCoder([VarIntCoder(), BooleanCoder(), BytesCoder()])


class _Pair(beam.DoFn):
    """Holds the values of both sides of a key until their time is over."""

    LEFTS = BagStateSpec("lefts", _WAITING)
    RIGHTS = BagStateSpec("rights", _WAITING)
    DUE = ReadModifyWriteStateSpec("due", VarIntCoder())
    OVER = TimerSpec("over", TimeDomain.WATERMARK)

    def __init__(
        self,
        coders: tuple[PairCoders, PairCoders],
        reach: tuple[int, int],
        lateness: int,
        tells: tuple[bool, bool],
    ) -> None:
        self._coders, self._reach, self._lateness, self._tells = coders, reach, lateness, tells

    def process(
        self,
        keyed: tuple[bytes, tuple[_Side, bytes]],
        time: Timestamp = beam.DoFn.TimestampParam,
        lefts: RuntimeState = beam.DoFn.StateParam(LEFTS),
        rights: RuntimeState = beam.DoFn.StateParam(RIGHTS),
        due: RuntimeState = beam.DoFn.StateParam(DUE),
        over: RuntimeTimer = beam.DoFn.TimerParam(OVER),
    ) -> Iterator[TimestampedValue]:
        key, (side, value) = keyed
        other: _Side = 1 if side == 0 else 0
        mine, theirs = (lefts, rights) if side == 0 else (rights, lefts)
        micros = time.micros
        waiting = list(theirs.read())
        # A left reaches `after` ahead and `before` back, a right `before` ahead and `after` back.
        near = [-self._reach[other] <= then - micros <= self._reach[side] for then, _, _ in waiting]
        for (then, _, partner), is_near in zip(waiting, near, strict=True):
            if is_near:
                left, right = (value, partner) if side == 0 else (partner, value)
                yield self._told(key, left, right, max(then, micros))
        if self._tells[other] and any(new and not had for new, (_, had, _) in zip(near, waiting, strict=True)):
            _replace(theirs, [(then, had or new, one) for new, (then, had, one) in zip(near, waiting, strict=True)])
        mine.add((micros, any(near), value))
        end = self._end(side, micros)
        now_due = due.read()
        if now_due is None or end < now_due:
            due.write(end)
            over.set(Timestamp(micros=end))

    @on_timer(OVER)
    def expire(
        self,
        key: bytes = beam.DoFn.KeyParam,
        lefts: RuntimeState = beam.DoFn.StateParam(LEFTS),
        rights: RuntimeState = beam.DoFn.StateParam(RIGHTS),
        due: RuntimeState = beam.DoFn.StateParam(DUE),
        over: RuntimeTimer = beam.DoFn.TimerParam(OVER),
    ) -> Iterator[TimestampedValue]:
        """Tells and forgets what no partner can come for any more."""
        now, ends = due.read(), []
        sides: tuple[tuple[_Side, RuntimeState], ...] = ((0, lefts), (1, rights))
        for side, state in sides:
            waiting = list(state.read())
            for then, had, value in waiting:
                if self._end(side, then) <= now and self._tells[side] and not had:
                    left, right = (value, None) if side == 0 else (None, value)
                    yield self._told(key, left, right, now)
            staying = [one for one in waiting if self._end(side, one[0]) > now]
            _replace(state, staying)
            ends += [self._end(side, then) for then, _, _ in staying]
        due.clear()
        if ends:
            due.write(min(ends))
            over.set(Timestamp(micros=min(ends)))

    def _end(self, side: _Side, micros: int) -> int:
        """When no partner can come any more."""
        return int(just_after(micros + self._reach[side] + self._lateness).micros)

    def _told(self, key: bytes, left: bytes | None, right: bytes | None, micros: int) -> TimestampedValue:
        a, b = (
            None if value is None else coders.value.decode(value)
            for coders, value in zip(self._coders, (left, right), strict=True)
        )
        return TimestampedValue((self._coders[0].key.decode(key), (a, b)), Timestamp(micros=micros))


def _replace(state: RuntimeState, entries: list[_Waiting]) -> None:
    state.clear()
    for entry in entries:
        state.add(entry)

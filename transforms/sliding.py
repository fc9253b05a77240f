"""Windows that slide, of any size and at any period, at the cost of their panes: DStreams' reduceByKeyAndWindow.

Beam's SlidingWindows copy each record into every window that holds it: 8,640 copies for a day that slides by ten
seconds. Here each record is reduced into one pane, panes are shuffled and held, and the total of each window is made of
the one before it: what enters is added, what leaves is subtracted or, where totals only merge, forgotten by two stacks.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, TypeVar, get_args

import apache_beam as beam
from apache_beam.coders import BytesCoder, Coder, ListCoder, TupleCoder, VarIntCoder
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import (
    BagStateSpec,
    ReadModifyWriteStateSpec,
    RuntimeState,
    RuntimeTimer,
    TimerSpec,
    on_timer,
)
from apache_beam.transforms.window import GlobalWindow, IntervalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming, WindowedValue

from transforms.reductions import Reduction, reduction_of
from transforms.slides import Grid, Pane, Slides, Tell, Told
from transforms.timers import with_own_timers
from transforms.windowing import ParDoInWindows, WindowPolicy
from transforms.windows import Fixed, Sliding, Window, to_micros

V = TypeVar("V")

_SLOTS = 10_000  # panes of keys that a bundle holds before they are handed on
_SLACK = 1000  # panes that may be stored though nothing needs them
_TICK = 1000  # microseconds: runners in other languages tell the time of a timer in milliseconds
_FOREVER = 2**62  # microseconds, beyond all times


class ReduceByKeyAndWindow(beam.PTransform):
    """One total for each key and sliding window, at the cost of a pane: [tuple[K, V]] -> [tuple[K, A]].

    `reduce` is a function of two values, which must be associative and commutative and leave its arguments as they are;
    or any CombineFn, or the factory of a question (`distinct_count(error=0.01)`). `inverse` is the function that takes
    from a total what entered it: without one, totals are merged from two stacks, which costs up to four merges a pane.
    Sketches that subtract need none. Give no inverse for floats, whose sums would drift: `total()` is exact.

    `window` is a policy or a line of one: "24h/10s, lateness 1h, accumulating". Windows begin empty, so that the first
    ones of a stream hold less than their size, and are at multiples of the period since 1970. A window is told when the
    watermark passes its end, if the key has anything in it. What comes late corrects all windows that are still within
    the lateness; they are told again, which is why lateness needs `accumulating`.

    With `tell="changes"` a window is told only if records entered or left since the window before: the answer holds
    until the next one of its key, and is None when nothing is left. That is two answers for each pane at most, where
    `"every window"` gives as many as a window has periods.

    Keys are hashed into `shards`; each has one state and one timer. State is the panes of a window and its lateness.
    Raises ValueError for windows that do not slide, for early answers, and where an inverse is given to a CombineFn.
    """

    def __init__(
        self,
        reduce: Callable[[V, V], V] | beam.CombineFn,
        inverse: Callable[[V, V], V] | None = None,
        *,
        window: WindowPolicy | Window | str,
        tell: Tell = "every window",
        shards: int = 32,
    ) -> None:
        super().__init__()
        if tell not in get_args(Tell):
            raise ValueError(f"tell must be {' or '.join(map(repr, get_args(Tell)))}, got {tell!r}")
        if shards < 1:
            raise ValueError(f"shards must be at least 1, got {shards}")
        self._policy = _sliding(window)
        self._reduction = reduction_of(reduce, inverse)
        self._tell = tell
        self._shards = shards

    def expand(self, pairs: beam.PCollection) -> beam.PCollection:
        key_type, value_type = getattr(pairs.element_type, "tuple_types", (Any, Any))
        key_coder = beam.coders.registry.get_coder(key_type).as_deterministic_coder(self.label)
        plan = _Plan(self._policy, self._reduction, self._tell, key_coder, self._reduction.coder(value_type))
        answer_type: Any = beam.typehints.Tuple[key_type, Any]
        reduced = pairs | "Reduce" >> ParDoInWindows(_ReduceBundle(plan, self._shards), WindowPolicy("all"))
        if pairs.is_bounded:  # nothing is late, and all that comes is there at once
            shards = reduced | "Shard" >> beam.GroupByKey()
            answers = shards | "Compose" >> ParDoInWindows(_ComposeAll(plan), self._policy).with_output_types(
                answer_type
            )
        else:
            compose = with_own_timers(_Compose(plan), pairs)
            answers = reduced | "Compose" >> ParDoInWindows(compose, self._policy).with_output_types(answer_type)
        return answers


def _sliding(window: WindowPolicy | Window | str) -> WindowPolicy:
    """The policy that is meant, if its windows slide."""
    policy = WindowPolicy.parse(window) if isinstance(window, str) else window
    policy = policy if isinstance(policy, WindowPolicy) else WindowPolicy(policy)
    if not isinstance(policy.window, Sliding | Fixed):
        raise ValueError(f"windows must slide, got {policy.window}; for example 24h/10s")
    if any(to_micros(seconds) % _TICK for seconds in vars(policy.window).values()):
        raise ValueError(f"windows must slide by whole milliseconds, as runners count time, got {policy.window!r}")
    if policy.early:
        raise ValueError(f"sliding windows answer once in a period, got early {policy.early}: leave it out")
    if policy.late.seconds:
        raise ValueError(f"what is late corrects at once, got late {policy.late}: leave it out")
    if policy.allowed_lateness and policy.accumulation == "discarding":
        raise ValueError(
            f"late records correct windows that were told before, got {str(policy)!r}: use accumulation='accumulating'"
        )
    return policy


@dataclass(frozen=True)
class _Plan:
    """What all steps must know."""

    policy: WindowPolicy
    reduction: Reduction
    tell: Tell
    key_coder: Coder
    total_coder: Coder

    @cached_property
    def window(self) -> Sliding:
        window = self.policy.window
        assert isinstance(window, Sliding | Fixed)  # noqa: S101  _sliding has seen to it
        return window if isinstance(window, Sliding) else Sliding(window.size, window.size)

    @cached_property
    def panes_coder(self) -> Coder:
        """Of [(key, end of pane, total)]."""
        return ListCoder(TupleCoder([BytesCoder(), VarIntCoder(), self.total_coder]))

    def slides(self, lateness: float) -> Slides[Any]:
        return Slides(self.window, self.reduction, self.tell, to_micros(lateness))

    def answers(self, end: int, told: Iterable[Told[Any]], again: int = 0) -> Iterator[WindowedValue]:
        """What is told of the window that ends there, for the first time or, counted up, once more."""
        last, windows = _window(end - to_micros(self.window.size), end)
        timing = PaneInfoTiming.LATE if again else PaneInfoTiming.ON_TIME
        pane = PaneInfo(not again, not self.policy.allowed_lateness, timing, again, again)
        for key, totals in told:
            answer = self.reduction.answer(totals[0]) if totals else None
            yield WindowedValue((self.key_coder.decode(key), answer), last, windows, pane)


@lru_cache(2**15)  # all shards tell the same windows: those of two days and more at each ten seconds
def _window(start: int, end: int) -> tuple[Timestamp, list[IntervalWindow]]:
    window = IntervalWindow(Timestamp(micros=start), Timestamp(micros=end))
    return window.max_timestamp(), [window]


@beam.typehints.with_output_types(tuple[int, tuple[int, bytes]])
class _ReduceBundle(beam.DoFn):
    """Reduces the values of each key and pane of a bundle: (shard, (end of the first window to tell them, panes))."""

    def __init__(self, plan: _Plan, shards: int) -> None:
        self._plan = plan
        self._shards = shards
        self._grid = Grid.of(plan.window)
        self._pane = self._grid.pane

    def start_bundle(self) -> None:
        self._totals: dict[tuple[bytes, int], Any] = {}

    def process(self, pair: tuple[Any, Any], time: Timestamp = beam.DoFn.TimestampParam) -> Iterator[WindowedValue]:
        slot = self._plan.key_coder.encode(pair[0]), time.micros // self._pane
        if slot in self._totals:
            self._totals[slot] = self._plan.reduction.add(self._totals[slot], pair[1])
            return
        if time == MIN_TIMESTAMP:
            raise ValueError(f"records must have an event time to slide by, got {pair!r}: give it as TimestampedValue")
        if len(self._totals) >= _SLOTS:
            yield from self.finish_bundle()
            self.start_bundle()
        self._totals[slot] = self._plan.reduction.start(pair[1])

    def finish_bundle(self) -> Iterator[WindowedValue]:
        shards: dict[int, list[Pane[Any]]] = {}
        for (key, pane), total in self._totals.items():
            settled = self._plan.reduction.settle(total)
            shards.setdefault(zlib.crc32(key) % self._shards, []).append((key, (pane + 1) * self._pane, settled))
        for shard, panes in shards.items():
            first = min(end for _, end, _ in panes)
            reduced = self._grid.stay(first)[0], self._plan.panes_coder.encode(panes)
            # The last moment of the first pane, so that it never precedes what it holds, nor is late for its windows.
            yield WindowedValue((shard, reduced), Timestamp(micros=first - 1), [GlobalWindow()])


class _ComposeAll(beam.DoFn):
    """All windows of a shard whose panes are all there."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan

    def process(self, shard: tuple[int, Iterable[tuple[int, bytes]]]) -> Iterator[WindowedValue]:
        slides = self._plan.slides(lateness=0)
        for _, panes in shard[1]:
            slides.add(self._plan.panes_coder.decode(panes))
        for end, told in slides.tells(_FOREVER):
            yield from self._plan.answers(end, told)


class _Compose(beam.DoFn):
    """The windows of a shard, as they are due.

    What is stored is the panes, as they came. Where the windows over them have got to is remembered from one timer to
    the next, so that a window costs what entered and left it, and made from the panes again where it was not this
    instance that stored them last.
    """

    CAME = BagStateSpec("came", BytesCoder())  # panes since the last timer
    HELD = BagStateSpec("held", BytesCoder())  # panes before that
    DONE = ReadModifyWriteStateSpec(  # until when, in how many timers, the number of panes held, what is remembered
        "done", TupleCoder([VarIntCoder(), VarIntCoder(), VarIntCoder(), BytesCoder()])
    )
    WAKES = ReadModifyWriteStateSpec("wakes", VarIntCoder())  # when the timer is set for
    DUE = TimerSpec("due", TimeDomain.WATERMARK)

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._remembered: dict[int, tuple[bytes, Slides[Any]]] = {}

    def process(
        self,
        reduced: tuple[int, tuple[int, bytes]],
        came: RuntimeState = beam.DoFn.StateParam(CAME),
        wakes: RuntimeState = beam.DoFn.StateParam(WAKES),
        due: RuntimeTimer = beam.DoFn.TimerParam(DUE),
    ) -> None:
        _, (end, panes) = reduced
        came.add(panes)
        before = wakes.read()
        if before is None or end < before:
            _wake(end, wakes, due)

    @on_timer(DUE)
    def compose(
        self,
        shard: int = beam.DoFn.KeyParam,
        time: Timestamp = beam.DoFn.TimestampParam,
        came: RuntimeState = beam.DoFn.StateParam(CAME),
        held: RuntimeState = beam.DoFn.StateParam(HELD),
        done: RuntimeState = beam.DoFn.StateParam(DONE),
        wakes: RuntimeState = beam.DoFn.StateParam(WAKES),
        due: RuntimeTimer = beam.DoFn.TimerParam(DUE),
    ) -> Iterator[WindowedValue]:
        """Tells the windows that are due, and sets the timer for the next."""
        before, count, stored, mark = done.read() or (-_FOREVER, 0, 0, b"")
        slides = self._recall(shard, mark, before, held)
        for encoded in came.read():
            held.add(encoded)
            panes = self._plan.panes_coder.decode(encoded)
            slides.add(panes)
            stored += len(panes)
        came.clear()
        until = max(before, time.micros // _TICK * _TICK + _TICK)
        for end, told in slides.tells(until):
            yield from self._plan.answers(end, told, count if end <= before else 0)
        if stored > (2 * len(slides) + _SLACK if slides else 0):
            held.clear()
            held.add(self._plan.panes_coder.encode(list(slides.panes)))
            stored = len(slides)
        mark = os.urandom(8)
        self._remembered[shard] = mark, slides
        done.write((until, count + 1, stored, mark))
        if slides.due is None:
            held.clear()
            wakes.clear()
        else:
            _wake(slides.due, wakes, due)

    def _recall(self, shard: int, mark: bytes, until: int, held: RuntimeState) -> Slides[Any]:
        remembered, slides = self._remembered.pop(shard, (b"", None))
        if slides is None or remembered != mark:
            slides = self._plan.slides(self._plan.policy.allowed_lateness)
            for encoded in held.read():
                slides.add(self._plan.panes_coder.decode(encoded))
            slides.skip(until)
        return slides


def _wake(end: int, wakes: RuntimeState, due: RuntimeTimer) -> None:
    """Sets the timer for the last moment of a window, and remembers when."""
    wakes.write(end)
    due.set(Timestamp(micros=end - 1))

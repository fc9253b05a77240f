"""Windows that slide over the panes of many keys: what each of them holds, slide after slide.

A pane is a piece of time that lies in a window or outside it, and has one total for each key. A window's total is made
of the one before it: panes that enter are pushed, panes that leave are popped. Where nothing enters or leaves, no work
is done. Times are microseconds, and a window or a pane is named by its end.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from transforms.two_stacks import Merging, Queue, Subtracting, TwoStacks
from transforms.windows import Sliding, to_micros

A = TypeVar("A")
Tell: TypeAlias = Literal["every window", "changes"]
Pane: TypeAlias = tuple[bytes, int, A]  # key, end, total
Told: TypeAlias = tuple[bytes, list[A]]  # key, and its total in the window; none where nothing is left in it


@dataclass(frozen=True)
class Grid:
    """Where windows and their panes end."""

    size: int
    period: int

    @classmethod
    def of(cls, window: Sliding) -> Grid:
        return cls(to_micros(window.size), to_micros(window.period))

    @property
    def pane(self) -> int:
        """How long a pane is: the longest piece that no window cuts."""
        return math.gcd(self.size, self.period)

    def stay(self, end: int) -> tuple[int, int]:
        """The first window that holds a pane, and the first after it that does not.

        >>> Grid(size=25, period=10).stay(5), Grid(size=25, period=10).stay(10)
        ((5, 35), (15, 35))
        """
        begin = end - self.pane
        return end + (self.size - end) % self.period, begin + self.size - begin % self.period + self.period


@dataclass(slots=True, eq=False)
class _Key(Generic[A]):
    name: bytes
    panes: dict[int, A] = field(default_factory=dict)  # total by end, of those not forgotten
    inside: int = 0  # panes in the window that was told last
    queue: Queue[A] | None = None  # these


@dataclass(slots=True)
class _Turn(Generic[A]):
    """What happens at one moment."""

    leaving: list[tuple[int, _Key[A]]] = field(default_factory=list)
    entering: list[tuple[int, _Key[A]]] = field(default_factory=list)
    forgotten: list[tuple[int, _Key[A]]] = field(default_factory=list)
    renewed: list[_Key[A]] = field(default_factory=list)  # to tell though nothing happens


class Slides(Generic[A]):
    """The panes of keys, and where the windows over them have got to.

    `tell` says whether each window of a key is told, or only those that differ from the one before. Panes are held
    until their last window is `lateness` old: until then one that comes late corrects the windows that were told.
    """

    def __init__(self, window: Sliding, merging: Merging[A], tell: Tell = "every window", lateness: int = 0) -> None:
        self._stay = Grid.of(window).stay
        self._size, self._period = to_micros(window.size), to_micros(window.period)
        self._merging = merging
        self._tell = tell
        self._lateness = lateness
        self._keys: dict[bytes, _Key[A]] = {}
        self._inside: dict[_Key[A], None] = {}  # keys that have something in the window that was told last, in order
        self._turns: dict[int, _Turn[A]] = {}
        self._times: list[int] = []  # a heap of the turns' times
        self._last: int | None = None  # the window that was told last
        self._held = 0
        self._late: dict[_Key[A], set[range]] = {}  # windows that were told, and to which something came since

    def add(self, panes: Iterable[Pane[A]]) -> None:
        """Takes totals of panes, in any order; several of one pane add up."""
        for name, end, total in panes:
            key = self._keys.get(name)
            if key is None:
                key = self._keys[name] = _Key(name)
            pane, new = (end, key), end not in key.panes
            key.panes[end] = total if new else self._merging.merge(key.panes[end], total)
            first, after = self._stay(end)
            if self._last is not None and first <= self._last:
                self._late.setdefault(key, set()).add(range(first, min(self._last + 1, after), self._period))
                if after > self._last:
                    self._amend(key, total, new=new)
            elif new:
                self._turn(first).entering.append(pane)
            if new:
                self._held += 1
                if self._last is None or after > self._last:
                    self._turn(after).leaving.append(pane)
                self._turn(after + self._lateness).forgotten.append(pane)

    def tells(self, until: int) -> Iterator[tuple[int, list[Told[A]]]]:
        """Windows that ended by a moment and are to be told, in order, corrections first.

        What was told is not told again, unless something came to it since and it is not older than the lateness. Totals
        are to be looked at before the next window is asked for, and not to be changed.
        """
        yield from self._corrections(until)
        for end, keys in self._steps(until):
            yield end, [(key.name, [key.queue.total()] if key.queue else []) for key in keys]

    def skip(self, until: int) -> None:
        """Goes on as `tells` does, without a word."""
        deque(self._steps(until), maxlen=0)

    @property
    def due(self) -> int | None:
        """When there is something to do again; None where everything was told and forgotten."""
        return min(self._times[:1] + self._regular(), default=None)

    @property
    def panes(self) -> Iterator[Pane[A]]:
        """All that are held."""
        return ((key.name, end, total) for key in self._keys.values() for end, total in key.panes.items())

    def __len__(self) -> int:
        """How many panes are held."""
        return self._held

    def _turn(self, time: int) -> _Turn[A]:
        turn = self._turns.get(time)
        if turn is None:
            turn = self._turns[time] = _Turn()
            heapq.heappush(self._times, time)
        return turn

    def _steps(self, until: int) -> Iterator[tuple[int, Iterable[_Key[A]]]]:
        """Goes from window to window, to those that are to be told: their keys, of which some have nothing left."""
        while (time := self.due) is not None and time <= until:
            regular = time in self._regular()
            turn = self._turns.pop(heapq.heappop(self._times)) if time in self._times[:1] else _Turn()
            changed = self._take(turn)
            if changed or regular:
                self._last = time
                if keys := self._inside if self._tell == "every window" else changed:
                    yield time, keys
        self._last = until - (until - self._size) % self._period

    def _regular(self) -> list[int]:
        """The next window, if it is to be told whatever happens."""
        if self._last is None or not self._inside or self._tell == "changes":
            return []
        return [self._last + self._period]

    def _take(self, turn: _Turn[A]) -> dict[_Key[A], None]:
        """Lets panes leave and enter; gives the keys of which some did."""
        changed = dict.fromkeys(turn.renewed)
        for end, key in _in_order(turn.leaving):
            assert key.queue  # noqa: S101  what leaves has entered
            key.queue.pop(key.panes[end])
            key.inside -= 1
            changed[key] = None
        for end, key in _in_order(turn.entering):
            key.queue = key.queue or self._queue()
            key.queue.push(key.panes[end])
            key.inside += 1
            changed[key] = None
        for key in changed:
            if key.inside:
                self._inside[key] = None
            else:
                key.queue = None
                self._inside.pop(key, None)
        for end, key in turn.forgotten:
            del key.panes[end]
            self._held -= 1
            if not key.panes:
                del self._keys[key.name]
        return changed

    def _queue(self) -> Queue[A]:
        return (Subtracting if self._merging.subtracts else TwoStacks)(self._merging)

    def _amend(self, key: _Key[A], total: A, *, new: bool) -> None:
        """Puts a late total into the window that was told last."""
        assert self._last is not None  # noqa: S101  otherwise nothing is late
        key.inside += new
        self._inside[key] = None
        if self._merging.subtracts:
            key.queue = key.queue or self._queue()
            key.queue.push(total)
        else:  # it may belong between others
            *_, (_, key.queue) = self._windows(key, [self._last])

    def _corrections(self, until: int) -> Iterator[tuple[int, list[Told[A]]]]:
        told: dict[int, list[Told[A]]] = {}
        late, self._late = self._late, {}
        for key, ranges in late.items():
            ends = sorted({end for stretch in ranges for end in self._to_correct(key, stretch, until)})
            for end, queue in self._windows(key, ends):
                told.setdefault(end, []).append((key.name, [self._merging.copy(queue.total())] if queue else []))
        yield from sorted(told.items())

    def _to_correct(self, key: _Key[A], windows: range, until: int) -> Iterable[int]:
        """Those of the windows to which something came late that are not too old to be told."""
        assert self._last is not None  # noqa: S101  otherwise nothing is late
        stays = windows.stop > self._last
        too_old = len(range(windows.start, until - self._lateness, self._period))
        windows = windows[too_old:]
        if self._tell == "every window":
            return windows
        if not windows:
            following = self._last + self._period
            if stays and following > until:  # an answer that holds is told anew while it does
                return [self._last]
            if stays:
                self._turn(following).renewed.append(key)
            return windows
        changes = {change for end in key.panes for change in self._stay(end)}
        return {windows.start} | {end for end in changes if windows.start < end <= min(windows.stop, self._last)}

    def _windows(self, key: _Key[A], ends: Iterable[int]) -> Iterator[tuple[int, Queue[A] | None]]:
        """Windows of a key, from its panes alone; None where nothing is in it."""
        coming = deque(sorted(key.panes))
        inside: deque[int] = deque()
        queue: Queue[A] | None = None
        for window in ends:
            while inside and self._stay(inside[0])[1] <= window and queue:
                queue.pop(key.panes[inside.popleft()])
            if not inside:
                queue = None
            while coming and self._stay(coming[0])[0] <= window:
                end = coming.popleft()
                if self._stay(end)[1] > window:
                    queue = queue or self._queue()
                    queue.push(key.panes[end])
                    inside.append(end)
            yield window, queue


def _in_order(panes: list[tuple[int, _Key[A]]]) -> list[tuple[int, _Key[A]]]:
    return sorted(panes, key=_end) if len(panes) > 1 else panes


def _end(pane: tuple[int, Any]) -> int:
    return pane[0]

"""How time is cut for the eye: into pieces of a round length, not more than a chart can show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rollups import Store

POINTS = 120  # pieces at most
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_ROUND = (
    *(n for n in (1, 2, 5, 10, 15, 20, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 20, 30)),
    *(n * _HOUR for n in (1, 2, 3, 4, 6, 8, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 28, 56, 140, 280, 560, 1400, 2800, 5600, 14_000, 28_000)),
)
_MICRO = timedelta(microseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Steps:
    """The range from `start` to before `end`, in pieces of `step`, of which the first and the last may be shorter."""

    start: datetime
    end: datetime
    step: timedelta
    window: timedelta
    first: datetime  # where the first piece begins: at `start`, or before it where nothing is stored before `start`

    @property
    def bounds(self) -> list[tuple[datetime, datetime]]:
        """Where each piece begins and ends, as a query with this step has it."""
        count = -((self.first - self.end) // self.step)
        ends = (self.first + n * self.step for n in range(count))
        return [(begin, min(begin + self.step, self.end)) for begin in ends]

    @property
    def partial(self) -> bool:
        """Whether there is a piece that is shorter."""
        return not all(self.whole(*piece) for piece in self.bounds)

    def whole(self, begin: datetime, end: datetime) -> bool:
        """Whether a piece is as long as the others, as far as there is anything stored."""
        return end - begin == self.step and begin >= self.start


def cut(
    store: Store, start: datetime | None = None, end: datetime | None = None, step: timedelta | None = None
) -> Steps | None:
    """The pieces of a range of a store, all that it holds unless bounds are given; None while it is empty.

    Raises ValueError where the step is not a multiple of the store's windows, or bounds are in the wrong order.
    """
    bounds = store.bounds()
    if bounds is None:
        return None
    window = store.window * _MICRO
    begin = start if start is not None else _EPOCH + bounds[0] * window
    stop = end if end is not None else _EPOCH + bounds[1] * window
    if stop <= begin:
        raise ValueError(f"a range must end after it begins, got {begin.isoformat()} to {stop.isoformat()}")
    length = round_step(begin, stop, window) if step is None else step
    if length < window or length % window:
        raise ValueError(f"a step must be a multiple of windows of {window}, got {length}")
    first = begin if start is not None else begin - (begin - _EPOCH) % length
    return Steps(begin, stop, length, window, first)


def round_step(begin: datetime, end: datetime, window: timedelta, points: int = POINTS) -> timedelta:
    """The shortest round step of whole windows that cuts a range into so many pieces at most.

    >>> noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    >>> str(round_step(noon, noon + timedelta(hours=1), timedelta(seconds=10)))
    '0:00:30'
    >>> str(round_step(noon, noon + timedelta(days=5000), timedelta(minutes=1)))
    '56 days, 0:00:00'
    """

    def pieces(step: timedelta) -> int:
        return -((_EPOCH - end) // step) - (begin - _EPOCH) // step

    def first(steps: Iterable[timedelta]) -> timedelta | None:
        return next((step for step in steps if pieces(step) <= points), None)

    own = first(number * 10**power * window for power in range(18) for number in (1, 2, 5))
    rounds = (timedelta(seconds=seconds) for seconds in _ROUND)
    nice = first(step for step in rounds if not step % window)
    if own is None or (nice and nice <= 3 * own):
        return nice or window
    return own  # windows of odd lengths make no round step, or a long one

"""The watermark of a live source, from the event times of what it delivered.

Each shard has come as far as its latest event, minus a bound for what is out of order; the source, as far as the shard
that is farthest behind. A shard at rest goes on with the clock. One event from a clock that is wrong moves nothing.

Each record is stamped with how far its own shard had come before it, which depends on the order within the shard alone:
what is late is late again when the shard is read again. Where the clock had gone on beyond that, a leap says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from apache_beam.utils.timestamp import MIN_TIMESTAMP

UNKNOWN: int = MIN_TIMESTAMP.micros
_AHEAD = 60 * 1_000_000  # microseconds: an event so far ahead of all others must be confirmed
_CONFIRMATIONS = 10  # events in a row that are as far ahead

# Before so many records of a shard, the watermark had gone on to here.
Leap: TypeAlias = tuple[str, int, int]


@dataclass
class _Shard:
    latest: int = UNKNOWN  # microseconds since 1970
    ahead: list[int] = field(default_factory=list)  # events far ahead, in a row
    seen: int = 0  # records
    rests_since: float | None = None  # by the clock that is handed in


class EventClock:
    """Follows event times of shards.

    Times are microseconds since 1970, and `now` is seconds of a clock that never steps.
    `bound` is how far out of order events come, and `idle` how long a shard rests before the clock takes over, both in
    seconds. `leaps` are those of a run before, whose shards are read again.

    An event more than a minute ahead of all that came before on its shard counts when ten in a row are: a clock
    that is wrong must not close every window.

    >>> clock = EventClock(bound=5, idle=30)
    >>> clock.see("", [1_000_000_000, 1_020_000_000, 1_010_000_000])[1:]
    [995000000, 1015000000]
    >>> clock.watermark(now=0)
    1015000000
    """

    def __init__(self, *, bound: float, idle: float, leaps: Iterable[Leap] = ()) -> None:
        self._bound = round(bound * 1e6)
        self._idle = idle
        self._shards: dict[str, _Shard] = {}
        self._told = UNKNOWN
        self._before = {(shard, seen): told for shard, seen, told in leaps}
        self.leaps: list[Leap] = []  # that happened since they were taken

    def see(self, shard: str, times: Iterable[int]) -> list[int]:
        """Takes the event times of what a shard delivered, in order; tells how far it had come before each."""
        state = self._shards.setdefault(shard, _Shard())
        state.rests_since = None
        self._leap(shard, state)
        bound, latest, ahead = self._bound, state.latest, state.ahead
        stamps = []
        for seen, time in enumerate(times, state.seen):
            if self._before and (leap := self._before.pop((shard, seen), None)) is not None:
                latest = max(latest, leap + bound)
            stamps.append(UNKNOWN if latest == UNKNOWN else latest - bound)
            if latest != UNKNOWN and time > latest + _AHEAD:
                ahead.append(time)
                if len(ahead) == _CONFIRMATIONS:
                    latest = min(ahead)
                    ahead.clear()
                continue
            ahead.clear()
            latest = max(latest, time)
        state.seen += len(stamps)
        state.latest = latest
        return stamps

    def _leap(self, name: str, shard: _Shard) -> None:
        """Sees to it that no stamp is before what was told."""
        if self._told != UNKNOWN and self._told + self._bound > shard.latest:
            shard.latest = self._told + self._bound
            self.leaps.append((name, shard.seen, self._told))

    def rest(self, at_end: Mapping[str, bool], now: float) -> None:
        """Takes word of which shards have nothing more for now. Those that are gone hold nothing any more."""
        for shard in self._shards.keys() - at_end.keys():
            del self._shards[shard]
        for shard, ends in at_end.items():
            state = self._shards.setdefault(shard, _Shard())
            if not ends:
                state.rests_since = None
            elif state.rests_since is None:
                state.rests_since = now

    def watermark(self, now: float) -> int:
        """How far the source has come; never less than was said before."""
        reached = [self._reached(state, now) for state in self._shards.values()]
        if known := [time for time in reached if time is not None]:
            self._told = max(self._told, min(known))
        return self._told

    def _reached(self, shard: _Shard, now: float) -> int | None:
        """How far a shard has come; None where it holds nothing, since nothing ever came and it rests."""
        resting = 0.0 if shard.rests_since is None else now - shard.rests_since - self._idle
        if shard.latest == UNKNOWN:
            return None if resting > 0 else UNKNOWN
        return shard.latest - self._bound + max(0, round(resting * 1e6))

    def state(self) -> dict[str, Any]:
        """What must be kept to go on: JSON."""
        shards = {name: [of.latest, of.seen, *of.ahead] for name, of in self._shards.items()}
        return {"told": self._told, "shards": shards}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was told."""
        self._told = state["told"]
        self._shards = {name: _Shard(latest, ahead, seen) for name, (latest, seen, *ahead) in state["shards"].items()}

"""The watermark of a live source, from the event times of what it delivered.

Each shard has come as far as its latest event, minus a bound for what is out of order; the source, as far as the shard
that is farthest behind. A shard at rest goes on with the clock. One event from a clock that is wrong moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from apache_beam.utils.timestamp import MIN_TIMESTAMP

_UNKNOWN: int = MIN_TIMESTAMP.micros
_LEAP = 600 * 1_000_000  # microseconds: an event so far ahead of all others must be confirmed
_CONFIRMATIONS = 3  # events in a row that are as far ahead


@dataclass
class _Shard:
    latest: int = _UNKNOWN  # microseconds since 1970
    leaping: list[int] = field(default_factory=list)  # events far ahead, in a row
    rests_since: float | None = None  # by the clock that is handed in


class EventClock:
    """Follows event times of shards.

    Times are microseconds since 1970, and `now` is seconds of a clock that never steps.

    `bound` is how far out of order events come, and `idle` how long a shard rests before the clock takes over, both in
    seconds. Until a shard rests, the watermark is a function of its events and their order alone.

    An event more than ten minutes ahead of all that came before on its shard counts when three in a row are: a clock
    that is wrong must not close every window.

    >>> clock = EventClock(bound=5, idle=30)
    >>> clock.see("", [1_000_000_000, 1_020_000_000, 1_010_000_000])
    >>> clock.watermark(now=0)
    1015000000
    """

    def __init__(self, *, bound: float, idle: float) -> None:
        self._bound = round(bound * 1e6)
        self._idle = idle
        self._shards: dict[str, _Shard] = {}
        self._told = _UNKNOWN

    def see(self, shard: str, times: Iterable[int]) -> None:
        """Takes the event times of what a shard delivered, in order."""
        state = self._shards.setdefault(shard, _Shard())
        state.rests_since = None
        latest, leaping = state.latest, state.leaping
        for time in times:
            if latest != _UNKNOWN and time > latest + _LEAP:
                leaping.append(time)
                if len(leaping) == _CONFIRMATIONS:
                    latest = min(leaping)
                    leaping.clear()
                continue
            leaping.clear()
            latest = max(latest, time)
        state.latest = latest

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
        if shard.latest == _UNKNOWN:
            return None if resting > 0 else _UNKNOWN
        return shard.latest - self._bound + max(0, round(resting * 1e6))

    def state(self) -> dict[str, Any]:
        """What must be kept to go on: JSON."""
        shards = {name: [shard.latest, *shard.leaping] for name, shard in self._shards.items()}
        return {"told": self._told, "shards": shards}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Goes on where `state` was told."""
        self._told = state["told"]
        self._shards = {name: _Shard(latest, leaping) for name, (latest, *leaping) in state["shards"].items()}

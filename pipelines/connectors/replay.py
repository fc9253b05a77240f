"""Reads recorded files as if they happened now: replay:tweets.jsonl?speed=10&time=created_at. It ends where they do.

Rows come in the order of files and of lines, paced by their event times; one that is behind comes at once, and so does
one without a time. A speed of 1 is as it happened.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass

import orjson

from pipelines.connectors.addresses import parse_address
from pipelines.connectors.decoding import describe
from pipelines.connectors.feeds import Feed, LiveInput, Mark, Message, Unreachable
from pipelines.connectors.read_files import find_splits, rows_of
from transforms.parsing import Payload, parse_time

_TIMES = ("created_at", "time", "timestamp")


@dataclass(frozen=True)
class Recording(LiveInput):
    """Files that were written once, or a glob of them."""

    path: str
    speed: float = 1.0
    time: str | None = None  # the field to pace by

    @property
    def source(self) -> str:
        return f"replay:{self.path}"

    def check(self) -> None:
        try:
            find_splits(self.path)
        except Exception as error:
            raise Unreachable(f"{self.path!r} cannot be replayed: {describe(error)}") from error

    def open(self, mark: Mark | None) -> Replay:
        return Replay(self, mark)

    def rows(self) -> Generator[Payload, None, None]:
        """All that was recorded, in order."""
        for split in find_splits(self.path):
            for _, payload in rows_of(split):
                yield payload

    def time_of(self, payload: Payload) -> float | None:
        """Seconds since 1970 by the field that tells them, where it does."""
        try:
            row = payload if isinstance(payload, Mapping) else orjson.loads(payload)
            name = self.time or next(name for name in _TIMES if name in row)
            return parse_time(row[name]).timestamp()
        except (ValueError, KeyError, TypeError, StopIteration):
            return None


class Replay(Feed):
    """The rows of a recording, when they are due. A mark counts them: reading on passes over those before."""

    def __init__(self, of: Recording, mark: Mark | None, clock: Callable[[], float] = time.time) -> None:
        self._of, self._clock = of, clock
        self._next: int = mark["next"] if mark else 0
        self._latest: float | None = mark["latest"] if mark else None  # the event time to go on from
        self._began = clock()
        self._origin = self._latest  # the event time of that moment
        self._all = of.rows()
        self._rows = itertools.islice(self._all, self._next, None)
        self._held = next(self._rows, None)

    def poll(self, most: int) -> list[Message]:
        now, found = self._clock(), list[Message]()
        while self._held is not None and len(found) < most:
            moment = self._of.time_of(self._held)
            if moment is not None:
                self._origin = moment if self._origin is None else self._origin
                if moment > self._origin + (now - self._began) * self._of.speed:
                    break
                self._latest = moment if self._latest is None else max(moment, self._latest)
            found.append(Message(self._held, self._next, now if self._latest is None else self._latest))
            self._next += 1
            self._held = next(self._rows, None)
        return found

    def mark(self) -> Mark:
        return {"version": 1, "next": self._next, "latest": self._latest}

    def at_end(self) -> Mapping[str, bool]:
        return {"": self.ended()}

    def ended(self) -> bool:
        return self._held is None

    def close(self) -> None:
        self._all.close()


def input_of(uri: str) -> Recording:
    """What an address says."""
    parts, values = parse_address(uri, {"speed": _speed, "time": str})
    return Recording(uri.rpartition("?")[0 if parts.query else 2].removeprefix(f"{parts.scheme}:"), **values)


def _speed(text: str) -> float:
    speed = float(text)
    if not 0 < speed < math.inf:
        raise ValueError("must be more than 0, where 1 is as it happened")
    return speed

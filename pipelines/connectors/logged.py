"""Messages that a system gives away once: they are synced to a log, and only then acknowledged to the system."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping

import orjson

from pipelines.connectors.feeds import Feed, Mark, Message
from pipelines.connectors.log import Log


class Logged(Feed):
    """What another feed tells, as a log holds it: in the same order after any crash, each message once.

    `opened` opens the other feed so that it leaves out messages of these ids. The log keeps what was acknowledged for
    `remember` seconds, for their ids. The system sees an acknowledgement as soon as a message is on the disk, so that
    deadlines do not depend on how long windows are.
    """

    def __init__(
        self,
        opened: Callable[[Iterable[str]], Feed],
        directory: str,
        mark: Mark | None,
        remember: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = Log(directory)
        try:
            self._next: int = mark["next"] if mark else self._log.begin()
            self._feed = opened(message.id for message in self._kept() if message.id)
        except BaseException:
            self._log.close()
            raise
        self._remember, self._clock = remember, clock
        self._ends = deque([(clock(), self._log.end)])  # how far the log was, and when

    def _kept(self) -> Iterable[Message]:
        number = self._log.first
        while some := self._log.read(number, 1000):
            yield from map(_unpacked, some)
            number += len(some)

    def poll(self, most: int) -> list[Message]:
        if self._next == self._log.end and (found := self._feed.poll(most)):
            self._log.append([(message.written, _packed(message)) for message in found])
            self._feed.acknowledge(self._feed.mark())
            self._ends.append((self._clock(), self._log.end))
        told = self._log.read(self._next, most)
        self._next += len(told)
        return list(map(_unpacked, told))

    def mark(self) -> Mark:
        return {"version": 1, "next": self._next}

    def repeated(self) -> int:
        return self._feed.repeated()

    def at_end(self) -> Mapping[str, bool]:
        there = self._next == self._log.end
        return {shard: there and ends for shard, ends in self._feed.at_end().items()}

    def ended(self) -> bool:
        return self._next == self._log.end and self._feed.ended()

    def acknowledge(self, mark: Mark) -> None:
        while len(self._ends) > 1 and self._ends[1][0] < self._clock() - self._remember:
            self._ends.popleft()
        self._log.forget(mark["next"], keep=self._ends[0][1])

    def close(self) -> None:
        self._feed.close()
        self._log.close()


def _packed(message: Message) -> bytes:
    about = {"id": message.id, "position": message.position, "shard": message.shard, "source": message.source}
    told = about | {"attributes": dict(message.attributes), "problem": message.problem}
    return orjson.dumps(told) + b"\n" + _bytes(message)


def _bytes(message: Message) -> bytes:
    return message.payload if isinstance(message.payload, bytes) else orjson.dumps(message.payload)


def _unpacked(message: Message) -> Message:
    about, _, payload = _bytes(message).partition(b"\n")
    return Message(payload=payload, written=message.written, **orjson.loads(about))

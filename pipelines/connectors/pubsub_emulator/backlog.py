"""The messages of a subscription: delivered, kept until they are acknowledged, and delivered again if they are not."""

from __future__ import annotations

import heapq
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Delivery(Generic[M]):
    """A message on its way, what it is acknowledged by, and how often it was delivered by now."""

    ack_id: str
    message: M
    attempt: int


@dataclass(slots=True)
class _Kept(Generic[M]):
    message: M
    key: str  # of messages that keep their order; "" for none
    attempts: int = 0
    ack_id: str = ""  # "" while nobody has it
    expiry: float = 0.0


class Backlog(Generic[M]):
    """Delivers messages at least once, those of an ordering key in order. Safe to call from any thread.

    A message that is delivered is out for `deadline` seconds, unless that is modified. If it was not acknowledged by
    then it is delivered again, and with it all later ones of its ordering key. Of a key nothing more is delivered
    while some of it is out. An `ack_id` that is out of date is passed over.
    """

    def __init__(self, deadline: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._deadline = deadline
        self._clock = clock
        self._changed = threading.Condition()
        self._kept: dict[int, _Kept[M]] = {}
        self._ready: list[int] = []  # a heap of numbers
        self._out: dict[str, int] = {}
        self._keys_out: dict[str, set[int]] = {}
        self._next = 0

    def __len__(self) -> int:
        """How many messages are not acknowledged."""
        with self._changed:
            return len(self._kept)

    def put(self, messages: Iterable[tuple[M, str]]) -> None:
        """Takes messages and their ordering keys; "" where order is nothing to them."""
        with self._changed:
            for message, key in messages:
                self._kept[self._next] = _Kept(message, key)
                heapq.heappush(self._ready, self._next)
                self._next += 1
            self._changed.notify_all()

    def take(
        self, most: int, wait: float, deadline: float | None = None, wanted: Callable[[], bool] = lambda: True
    ) -> list[Delivery[M]]:
        """At most so many deliveries; waits so long for the first one, as long as it is `wanted`."""
        end = self._clock() + wait
        with self._changed:
            while wanted():
                self._expire()
                if taken := self._take(most, deadline or self._deadline):
                    return taken
                if (left := end - self._clock()) <= 0:
                    break
                self._changed.wait(min(left, 0.05))  # deadlines may pass meanwhile, and who waits may go
        return []

    def acknowledge(self, ack_ids: Iterable[str]) -> None:
        """These need not be delivered again."""
        with self._changed:
            self._expire()
            for ack_id in ack_ids:
                number = self._back(ack_id)
                if number is not None:
                    del self._kept[number]
            self._changed.notify_all()

    def modify(self, ack_id: str, deadline: float) -> None:
        """This is out for so many seconds from now; with 0, it is delivered again."""
        with self._changed:
            self._expire()
            if ack_id not in self._out:
                return
            if deadline > 0:
                self._kept[self._out[ack_id]].expiry = self._clock() + deadline
            else:
                self._return(self._out[ack_id])
                self._changed.notify_all()

    def _take(self, most: int, deadline: float) -> list[Delivery[M]]:
        taken: list[Delivery[M]] = []
        blocked: list[int] = []
        keys = frozenset(self._keys_out)  # those of this delivery are in order among themselves
        while self._ready and len(taken) < most:
            number = heapq.heappop(self._ready)
            kept = self._kept[number]
            if kept.key in keys:
                blocked.append(number)
                continue
            kept.attempts += 1
            kept.ack_id, kept.expiry = uuid.uuid4().hex, self._clock() + deadline
            self._out[kept.ack_id] = number
            if kept.key:
                self._keys_out.setdefault(kept.key, set()).add(number)
            taken.append(Delivery(kept.ack_id, kept.message, kept.attempts))
        for number in blocked:
            heapq.heappush(self._ready, number)
        return taken

    def _expire(self) -> None:
        now = self._clock()
        for number in [number for number in self._out.values() if self._kept[number].expiry <= now]:
            self._return(number)

    def _return(self, number: int) -> None:
        """Makes a message ready again, and what is out of its key and behind it."""
        key = self._kept[number].key
        behind = [other for other in self._keys_out.get(key, ()) if other >= number] if key else [number]
        for each in behind:
            if self._kept[each].ack_id:
                self._back(self._kept[each].ack_id)
                heapq.heappush(self._ready, each)

    def _back(self, ack_id: str) -> int | None:
        """The number of a message that was out, and is no more."""
        number = self._out.pop(ack_id, None)
        if number is None:
            return None
        kept = self._kept[number]
        kept.ack_id = ""
        if kept.key:
            self._keys_out[kept.key].discard(number)
            if not self._keys_out[kept.key]:
                del self._keys_out[kept.key]
        return number

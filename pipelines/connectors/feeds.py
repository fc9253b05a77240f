"""What a live system must be able to do for its messages to be read: be opened, polled, and told what is safe.

A new system is two small classes, a LiveInput that says where it is and a Feed that reads it; `ReadLive` does the rest:
event times and the watermark, blocks, limits, checkpoints, the end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from transforms.parsing import Payload

# Where a feed goes on: JSON, with a `version` that its feed knows.
Mark: TypeAlias = dict[str, Any]


class Unreachable(ValueError):  # noqa: N818  it reads as what it says
    """A system that cannot be read as asked: it does not answer, does not know the name, or refuses the credentials."""


@dataclass(frozen=True, slots=True)
class Message:
    """What a system delivered, and when it says that it was written."""

    payload: Payload
    position: int  # within its shard, or its source: an offset, the number of a line, a cursor
    written: float  # seconds since 1970; the event time where the payload tells none
    shard: str = ""  # the part of the system in which messages keep their order, such as a partition
    id: str | None = None  # the same when a message is delivered again, by systems that do so
    attributes: Mapping[str, str] = field(default_factory=dict)  # headers, and `key` where there is one
    source: str | None = None  # where it is from, if that says more than the address: a file
    problem: str | None = None  # why it cannot be decoded, though it is there: what is too long, or damaged


class Feed(ABC):
    """A live system that has been opened. Calls come from one thread at a time, but `acknowledge` from any."""

    @abstractmethod
    def poll(self, most: int) -> list[Message]:
        """At most so many messages of those that are there, in order within their shards.

        Never waits longer than a few milliseconds, and rides out what a system recovers from. Raises Unreachable
        where it will not recover.
        """

    @abstractmethod
    def mark(self) -> Mark:
        """Where a feed that is opened with it goes on: behind all that was polled."""

    @abstractmethod
    def at_end(self) -> Mapping[str, bool]:
        """For each shard whether all that is in it was polled, as far as is known now.

        A shard that is at its end is at rest, and does not hold the watermark for long. One that cannot be reached is
        not at its end. A shard that nothing came from yet is told, too.
        """

    def repeated(self) -> int:
        """How many messages were left out since this was asked last: delivered again, and told before."""
        return 0

    def acknowledge(self, mark: Mark) -> None:  # noqa: B027  most systems need not know
        """Everything up to a mark, of this feed or one before, is safe with the runner. May come twice, or never."""

    def ended(self) -> bool:
        """Whether nothing will ever come again."""
        return False

    def finish(self) -> bool:
        """Asked to end: whether what is there by now is to be polled still, until a poll gives nothing.

        By default it is not: what was not polled stays where it is.
        """
        return False

    @abstractmethod
    def close(self) -> None:
        """Gives back what it holds. What was polled and never acknowledged will be delivered again."""


class LiveInput(ABC):
    """Where messages come from: a frozen dataclass that pickles, without secrets. One of them is one feed."""

    @property
    @abstractmethod
    def source(self) -> str:
        """What rejects call it: its address without what is secret."""

    @abstractmethod
    def check(self) -> None:
        """Raises Unreachable within 15 seconds, where a pipeline would find out too late."""

    @abstractmethod
    def open(self, mark: Mark | None) -> Feed:
        """Opens the system at a mark, or where its address says. Cheap: a runner may open, close and reopen it."""

    def kept_in(self, directory: str) -> LiveInput:
        """The same for a run that keeps a state, with a log in a directory of it where it cannot be read again."""
        del directory
        return self

    def native(self, runner: str) -> Any | None:
        """What the runner of a name reads the system with by itself, where it does: a transform that makes Messages.

        They are at their event times, `written`. Raises ValueError where the address asks for what it cannot do.
        """
        del runner
        return None

    def split(self, desired: int) -> list[LiveInput]:
        """Independent parts, at most so many, whose shards are read side by side."""
        del desired
        return [self]

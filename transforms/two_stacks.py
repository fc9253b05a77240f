"""Totals of a queue, at the same cost however long it is: what came last is added, what came first is taken away.

Where totals can be subtracted from, the oldest one is. Where they only merge, two stacks hold the queue: the older part
as the totals of all its ends, the newer part as its values and one total. When the older part is used up, the newer one
is turned over to it, so that each value is merged three times at most (Tangwongsan, Hirzel and Schneider, Low-Latency
Sliding-Window Aggregation in Worst-Case Constant Time, 2017, section 3).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

A = TypeVar("A")


class Merging(ABC, Generic[A]):
    """How totals merge. `merge` and `subtract` may change their first argument, and never the second."""

    subtracts: bool = False

    @abstractmethod
    def merge(self, total: A, other: A) -> A:
        """All that both have seen."""

    def subtract(self, total: A, other: A) -> A:
        """What total has seen and other has not; asked for only if it `subtracts`."""
        raise NotImplementedError(f"{type(self).__name__} does not subtract")

    @abstractmethod
    def copy(self, total: A) -> A:
        """An equal total that may be changed without changing this one."""


class Queue(ABC, Generic[A]):
    """A total of the values that were pushed and not popped yet; values are never changed."""

    @abstractmethod
    def push(self, value: A) -> None:
        """Adds the newest value."""

    @abstractmethod
    def pop(self, value: A) -> None:
        """Takes the oldest value away, which is this one."""

    @abstractmethod
    def total(self) -> A:
        """The total, to be looked at but not changed; a queue that is empty has none."""


class Subtracting(Queue[A]):
    """One total, from which values are subtracted: they may leave in any order."""

    def __init__(self, merging: Merging[A]) -> None:
        self._merging = merging
        self._total: list[A] = []  # one, unless nothing was pushed

    def push(self, value: A) -> None:
        self._total = [self._merging.merge(total, value) for total in self._total] or [self._merging.copy(value)]

    def pop(self, value: A) -> None:
        self._total = [self._merging.subtract(total, value) for total in self._total]

    def total(self) -> A:
        return self._total[0]


class TwoStacks(Queue[A]):
    """Two stacks, for totals that only merge: values leave in the order in which they came.

    >>> class Largest(Merging[int]):
    ...     def merge(self, total, other): return max(total, other)
    ...     def copy(self, total): return total
    >>> queue = TwoStacks(Largest())
    >>> for n in (4, 1, 2): queue.push(n)
    >>> queue.pop(4); queue.total()
    2
    """

    def __init__(self, merging: Merging[A]) -> None:
        self._merging = merging
        self._older: list[A] = []  # totals: the first is of the newest value here, the last of all of them
        self._newer: list[A] = []  # values
        self._of_newer: list[A] = []  # their total, if there are any
        self._total: list[A] = []  # of both parts, once it was asked for

    def push(self, value: A) -> None:
        self._newer.append(value)
        merge, copy = self._merging.merge, self._merging.copy
        self._of_newer = [merge(total, value) for total in self._of_newer] or [copy(value)]
        self._total = []

    def pop(self, value: A) -> None:
        del value  # the order tells which it is
        if not self._older:
            self._turn_over()
        self._older.pop()
        self._total = []

    def total(self) -> A:
        if not self._total:
            parts = self._older[-1:] + self._of_newer
            self._total = parts if len(parts) == 1 else [self._merging.merge(self._merging.copy(parts[0]), parts[1])]
        return self._total[0]

    def _turn_over(self) -> None:
        merge, copy = self._merging.merge, self._merging.copy
        for value in reversed(self._newer):
            self._older.append(merge(copy(value), self._older[-1]) if self._older else copy(value))
        self._newer = []
        self._of_newer = []

"""Which item is the k-th, and which come next to x? An ordered multiset that stays ordered while items come and go.

Source: Pugh, Skip lists: a probabilistic alternative to balanced trees (1990). The height of an item's tower is decided
by its hash, where Pugh throws a coin: so equal contents make equal lists, whatever their history.
"""

from __future__ import annotations

import os
import struct
from itertools import repeat, takewhile
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.counts import pack_counts, unpack_counts
from transforms.sketches.hashing import Hasher
from transforms.sketches.orderable import Item, plain, sorted_entries
from transforms.sketches.pieces import join_pieces, split_pieces
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch
from transforms.sketches.towers import Towers

_HEADER = struct.Struct("<BQQ")  # kind of the items, how many are different, bytes of their counts
_KINDS = (int, float, str)  # by their number in stored bytes, for ever
# A key of this process alone: nobody can choose items that make a slow list. Heights show in no answer and no bytes.
_LEVELS = Hasher(os.urandom(16))


class SkipList(Sketch):
    """The k-th smallest, the rank of x, its neighbours and what lies between: exact, in O(log n) steps each.

    A multiset of ints of 64 bits, floats or strings (in order of their code points), one kind a list. Memory grows with
    the number of different items: 16 bytes each, and some 100 in Python. With `keep` and `capacity` only so many of the
    largest or smallest stay, equal ones counted each. Merging gives equal bytes in any order, bounded lists included.

    Raises ValueError for missing values, NaN, another kind, and for `remove` from a bounded list, which has forgotten
    what would move up.

    >>> scores = SkipList()
    >>> scores.add_many([30, 10, 20, 20])
    >>> scores.kth(3), scores.rank(20), scores.floor(19), scores.ceiling(21), scores.range(15, 30)
    (20, 3, 10, 30, [20, 20, 30])
    >>> best = SkipList(keep="largest", capacity=2)
    >>> best.merge(best); best.add_many([0.3, 0.9, 0.5]); best.range(0.0, 1.0)
    [0.5, 0.9]
    """

    KIND = "skip_list"

    def __init__(
        self,
        *,
        keep: Literal["largest", "smallest"] | None = None,
        capacity: int | None = None,
    ) -> None:
        if (keep is None) != (capacity is None) or keep not in {None, "largest", "smallest"}:
            raise ValueError(
                f'keep must be "largest" or "smallest", and have a capacity, got {keep!r} with {capacity!r}: '
                "give both, or neither to keep all"
            )
        if capacity is not None and capacity < 1:
            raise ValueError(f"capacity must be at least 1 item, got {capacity}")
        self._keep, self._capacity = keep, capacity
        self._build([], [])

    @property
    def parameters(self) -> Parameters:
        return {} if self._keep is None or self._capacity is None else {"keep": self._keep, "capacity": self._capacity}

    @property
    def count(self) -> int:
        """How many items are held, equal ones counted each."""
        return self._towers.count

    def kth(self, k: int) -> Any:
        """The k-th smallest item, from 1 to count; raises ValueError for any other k."""
        if not 1 <= k <= self.count:
            raise ValueError(f"k must be from 1 to the count, which is {self.count}, got {k}")
        return self._towers.kth(k)

    def rank(self, x: Item) -> int:
        """How many items are at most x: kth(rank(x)) is floor(x)."""
        return self._towers.rank(self._comparable(x))

    def floor(self, x: Item) -> Any:
        """The largest item that is at most x; None where all are larger."""
        leaf, at = self._towers.path(self._comparable(x))[-1]
        return leaf.keys[at]

    def ceiling(self, x: Item) -> Any:
        """The smallest item that is at least x; None where all are smaller."""
        return next((item for item, _ in self._towers.entries_from(self._comparable(x))), None)

    def range(self, a: Item, b: Item) -> list[Any]:
        """The items from a to b, both included, in order, each as often as it was added."""
        end = self._comparable(b)
        entries = takewhile(lambda entry: entry[0] <= end, self._towers.entries_from(self._comparable(a)))
        return [item for item, times in entries for _ in repeat(None, times)]

    def add_many(self, values: Any) -> None:
        """Adds numbers or strings of one kind; where it raises ValueError it adds nothing."""
        self._add(*sorted_entries(values))

    def merge(self, other: Self) -> None:
        """Adds all items of other; raises ValueError where the lists are unlike or their items of two kinds."""
        self._require_alike(other)
        self._add(*other._entries())

    def remove(self, item: Item) -> None:
        """Takes an item out, once; raises ValueError where it is not in, or the list is bounded."""
        if self._capacity is not None:
            raise ValueError("cannot remove from a bounded list, which forgot what would move up: make it unbounded")
        if self.floor(item) != item:
            raise ValueError(f"cannot remove {item!r}, which is not in the list: add it first")
        self._towers.take(plain(item), 1)

    def memory(self) -> int:
        return sum(8 + (len(item) if isinstance(item, str) else 8) for item, _ in self._towers.entries())

    def _payload(self) -> bytes:
        items, counts = self._entries()
        packed = pack_counts(np.array(counts, np.int64))
        kind = _KINDS.index(type(items[0])) if items else 0
        return _HEADER.pack(kind, len(items), len(packed)) + packed + _pack(items)

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        skip_list = cls(**dict[str, Any](parameters))
        kind, different, packed = _HEADER.unpack_from(payload)
        start = _HEADER.size + packed
        if kind >= len(_KINDS) or max(different, start) > len(payload):
            raise ValueError(f"{different} items of kind {kind} must not take {len(payload)} bytes")
        counts = unpack_counts(payload[_HEADER.size : start], different)
        stored = _unpack(_KINDS[kind], different, payload[start:])
        items, _ = sorted_entries(stored)
        if items != stored or not (counts > 0).all():
            raise ValueError("items must ascend, and be there at least once: these bytes were changed")
        if (total := sum(counts.tolist())) > (skip_list._capacity or total):
            raise ValueError(f"a list with that capacity holds at most {skip_list._capacity} items, got {total}")
        skip_list._build(items, counts.tolist())
        return skip_list

    def _entries(self) -> tuple[list[Any], list[int]]:
        entries = list(self._towers.entries())
        return [item for item, _ in entries], [times for _, times in entries]

    def _build(self, items: list[Any], counts: list[int]) -> None:
        self._towers = Towers(items, counts, _heights(items))

    def _add(self, items: list[Any], counts: list[int]) -> None:
        """Adds different items in ascending order: few one by one, many by building the list anew."""
        if not items:
            return
        self._comparable(items[0])
        items, counts = self._within_capacity(items, counts)
        if len(items) * 16 < self._towers.different:
            heights = _heights(items).tolist()
            for item, times, height in zip(items, counts, heights, strict=True):
                self._towers.insert(item, times, height)
            self._forget_excess()
            return
        totals = dict(self._towers.entries())
        for item, times in zip(items, counts, strict=True):
            totals[item] = totals.get(item, 0) + times
        merged = sorted(totals)
        self._build(*self._within_capacity(merged, [totals[item] for item in merged]))

    def _within_capacity(self, items: list[Any], counts: list[int]) -> tuple[list[Any], list[int]]:
        """What of these is among the largest or smallest."""
        if self._capacity is None:
            return items, counts
        order = slice(None, None, -1 if self._keep == "largest" else 1)  # from the best on
        before = np.cumsum([0, *counts[order]])[:-1]
        room = np.minimum(counts[order], self._capacity - before)
        kept = int(np.count_nonzero(room > 0))
        return items[order][:kept][order], room[:kept].tolist()[order]

    def _forget_excess(self) -> None:
        while self._capacity is not None and (excess := self.count - self._capacity) > 0:
            worst = self.kth(1 if self._keep == "largest" else self.count)
            leaf, at = self._towers.path(worst)[-1]
            self._towers.take(worst, min(excess, leaf.counts[at]))

    def _comparable(self, x: Any) -> Any:
        """An item that may be held against those here."""
        item = plain(x)
        held = next((type(item) for item, _ in self._towers.entries()), type(item))
        if type(item) is not held:
            raise ValueError(f"this list holds {held.__name__}, got {x!r}: convert it, or make another list")
        return item


def _heights(items: list[Any]) -> NDArray[np.int64]:
    """How many levels each item's tower rises above the ground: at least h for one item in 16^h."""
    hashes = _LEVELS.hash_many(items)
    heights = np.zeros(len(items), np.int64)
    for level in range(1, 16):
        tall = hashes & np.uint64(16**level - 1) == 0
        if not tall.any():
            break
        heights += tall
    return heights


def _pack(items: list[Any]) -> bytes:
    if not items or not isinstance(items[0], str):
        return np.array(items, "<i8" if items and isinstance(items[0], int) else "<f8").tobytes()
    return join_pieces([item.encode() for item in items])


def _unpack(kind: type, count: int, data: bytes) -> list[Any]:
    if kind is str:
        items: list[Any] = [piece.decode() for piece in split_pieces(data)]
    else:
        items = np.frombuffer(data, "<i8" if kind is int else "<f8").tolist()
    if len(items) != count:
        raise ValueError(f"there must be {count} items, got {len(items)}")
    return items

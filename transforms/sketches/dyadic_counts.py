"""How many values lie before each of many cells, within certain bounds: exact counts above, a Count-Min a level below.

Source: Cormode and Muthukrishnan, An improved data stream summary: the Count-Min sketch and its applications (2005).
Every level has the intervals of twice the length of those of the level below it.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.count_min import add_weights
from transforms.sketches.counts import pack_counts, unpack_counts
from transforms.sketches.derived import double_hashes
from transforms.sketches.hashing import Hasher

_Counts = NDArray[np.int64]

_BLOCK = 16_384  # values added at once
_MOST = 2**25  # counters
_LENGTH = struct.Struct("<I")  # bytes of the exact counts, which come first


class DyadicCounts:
    """Counts of values in cells 0 to `cells` - 1, so that sums from the first cell on are off by at most epsilon.

    A sum is the middle of its certain bounds; it is off by more than epsilon of all values with probability below
    delta. Raises ValueError where that takes more than 2^25 counters (256 MB).

    >>> counts = DyadicCounts(1000, 0.01, 0.01, Hasher())
    >>> counts.add(np.array([3, 5, 5, 900]))
    >>> counts.before(5), counts.find(3)
    ((1, 1), (5, 5, 5))
    """

    def __init__(self, cells: int, epsilon: float, delta: float, hasher: Hasher) -> None:
        if not (0.0 < epsilon < 1.0 and 0.0 < delta < 1.0):
            raise ValueError(f"epsilon and delta must lie between 0 and 1, got {epsilon} and {delta}; try 0.01")
        self._cells = cells
        self._hasher = hasher
        self._shape = _cheapest(cells, epsilon, delta)
        if self._shape.counters > _MOST:
            raise ValueError(
                f"a sketch must have at most {_MOST:,} counters, got {self._shape.counters:,} for epsilon {epsilon} "
                f"and {cells:,} cells: use a larger epsilon or a coarser resolution"
            )
        self._exact = np.zeros(self._shape.nodes, np.int64)  # values in each interval of 2^levels cells
        self._rows = np.zeros((self._shape.levels, self._shape.depth, self._shape.width), np.int64)

    @property
    def total(self) -> int:
        """How many values."""
        return int(self._exact.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of all counters."""
        return self._exact.nbytes + self._rows.nbytes

    def add(self, cells: _Counts) -> None:
        """Adds a value to each of these cells."""
        for start in range(0, cells.size, _BLOCK):
            self._add_sorted(np.sort(cells[start : start + _BLOCK]))

    def add_all(self, other: DyadicCounts) -> None:
        """Adds the counts of other, which is of the same shape."""
        self._exact += other._exact
        self._rows += other._rows

    def take_all(self, other: DyadicCounts) -> bool:
        """Takes away the counts of other, unless one would fall below zero; whether it did."""
        exact, rows = self._exact - other._exact, self._rows - other._rows
        if (exact < 0).any() or (rows < 0).any():
            return False
        self._exact, self._rows = exact, rows
        return True

    def before(self, cell: int) -> tuple[int, int]:
        """Certain bounds of how many values are in earlier cells: a Count-Min never counts too few on either side."""
        if cell >= self._cells:
            return self.total, self.total
        top = cell >> self._shape.levels
        surely, here = int(self._exact[:top].sum()), int(self._exact[top])
        if not self._shape.levels:
            return surely, surely
        levels = np.arange(self._shape.levels)
        nodes = cell >> levels
        beside = self._at_most(levels, nodes ^ 1)
        before = int(beside[nodes & 1 == 1].sum())
        after = int(beside[nodes & 1 == 0].sum()) + int(self._at_most(0, nodes[:1])[0])
        return surely + max(here - after, 0), surely + min(before, here)

    def find(self, place: int) -> tuple[int, int, int]:
        """The cell with the value at a place, from 1: the first that it may be in, the likeliest, and the last."""
        ends = self._exact.cumsum()
        top = int(ends.searchsorted(place))
        here = int(self._exact[top])
        place -= int(ends[top]) - here
        nodes, before, after = np.full(3, top), np.zeros(3, np.int64), np.zeros(3, np.int64)
        for level in reversed(range(self._shape.levels)):
            left, right = np.split(self._at_most(level, np.concatenate([2 * nodes, 2 * nodes + 1])), 2)
            most = np.minimum(before + left, here)  # values up to the middle of the interval
            least = np.minimum(np.maximum(here - after - right, 0), most)
            turns_left = np.array([2 * most[0], most[1] + least[1], 2 * least[2]]) >= 2 * place
            turns_left |= 2 * nodes + 1 << level >= self._cells
            before, after = before + np.where(turns_left, 0, left), after + np.where(turns_left, right, 0)
            nodes = 2 * nodes + ~turns_left
        low, middle, high = nodes.tolist()
        return low, middle, high

    def to_bytes(self) -> bytes:
        """All counts, packed."""
        exact = pack_counts(self._exact)
        return _LENGTH.pack(len(exact)) + exact + pack_counts(self._rows.ravel())

    def read(self, data: bytes) -> Self:
        """Itself, with the counts that `to_bytes` wrote; raises ValueError or struct.error for any other bytes."""
        (size,) = _LENGTH.unpack_from(data)
        end = _LENGTH.size + size
        self._exact = unpack_counts(data[_LENGTH.size : end], self._exact.size)
        self._rows = unpack_counts(data[end:], self._rows.size).reshape(self._rows.shape)
        return self

    def _add_sorted(self, cells: _Counts) -> None:
        levels = [_grouped(cells, np.ones(cells.size, np.int64))]
        for _ in self._rows:
            nodes, counts = levels[-1]
            levels.append(_grouped(nodes >> 1, counts))
        top = levels.pop()
        if levels:
            hashes = self._hasher.hash_many(np.concatenate([nodes for nodes, _ in levels]))
            for rows, (nodes, counts) in zip(self._rows, levels, strict=True):
                add_weights(rows, hashes[: nodes.size], counts)
                hashes = hashes[nodes.size :]
        np.add.at(self._exact, *top)

    def _at_most(self, levels: _Counts | int, nodes: _Counts) -> _Counts:
        """Upper bounds of how many values are in intervals of 2^level cells."""
        places = double_hashes(self._hasher.hash_many(nodes), self._shape.depth, self._shape.width)
        rows = self._rows[levels, np.arange(self._shape.depth)[:, np.newaxis], places]
        return np.where(nodes << levels < self._cells, rows.min(axis=0), 0)


class _Shape(NamedTuple):
    levels: int  # that have a Count-Min, the finest first
    depth: int  # rows of each
    width: int  # counters of each row
    nodes: int  # intervals of the level above these, counted exactly; those further up are sums of them

    @property
    def counters(self) -> int:
        return self.nodes + self.levels * self.depth * self.width


def _cheapest(cells: int, epsilon: float, delta: float) -> _Shape:
    """The split between exact and hashed levels that takes the fewest counters.

    A rank lies between what is surely before it and what is surely not after it. Both together sum levels + 1
    over-counts, of which the middle has half: each may be 2 epsilon / (levels + 1). Looking for a quantile takes two
    counts a level, none of which may fail: each may with delta / (2 levels).
    """
    shapes = [_Shape(0, 0, 1, cells)]
    for levels in range(1, max(cells - 1, 1).bit_length() + 1):
        width = math.ceil(round(math.e * (levels + 1) / (2 * epsilon), 6))
        depth = math.ceil(round(math.log(2 * levels / delta), 6))
        shapes.append(_Shape(levels, depth, width, -(-cells >> levels)))
    return min(shapes, key=lambda shape: shape.counters)


def _grouped(nodes: _Counts, counts: _Counts) -> tuple[_Counts, _Counts]:
    """Sorted nodes, each once, with their counts summed."""
    starts = np.flatnonzero(np.diff(nodes, prepend=-1))
    return nodes[starts], np.add.reduceat(counts, starts) if starts.size else counts

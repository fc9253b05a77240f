"""A column of log histograms: the filled buckets of all, in order of value, and their counts."""

# ruff: noqa: SLF001 - a column is made of what its sketches are made of

from __future__ import annotations

import struct
import sys
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.answers import estimate_array, list_array
from transforms.sketches.cells import summed
from transforms.sketches.columns import finite_column
from transforms.sketches.log_histogram import _SIGN, LogHistogram, _Buckets
from transforms.sketches.narrow import pack_narrow, unpack_narrow
from transforms.sketches.ranks import places_of
from transforms.sketches.sketch_column import Groups, SketchColumn

_Whole = NDArray[np.int64]

_LOWEST = struct.Struct("<Q")


class LogHistogramColumn(SketchColumn):
    """Log histograms of many groups: 16 bytes a bucket that is filled, 3 or 4 stored.

    Buckets of all signs are numbered in the order of their values: that of zero is `_zero`, positive ones lie above,
    negative ones below.
    """

    KIND: ClassVar[str] = "log_histogram_column"
    empty: LogHistogram

    def __init__(self, empty: Any, sizes: _Whole, buckets: _Whole, counts: _Whole) -> None:
        super().__init__(empty, sizes.size)
        if counts.sum(dtype=np.float64) >= 2**63 or (counts < 0).any():
            raise OverflowError("a column of histograms must hold fewer than 2^63 values: begin another")
        self._ends = np.concatenate([[0], sizes.cumsum()])  # where the buckets of each begin, and end
        self._buckets = buckets  # filled ones only, in order within each
        self._counts = counts

    @classmethod
    def of(cls, empty: Any, values: Any, groups: Groups, size: int) -> Self:
        column = finite_column(values)
        least, zero = 1 << empty._bits, empty._end
        buckets = column.view(np.int64) >> empty._shift
        if column.size and buckets.min() >= least:  # the common case: all are positive
            buckets += zero
        else:
            buckets &= (1 << _SIGN - empty._shift) - 1
            buckets = zero + np.where(buckets < least, 0, np.where(column < 0.0, -buckets, buckets))
        return cls._summed(empty, groups, buckets, None, size)

    @classmethod
    def _united(cls, empty: Any, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        groups, buckets, counts = (
            np.concatenate(arrays)
            for arrays in zip(
                *((np.repeat(to, np.diff(part._ends)), part._buckets, part._counts) for part, to in parts), strict=True
            )
        )
        return cls._summed(empty, groups, buckets, counts, size)

    @classmethod
    def _summed(cls, empty: Any, groups: Groups, buckets: _Whole, counts: _Whole | None, size: int) -> Self:
        lowest = int(buckets.min(initial=2 * empty._end))
        span = int(buckets.max(initial=lowest)) - lowest + 1
        cells, counts = summed(groups * span + (buckets - lowest), counts, size * span)
        groups, buckets = np.divmod(cells, span)
        return cls(empty, np.bincount(groups, minlength=size), buckets + lowest, counts)

    @property
    def count(self) -> pa.Array:
        """How many values each has."""
        return pa.array(self._totals()[1])

    def quantiles(self, *qs: float) -> pa.ListArray:
        """The values at several ranks of each, as LogHistogram.quantiles."""
        before, totals = self._totals()
        filled = totals > 0
        ranks, upto = before[filled], self._counts.cumsum()
        found = [upto.searchsorted(ranks + places_of(q, totals[filled])) for q in qs]
        buckets = self._buckets[np.stack(found, axis=1).ravel()] if found else self._buckets[:0]
        labels = pa.array(np.tile(np.array(qs, np.float64), int(filled.sum())))
        return list_array(filled * len(qs), "q", labels, self._values(buckets))

    def sketch(self, place: int) -> LogHistogram:
        sketch = self.empty.copy()
        here = slice(int(self._ends[place]), int(self._ends[place + 1]))
        buckets, counts = self._buckets[here] - self.empty._end, self._counts[here]
        sketch._zeros = int(counts[buckets == 0].sum())
        sketch._positive = _spread(buckets[buckets > 0], counts[buckets > 0])
        sketch._negative = _spread(-buckets[buckets < 0][::-1], counts[buckets < 0][::-1])
        return sketch

    def memory(self) -> int:
        return self._ends.nbytes + self._buckets.nbytes + self._counts.nbytes

    def _totals(self) -> tuple[_Whole, _Whole]:
        """How many values come before those of each sketch, and how many it has itself."""
        upto = np.concatenate([[0], self._counts.cumsum()])[self._ends]
        return upto[:-1], np.diff(upto)

    def _values(self, buckets: _Whole) -> pa.StructArray:
        """The middle and the edges of buckets, as LogHistogram.quantile tells them."""
        magnitudes = np.abs(buckets - self.empty._end)
        sign = np.sign(buckets - self.empty._end)
        low = (magnitudes << self.empty._shift).view(np.float64)
        high = np.minimum((magnitudes + 1 << self.empty._shift).view(np.float64), sys.float_info.max)
        ratio = np.divide(high, low, out=np.ones_like(low), where=sign != 0)
        middle = low * (2.0 * ratio / (1.0 + ratio))
        low, high = np.where(sign < 0, -high, low), np.where(sign < 0, -low, high)
        zero = sign == 0
        return estimate_array(
            np.where(zero, 0.0, sign * middle), np.where(zero, 0.0, low), np.where(zero, 0.0, high), 1
        )

    def _pieces(self) -> list[bytes]:
        lowest = int(self._buckets.min(initial=2 * self.empty._end))
        sizes, buckets = pack_narrow(np.diff(self._ends)), pack_narrow(self._buckets - lowest)
        return [_LOWEST.pack(lowest), sizes, buckets, pack_narrow(self._counts)]

    @classmethod
    def _restore(cls, empty: Any, size: int, pieces: list[bytes]) -> Self:
        least, *packed = pieces
        (lowest,) = _LOWEST.unpack(least)
        sizes = unpack_narrow(packed[0], size)
        filled = sum(sizes.tolist())
        buckets, counts = (unpack_narrow(piece, filled) for piece in packed[1:])
        if filled and (lowest >= 2 * empty._end or int(buckets.max()) >= 2 * empty._end - lowest or lowest < 1):
            raise ValueError(f"buckets must lie below {2 * empty._end}, got {lowest} and more")
        buckets += lowest
        groups, sized = np.repeat(np.arange(size), sizes), np.abs(buckets - empty._end)
        if ((groups[1:] == groups[:-1]) & (buckets[1:] <= buckets[:-1])).any() or not counts.all():
            raise ValueError("the buckets of a histogram must ascend, and have counts")
        if ((sized > 0) & (sized < 1 << empty._bits)).any():
            raise ValueError("values closer to zero than any bucket must count as zero")
        return cls(empty, sizes, buckets, counts)


def _spread(buckets: _Whole, counts: _Whole) -> _Buckets:
    if not buckets.size:
        return _Buckets()
    start = int(buckets[0])
    spread = np.zeros(int(buckets[-1]) - start + 1, np.int64)
    spread[buckets - start] = counts
    return _Buckets(start, spread)

"""Which value stands at rank q, to a relative error: a histogram whose buckets grow with the values.

Source: Masson, Rim and Lee, DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees (2019);
buckets are cut as by the authors' bitwise linearly interpolated mapping: 2^k equal ones in each factor of two. That
takes more buckets than true logarithms, and needs none: a bucket is the leading bits of the float64, so it is the same
on every platform.
"""

from __future__ import annotations

import math
import struct
import sys
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.columns import finite_column
from transforms.sketches.counts import pack_counts, unpack_counts
from transforms.sketches.estimate import Estimate
from transforms.sketches.kernels import kernel
from transforms.sketches.ranks import place_of, require_comparable
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_BLOCK = 16_384  # values whose buckets stay in the cache
_MANTISSA = 52  # bits of a float64 below its exponent
_SIGN = 63
_ZEROS = struct.Struct("<Q")
_SPAN = struct.Struct("<III")  # first bucket, buckets, bytes of their packed counts
_NO_COUNTS = np.zeros(0, np.int64)
_FINEST = 0.001  # relative error; with finer buckets two stray values could take more than 8 MB a sign


class LogHistogram(Sketch):
    """Quantiles of numbers over many orders of magnitude, each within a stated share of the true value.

    The answer's bounds are certain: they are the edges of a bucket, at most `relative_error` from its middle. Rank q
    means the smallest value with at least q of all values at or below it. Negative values have buckets of their own;
    values closer to zero than 2.3e-308 count as zero. NaN and infinity are refused with ValueError.

    Any order of merging gives equal bytes. It subtracts; ValueError, and nothing taken, where a count would fall
    below zero. Memory is 8 bytes a bucket between the smallest and the largest magnitude of each sign: at 1 % 512
    bytes a factor of two, 15 KB from a microsecond to a quarter of an hour, at most 1 MB a sign.

    >>> latencies = LogHistogram(relative_error=0.01)
    >>> latencies.add_many([0.011, 0.012, 0.013, 250.0])
    >>> print(latencies.quantile(0.5))
    0.01202 ± 6.134e-05 (100 %)
    >>> latencies.rank(100.0).value
    3.0
    """

    KIND = "log_histogram"
    SUBTRACTS: ClassVar[bool] = True

    def __init__(self, relative_error: float = 0.01) -> None:
        if not _FINEST <= relative_error < 1.0:
            raise ValueError(
                f"relative_error must be from {_FINEST} to below 1, got {relative_error}; use 0.01 for 1 %"
            )
        self._bits = next(bits for bits in range(_MANTISSA) if _error_of(bits) <= relative_error)
        self._zeros = 0
        self._positive = _Buckets()
        self._negative = _Buckets()  # by magnitude

    @classmethod
    def for_error(cls, error: float, confidence: float = 1.0) -> Self:
        """The same as the constructor: its parameter is the error, and the bounds are certain at any confidence."""
        del confidence
        return cls(error)

    @property
    def parameters(self) -> Parameters:
        return {"buckets_per_doubling": 1 << self._bits}

    @property
    def relative_error(self) -> float:
        """How far an answer may be from the true value, as a share of it: at most what was asked for."""
        return _error_of(self._bits)

    @property
    def count(self) -> int:
        """How many values."""
        return self._zeros + self._positive.total + self._negative.total

    def quantile(self, q: float) -> Estimate:
        """The value at rank q, from 0 to 1, with certain bounds; raises ValueError where there is none."""
        place = place_of(q, self.count)
        below, above = self._negative, self._positive
        counts = np.concatenate([below.counts[::-1], [self._zeros], above.counts])
        found = int(np.cumsum(counts).searchsorted(place))
        bucket = found - below.counts.size  # 0 for zero, from 1 for positive values, from -1 down for negative ones
        if bucket > 0:
            low, high = self._edges(above.start + bucket - 1)
            return Estimate(_middle(low, high), low, high, 1.0)
        if bucket < 0:
            low, high = self._edges(below.start - bucket - 1)
            return Estimate(-_middle(low, high), -high, -low, 1.0)
        return Estimate.exact(0.0)

    def quantiles(self, *qs: float) -> dict[float, Estimate]:
        """The values at several ranks; none where there is no value."""
        return {q: self.quantile(q) for q in qs} if self.count else {}

    def rank(self, x: float) -> Estimate:
        """How many values are at most x: certain but for the bucket of x, which is taken as evenly filled."""
        require_comparable(x)
        bucket = min(int(np.float64(abs(x)).view(np.int64)) >> self._shift, self._end)
        if bucket < 1 << self._bits:
            return Estimate.exact(self._negative.total + self._zeros)
        low, high = self._edges(bucket)
        share = (abs(x) - low) / (high - low) if math.isfinite(x) else 0.0
        if x > 0:
            surely = self._negative.total + self._zeros + self._positive.below(bucket)
            possibly = self._positive.below(bucket + 1) - self._positive.below(bucket)
        else:
            share = 1.0 - share
            surely = self._negative.total - self._negative.below(bucket + 1)
            possibly = self._negative.below(bucket + 1) - self._negative.below(bucket)
        return Estimate(surely + share * possibly, surely, surely + possibly, 1.0)

    def add_many(self, values: Any) -> None:
        """Adds numbers; raises ValueError on null, NaN and infinity, and adds nothing then."""
        column = finite_column(values)
        for start in range(0, column.size, _BLOCK):
            block = np.ascontiguousarray(column[start : start + _BLOCK])
            zeros, positive, negative = count_buckets(block.view(np.int64), self._shift)
            self._zeros += zeros
            self._positive.add(_Buckets(*positive))
            self._negative.add(_Buckets(*negative))

    def merge(self, other: LogHistogram) -> None:
        """Adds all that other has seen; other stays as it is."""
        self._require_alike(other)
        if self.count + other.count >= 2**63:
            raise OverflowError("a histogram must hold fewer than 2^63 values: begin another")
        self._zeros += other._zeros
        self._positive = self._positive.plus(other._positive, 1)
        self._negative = self._negative.plus(other._negative, 1)

    def subtract(self, other: LogHistogram) -> None:
        """Takes away what had been added; raises ValueError, and takes nothing, where a count would be negative."""
        self._require_alike(other, "subtract")
        positive, negative = self._positive.plus(other._positive, -1), self._negative.plus(other._negative, -1)
        if other._zeros > self._zeros or (positive.counts < 0).any() or (negative.counts < 0).any():
            raise ValueError(
                f"cannot subtract {other.count} values that are not all among {self.count}: add them first"
            )
        self._zeros, self._positive, self._negative = self._zeros - other._zeros, positive, negative

    def memory(self) -> int:
        return 8 + self._positive.counts.nbytes + self._negative.counts.nbytes

    @property
    def _shift(self) -> int:
        return _MANTISSA - self._bits

    @property
    def _end(self) -> int:
        """The bucket of infinity, which is after all others."""
        return 0x7FF << self._bits

    def _edges(self, bucket: int) -> tuple[float, float]:
        """The least magnitude of a bucket and that of the next."""
        low, high = (np.array([bucket, bucket + 1]) << self._shift).view(np.float64).tolist()
        return low, min(high, sys.float_info.max)

    def _payload(self) -> bytes:
        parts = [_ZEROS.pack(self._zeros)]
        for buckets in (self._positive, self._negative):
            trimmed = buckets.trimmed()
            packed = pack_counts(trimmed.counts)
            parts += [_SPAN.pack(trimmed.start, trimmed.counts.size, len(packed)), packed]
        return b"".join(parts)

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        wanted = int(parameters["buckets_per_doubling"])
        histogram = cls(_error_of(wanted.bit_length() - 1))
        (histogram._zeros,) = _ZEROS.unpack_from(payload)
        at, read = _ZEROS.size, []
        for _ in range(2):
            start, size, length = _SPAN.unpack_from(payload, at)
            at += _SPAN.size
            if (size and start < wanted) or start + size > histogram._end or len(payload) < at + length:
                raise ValueError(f"{size} buckets from {start} must lie among those of {wanted} per doubling")
            read.append(_Buckets(start, unpack_counts(payload[at : at + length], size)))
            at += length
        histogram._positive, histogram._negative = read
        if at != len(payload) or histogram.count >= 2**63:
            raise ValueError(f"a histogram of {at} bytes must hold fewer than 2^63 values, got {len(payload)} bytes")
        return histogram


class _Buckets:
    """Counts of neighbouring buckets, as far as values have come."""

    def __init__(self, start: int = 0, counts: NDArray[np.int64] = _NO_COUNTS) -> None:
        self.start = start  # the first bucket that has a count
        self.counts = counts

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def below(self, bucket: int) -> int:
        """How many values are in buckets before this one."""
        return int(self.counts[: max(bucket - self.start, 0)].sum())

    def add(self, other: _Buckets) -> None:
        at = other.start - self.start
        if at >= 0 and at + other.counts.size <= self.counts.size:
            self.counts[at : at + other.counts.size] += other.counts
        elif other.counts.size:
            grown = self.plus(other, 1)
            self.start, self.counts = grown.start, grown.counts

    def plus(self, other: _Buckets, sign: int) -> _Buckets:
        """A sum, or a difference, that shares no counts with either."""
        filled = [(buckets, times) for buckets, times in ((self, 1), (other, sign)) if buckets.counts.size]
        if not filled:
            return _Buckets()
        start = min(buckets.start for buckets, _ in filled)
        counts = np.zeros(max(buckets.start + buckets.counts.size for buckets, _ in filled) - start, np.int64)
        for buckets, times in filled:
            at = buckets.start - start
            counts[at : at + buckets.counts.size] += buckets.counts * times
        return _Buckets(start, counts)

    def trimmed(self) -> _Buckets:
        """Without the empty buckets at both ends."""
        (used,) = self.counts.nonzero()
        return _Buckets(self.start + int(used[0]), self.counts[used[0] : used[-1] + 1]) if used.size else _Buckets()


_Counted = tuple[int, NDArray[np.int64]]  # the first bucket, and the counts from there on


@kernel
def count_buckets(values: NDArray[np.int64], shift: int) -> tuple[int, _Counted, _Counted]:
    """How many zeros, and the counts of the positive and of the negative buckets, of floats given by their bits."""
    buckets = values >> shift
    first = 1 << _MANTISSA - shift
    if values.size and buckets.min() >= first:  # the common case: all are positive
        return 0, _counted(buckets), _counted(buckets[:0])
    buckets &= (1 << _SIGN - shift) - 1
    sized = buckets >= first
    zeros = values.size - int(np.count_nonzero(sized))
    return zeros, _counted(buckets[sized & (values > 0)]), _counted(buckets[sized & (values < 0)])


def _counted(buckets: NDArray[np.int64]) -> _Counted:
    start = int(buckets.min()) if buckets.size else 0
    return start, np.bincount(buckets - start)


def _error_of(bits: int) -> float:
    """From the middle of the widest bucket, the first of a doubling, to its edges."""
    return 1.0 / (2.0 ** (bits + 1) + 1.0)


def _middle(low: float, high: float) -> float:
    """The value that is equally far from both edges, as a share of each: their harmonic mean."""
    ratio = high / low
    return low * (2.0 * ratio / (1.0 + ratio))

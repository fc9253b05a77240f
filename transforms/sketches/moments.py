"""Count, mean, variance and skewness of numbers, and their extremes, in six words and two flags.

Sources: Chan, Golub and LeVeque, Updating formulae and a pairwise algorithm for computing sample variances (1979);
Pebay, Formulas for robust, one-pass parallel computation of covariances and arbitrary-order moments (2008).
"""

from __future__ import annotations

import math
import struct
from typing import Any, ClassVar, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.columns import finite_column
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_LAYOUT = struct.Struct("<Qddddd??")
_BLOCK = 8192  # numbers whose differences from the mean stay in the cache
_ROUNDING = 2.0**-52  # differences below this share of the mean are no differences
_TOO_WIDE = "values must lie within about 1e100 of their mean, so that their cubes fit a float64: scale them down"

# How far down (or, negated, up) values reach, and whether that is a mere bound because its value may have been
# subtracted. Compared in this order, the least of two merges as a plain minimum does.
_Extreme: TypeAlias = tuple[float, bool]
_NONE: _Extreme = (math.inf, False)


class Moments(Sketch):
    """How many numbers there are, around what, how widely and how lopsidedly they lie.

    Exact up to rounding: merging shards differs from one pass by a few units in the last place of the largest value,
    however far the values lie from zero. NaN and infinity are refused with ValueError, since they would spread to
    every window merged later; OverflowError, and nothing added, where the cubes would leave float64 (differences of
    about 1e100).

    It subtracts: count, mean, variance and skewness are those of what is left, to the precision of what was there
    before. The extremes of what is left are not known where the value subtracted may have been the extreme: `min` and
    `max` are None then, until a value beyond the old extreme comes.

    >>> left, right = Moments(), Moments()
    >>> left.add_many([1.0, 2.0])
    >>> right.add(6.0)
    >>> left.merge(right)
    >>> left.count, left.mean, left.variance, left.min, left.max
    (3, 3.0, 7.0, 1.0, 6.0)
    >>> left.subtract(right)
    >>> left.mean, left.min, left.max
    (1.5, 1.0, None)
    """

    KIND = "moments"
    SUBTRACTS: ClassVar[bool] = True

    def __init__(self) -> None:
        self._count = 0
        self._mean = 0.0
        self._squares = 0.0  # sum of squared differences from the mean
        self._cubes = 0.0  # sum of cubed differences
        self._least = _NONE
        self._most = _NONE  # of the negated values

    @property
    def count(self) -> int:
        """How many numbers."""
        return self._count

    @property
    def mean(self) -> float:
        """Their average; NaN where there is none."""
        return self._mean if self._count else math.nan

    @property
    def variance(self) -> float:
        """Sample variance (n - 1); NaN below two values."""
        return self._squares / (self._count - 1) if self._count > 1 else math.nan

    @property
    def skewness(self) -> float:
        """Fisher's g1, positive where the long tail is above the mean; NaN where no two values differ."""
        width = math.sqrt(self._squares / self._count) if self._count else 0.0
        if width <= abs(self._mean) * _ROUNDING:
            return math.nan
        return self._cubes / self._count / width / width / width

    @property
    def min(self) -> float | None:
        """The least value; None where there is none, or it may have been subtracted."""
        bound, unknown = self._least
        return None if unknown or not self._count else bound

    @property
    def max(self) -> float | None:
        """The greatest value; None where there is none, or it may have been subtracted."""
        bound, unknown = self._most
        return None if unknown or not self._count else -bound

    def add_many(self, values: Any) -> None:
        """Adds numbers; raises ValueError on null, NaN and infinity, and adds nothing then."""
        column = finite_column(values)
        added = Moments()
        for start in range(0, column.size, _BLOCK):
            added.merge(Moments._of_block(column[start : start + _BLOCK]))
        self.merge(added)

    def merge(self, other: Moments) -> None:
        """Adds all that other has seen; other stays as it is."""
        self._require_alike(other)
        self._combine(other, 1)
        self._least, self._most = min(self._least, other._least), min(self._most, other._most)

    def subtract(self, other: Moments) -> None:
        """Takes away what had been added; raises ValueError where it plainly had not been."""
        self._require_alike(other, "subtract")
        if other._count > self._count:
            raise ValueError(f"cannot subtract {other._count} values from {self._count}: subtract only what was added")
        least, most = _without(self._least, other._least), _without(self._most, other._most)
        self._combine(other, -1)
        self._least, self._most = (least, most) if self._count else (_NONE, _NONE)

    def memory(self) -> int:
        return _LAYOUT.size

    def _combine(self, other: Moments, sign: int) -> None:
        """Pebay's update; with negative counts and sums it is its own inverse."""
        here, there = self._count, sign * other._count
        total = here + there
        if not there:
            return
        if total >= 2**63:
            raise OverflowError("moments must be of fewer than 2^63 values: begin another")
        if not here:  # nothing to round
            self._count, self._mean, self._squares, self._cubes = there, other._mean, other._squares, other._cubes
            return
        if not total:
            self._count, self._mean, self._squares, self._cubes = 0, 0.0, 0.0, 0.0
            return
        step = other._mean - self._mean
        pull = step * there / total * here
        mean = self._mean + step * there / total
        squares = self._squares + sign * other._squares + step * pull
        cubes = self._cubes + sign * other._cubes + step * step * pull * ((here - there) / total)
        cubes += 3.0 * step * (here * sign * other._squares - there * self._squares) / total
        if not all(map(math.isfinite, (mean, squares, cubes))):
            raise OverflowError(_TOO_WIDE)
        self._count, self._mean = total, mean
        self._squares, self._cubes = (squares, cubes) if squares > 0.0 else (0.0, 0.0)  # rounding after subtraction

    @classmethod
    def _of_block(cls, block: NDArray[np.float64]) -> Self:
        """By differences from the block's own mean: two passes, so that nothing cancels."""
        moments = cls()
        with np.errstate(over="ignore", invalid="ignore"):
            differences = block - block.mean()
            squares = differences * differences
            sums = float(block.mean()), float(squares.sum()), float((squares * differences).sum())
        if not all(map(math.isfinite, sums)):
            raise OverflowError(_TOO_WIDE)
        moments._count = block.size
        moments._mean, moments._squares, moments._cubes = sums
        moments._least, moments._most = (float(block.min()), False), (-float(block.max()), False)
        return moments

    def _payload(self) -> bytes:
        (least, least_unknown), (most, most_unknown) = self._least, self._most
        sums = (self._mean, self._squares, self._cubes)
        return _LAYOUT.pack(self._count, *sums, least, -most, least_unknown, most_unknown)

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        del parameters
        moments = cls()
        moments._count, *sums, least, most, least_unknown, most_unknown = _LAYOUT.unpack(payload)
        if not all(map(math.isfinite, sums)) or sums[1] < 0.0 or moments._count >= 2**63:
            raise ValueError(f"sums must be finite and squares not negative, got {sums} of {moments._count} values")
        if math.isnan(least) or math.isnan(most):
            raise ValueError(f"extremes must be numbers, got {least} and {most}")
        moments._mean, moments._squares, moments._cubes = sums
        moments._least, moments._most = (least, least_unknown), (-most, most_unknown)
        return moments


def _without(extreme: _Extreme, taken: _Extreme) -> _Extreme:
    if taken < (extreme[0], False):
        raise ValueError("cannot subtract values beyond the extremes of what was added: subtract only what was added")
    return extreme if taken[0] > extreme[0] else (extreme[0], True)

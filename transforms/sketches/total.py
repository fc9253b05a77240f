"""How many numbers, and their exact sum: floats as well, whatever their order and however they cancel.

A float is a whole number of 2^-1074, so a sum of floats is a whole number, which Python keeps as long as it needs
(Kulisch, Arithmetic of the Digital Computer: The Fifth Floating-Point Operation, 2013).
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.columns import number_column
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_UNIT = 1074  # a float is a whole number of 2^-1074
_MANTISSA = 53
_HALF = 26  # bits of the lower half of a mantissa, so that halves add up in 64 bits
_LAYOUT = struct.Struct("<qH")  # count; bits of the sum that are left out because they are zero


class Total(Sketch):
    """The count and the sum of a column of numbers, without rounding.

    `sum` is an int where the sum is whole, and otherwise the nearest float. Bit-stable, and it subtracts. NaN and
    infinity are refused with ValueError: they would spread to every window that is merged later.

    >>> left, right = Total(), Total()
    >>> left.add_many([1e100, 0.1]); right.add_many([-1e100, 0.2])
    >>> left.merge(right); left.count, left.sum
    (4, 0.30000000000000004)
    """

    KIND: ClassVar[str] = "total"
    SUBTRACTS: ClassVar[bool] = True

    def __init__(self) -> None:
        self._count = 0
        self._units = 0

    @property
    def count(self) -> int:
        """How many numbers were added."""
        return self._count

    @property
    def sum(self) -> int | float:
        """Their sum; 0 where there is none. Raises OverflowError where it lies beyond the floats and is not whole."""
        whole, rest = divmod(self._units, 1 << _UNIT)
        return self._units / (1 << _UNIT) if rest else whole

    @property
    def mean(self) -> float:
        """Their mean; NaN where there is none."""
        return self._units / (self._count << _UNIT) if self._count else float("nan")

    def add_many(self, values: Any) -> None:
        """Adds a column of numbers; raises ValueError on what is none, on NaN and infinity, and adds nothing."""
        column = number_column(values)
        if column.dtype == np.float64:
            if not np.isfinite(column).all():
                raise ValueError("cannot add infinity: drop it, or clip it to the largest value that makes sense")
            self._units += _units_of(column.astype(np.float64, copy=False))
        else:
            self._units += _sum_of_ints(column.astype(np.int64, copy=False)) << _UNIT
        self._count += len(column)

    def merge(self, other: Self) -> None:
        self._require_alike(other)
        if self._count + other._count >= 2**63:
            raise OverflowError("a total must hold fewer than 2^63 numbers: begin another")
        self._count += other._count
        self._units += other._units

    def subtract(self, other: Self) -> None:
        """Takes away numbers that were added; ValueError where there are fewer than other has."""
        self._require_alike(other, "subtract")
        if other._count > self._count:
            raise ValueError(f"cannot subtract {other._count} numbers from {self._count}: only what was added")
        self._count -= other._count
        self._units -= other._units

    def memory(self) -> int:
        return 8 + (self._units.bit_length() + 7) // 8

    def _payload(self) -> bytes:
        zeros = (self._units & -self._units).bit_length() - 1 if self._units else 0
        mantissa = self._units >> zeros
        return _LAYOUT.pack(self._count, zeros) + mantissa.to_bytes(
            mantissa.bit_length() // 8 + 1, "little", signed=True
        )

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        if parameters:
            raise ValueError(f"a total has no parameters, got {parameters}")
        restored = cls()
        restored._count, zeros = _LAYOUT.unpack_from(payload)
        if zeros >= 2**12:  # the exponents of a float64, and 63 bits of count, leave at most 2,161
            raise ValueError(f"a sum of floats must end in fewer than 4096 zeros, got {zeros}")
        restored._units = int.from_bytes(payload[_LAYOUT.size :], "little", signed=True) << zeros
        if restored._count < 0 or (restored._units and not restored._count) or restored._payload() != payload:
            raise ValueError("the bytes of a total were changed")
        return restored


def _sum_of_ints(column: NDArray[np.int64]) -> int:
    return (int((column >> 32).sum()) << 32) + int((column & 0xFFFFFFFF).sum())


def _units_of(column: NDArray[np.float64]) -> int:
    """The exact sum, in units of 2^-1074: mantissas of one exponent add up as ints."""
    fractions, exponents = np.frexp(column)
    order = np.argsort(exponents, kind="stable")
    mantissas = np.ldexp(fractions, _MANTISSA).astype(np.int64)[order]
    present, starts = np.unique(exponents[order], return_index=True)
    if not present.size:
        return 0
    high = np.add.reduceat(mantissas >> _HALF, starts).tolist()
    low = np.add.reduceat(mantissas & ((1 << _HALF) - 1), starts).tolist()
    total = 0
    for exponent, above, below in zip(present.tolist(), high, low, strict=True):
        shift = exponent - _MANTISSA + _UNIT
        mantissa = (above << _HALF) + below
        total += mantissa << shift if shift >= 0 else mantissa >> -shift  # subnormals end in zeros
    return total

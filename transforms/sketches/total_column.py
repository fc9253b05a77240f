"""A column of exact sums: each a long whole number, in words of 32 bits that lie side by side."""

# ruff: noqa: SLF001 - a column is made of what its sketches are made of

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.columns import finite_column, number_column
from transforms.sketches.narrow import pack_narrow, unpack_narrow
from transforms.sketches.sketch_column import Groups, SketchColumn
from transforms.sketches.total import _MANTISSA, _UNIT, Total

_Whole = NDArray[np.int64]

_WORD = 32  # bits
_LAYOUT = struct.Struct("<II")  # place of the lowest word, in words above 2^-1074, and how many there are
_MOST = 100  # words: 2098 bits of a float's range, 63 of the count, and room


class TotalColumn(SketchColumn):
    """Counts and exact sums of many groups: 8 bytes, and 8 for each 32 bits from the least to the greatest sum's."""

    KIND: ClassVar[str] = "total_column"

    def __init__(self, empty: Any, counts: _Whole, lowest: int, words: _Whole) -> None:
        super().__init__(empty, counts.size)
        self._counts = counts
        self._lowest = lowest
        self._words = words  # a row a sketch, the lowest word first; all but the last from 0 to 2^32 - 1

    @classmethod
    def of(cls, empty: Any, values: Any, groups: Groups, size: int) -> Self:
        column = number_column(values)
        counts = np.bincount(groups, minlength=size)
        if column.dtype == np.int64:
            mantissas, places = column.astype(np.int64, copy=False), np.full(column.size, _UNIT)
        else:
            fractions, exponents = np.frexp(finite_column(column))
            mantissas, places = np.ldexp(fractions, _MANTISSA).astype(np.int64), exponents - _MANTISSA + _UNIT
            mantissas >>= np.maximum(-places, 0)  # subnormals end in zeros
            places = np.maximum(places, 0)
        word, shift = np.divmod(places, _WORD)
        lowest = int(word.min(initial=_MOST))
        words = np.zeros((size, int(word.max(initial=lowest)) - lowest + 4), np.int64)
        cells = groups * words.shape[1] + word - lowest
        # A mantissa of 64 bits, shifted, lies across three words; sums of such words fit 64 bits.
        low, high = (mantissas & 0xFFFFFFFF) << shift, (mantissas >> _WORD) << shift
        for up, part in enumerate((low & 0xFFFFFFFF, (low >> _WORD) + (high & 0xFFFFFFFF), high >> _WORD)):
            np.add.at(words.reshape(-1), cells + up, part)
        return cls(empty, counts, *_carried(lowest, words))

    @classmethod
    def _united(cls, empty: Any, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        counts = np.zeros(size, np.int64)
        lowest = min(part._lowest for part, _ in parts)
        words = np.zeros((size, max(part._lowest + part._words.shape[1] for part, _ in parts) - lowest + 2), np.int64)
        for part, places in parts:
            counts[places] += part._counts
            if (counts < 0).any():
                raise OverflowError("a total must be of fewer than 2^63 numbers: begin another")
            begin = part._lowest - lowest
            words[places, begin : begin + part._words.shape[1]] += part._words
        return cls(empty, counts, *_carried(lowest, words))

    @property
    def count(self) -> pa.Array:
        """How many numbers each has."""
        return pa.array(self._counts)

    @property
    def sum(self) -> pa.Array:
        """The sum of each, as the nearest float; infinite beyond the floats."""
        return pa.array([_nearest(number, 1, self._exponent) for number in self._numbers()], pa.float64())

    @property
    def mean(self) -> pa.Array:
        """The mean of each, as the nearest float; NaN where there is none."""
        pairs = zip(self._numbers(), self._counts.tolist(), strict=True)
        means = [_nearest(number, count, self._exponent) if count else math.nan for number, count in pairs]
        return pa.array(means, pa.float64())

    def sketch(self, place: int) -> Total:
        total = Total()
        total._count = int(self._counts[place])
        (number,) = self._numbers(slice(place, place + 1))
        total._units = number << self._lowest * _WORD
        return total

    def memory(self) -> int:
        return self._counts.nbytes + self._words.nbytes

    @property
    def _exponent(self) -> int:
        """Of the power of two that the lowest bit of the words stands for."""
        return self._lowest * _WORD - _UNIT

    def _numbers(self, places: slice = slice(None)) -> Iterator[int]:
        """The words of each sum as one whole number."""
        data, width = (self._words[places] & 0xFFFFFFFF).astype("<u4").tobytes(), 4 * self._words.shape[1]
        return (int.from_bytes(data[at : at + width], "little", signed=True) for at in range(0, len(data), width))

    def _pieces(self) -> list[bytes]:
        layout = _LAYOUT.pack(self._lowest, self._words.shape[1])
        return [layout, pack_narrow(self._counts), (self._words & 0xFFFFFFFF).astype("<u4").tobytes()]

    @classmethod
    def _restore(cls, empty: Any, size: int, pieces: list[bytes]) -> Self:
        layout, counted, data = pieces
        lowest, width = _LAYOUT.unpack(layout)
        counts = unpack_narrow(counted, size)
        if not 1 <= width <= _MOST or lowest > _MOST or len(data) != 4 * size * width:
            raise ValueError(f"{size} sums of {width} words must take {4 * size * width} bytes, got {len(data)}")
        words = np.frombuffer(data, "<u4").reshape(size, width).astype(np.int64)
        words[:, -1] = np.frombuffer(data, "<i4").reshape(size, width)[:, -1]
        if words[counts == 0].any() or _carried(lowest, words.copy())[1].shape != words.shape:
            raise ValueError("sums must be of numbers, and as short as they can be: these bytes were changed")
        return cls(empty, counts, lowest, words)


def _carried(lowest: int, words: _Whole) -> tuple[int, _Whole]:
    """Words from 0 to 2^32 - 1, but the last, which has the sign; and no more of them than the sums need."""
    for place in range(words.shape[1] - 1):
        words[:, place + 1] += words[:, place] >> _WORD
        words[:, place] &= 0xFFFFFFFF
    used = np.flatnonzero(words.any(axis=0))
    if not used.size:
        return 0, words[:, :1]
    words, lowest = words[:, used[0] :], lowest + int(used[0])
    while words.shape[1] > 1 and (words[:, -1] == -(words[:, -2] >> _WORD - 1)).all():
        words = words[:, :-1]
        words[:, -1] -= (words[:, -1] >> _WORD - 1) << _WORD
    return lowest, words


def _nearest(number: int, count: int, exponent: int) -> float:
    """The float nearest to number / count * 2^exponent; infinite beyond the floats."""
    try:
        if exponent > -900 and number.bit_length() < 1000:  # then the quotient is a normal float, and rounded once
            return math.ldexp(number / count, exponent)
        return (number << max(exponent, 0)) / (count << max(-exponent, 0))
    except OverflowError:
        return math.copysign(math.inf, number)

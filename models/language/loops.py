"""The kernels of the classifier as loops that numba compiles: unit after unit in registers, and no array between.

Each has the name and the arguments of the numpy function that it stands in for, and gives the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from models.language.characters import BLANK, MARK, NAME
from models.language.classifier import Table
from models.language.ngrams import BASE, MULTIPLIERS, SHORTEST_WORD

_M1, _M2, _M3, _M4, _MW = (np.uint64(number) for number in MULTIPLIERS)
_BASE = np.uint64(BASE)
_16, _32, _48 = np.uint64(16), np.uint64(32), np.uint64(48)
_ONE = np.uint64(1)
_MOST = 5  # n-grams that begin at one place
_FITTING = 256  # weights whose sum fits 16 bits: each is above -128

_UNITS = "Array(uint16, 1, 'C', readonly=True)"
_SPACES = "Array(int64, 1, 'C', readonly=True)"
_ROLES = "Array(uint8, 1, 'C', readonly=True)"


def _compile(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles a function and keeps its machine code for later processes, if there is a place for it."""

    def compile_one(body: Callable[..., Any]) -> Callable[..., Any]:
        try:
            compiled: Callable[..., Any] = numba.njit(signature, nogil=True, cache=True)(body)
        except (RuntimeError, OSError):  # no folder that can be written, or no room in it
            compiled = numba.njit(signature, nogil=True)(body)
        return compiled

    return compile_one


@numba.njit(inline="always")
def _end_of_name(units: NDArray[np.uint16], place: int, roles: NDArray[np.uint8]) -> int:
    place += 1
    while roles[units[place]] == NAME:
        place += 1
    return place


@numba.njit(inline="always")
def _end_of_address(units: NDArray[np.uint16], place: int, last: int, roles: NDArray[np.uint8]) -> int:
    """Where an address that begins at a place ends; the place itself where none begins."""
    if last - place < 7 or units[place + 1] | 32 != 116 or units[place + 2] | 32 != 116 or units[place + 3] | 32 != 112:
        return place
    colon = place + 5 if units[place + 4] | 32 == 115 else place + 4
    if colon + 2 >= last or units[colon] != 58 or units[colon + 1] != 47 or units[colon + 2] != 47:
        return place
    while roles[units[colon]] != BLANK:
        colon += 1
    return colon


@numba.njit(inline="always")
def _write(
    units: NDArray[np.uint16],
    start: int,
    end: int,
    letters: NDArray[np.uint16],
    roles: NDArray[np.uint8],
    code: NDArray[np.uint16],
) -> int:
    """Writes the letters of a text with one space around each word, and returns how many there are with them."""
    code[0] = 0
    size, hidden, one_ago, two_ago = 1, start, np.uint16(0), np.uint16(0)
    for place in range(start, end):
        unit = units[place]
        if unit == 64:  # @
            hidden = max(hidden, _end_of_name(units, place, roles))
        elif unit | 32 == 104:  # h
            hidden = max(hidden, _end_of_address(units, place, end, roles))
        elif (
            unit == 82
            and end - place > 3
            and units[place + 1] == 84
            and units[place + 2] == 32
            and units[place + 3] == 64
            and letters[units[place - 1]] == 0
        ):
            hidden = max(hidden, place + 2)
        letter = np.uint16(0) if place < hidden else letters[unit]
        if one_ago == 0 and roles[unit] == MARK:
            letter = np.uint16(0)
        again = letter == one_ago if letter == 0 else letter == one_ago and letter == two_ago
        two_ago, one_ago = one_ago, letter
        if not again:
            code[size] = letter
            size += 1
    if one_ago != 0 or size == 1:
        code[size] = 0
        size += 1
    return size


@numba.njit(inline="always")
def _hash(code: NDArray[np.uint16], size: int, among: np.uint64, buckets: NDArray[np.int32], count: int) -> int:
    """Appends the buckets of the n-grams of one text to those that are there, and returns how many there are now."""
    if size <= 2:
        return count
    for place in range(size):
        letter = code[place]
        key = np.uint64(letter)
        if letter != 0:
            buckets[count] = np.int32((key * _M1 >> _32) * among >> _32)
            count += 1
        if place + 1 < size:
            key |= np.uint64(code[place + 1]) << _16
            buckets[count] = np.int32((key * _M2 >> _32) * among >> _32)
            count += 1
        if place + 2 < size:
            key |= np.uint64(code[place + 2]) << _32
            buckets[count] = np.int32((key * _M3 >> _32) * among >> _32)
            count += 1
        if place + 3 < size:
            key |= np.uint64(code[place + 3]) << _48
            buckets[count] = np.int32((key * _M4 >> _32) * among >> _32)
            count += 1
        if letter != 0 and code[place - 1] == 0:
            end = place
            word, power = np.uint64(0), _ONE
            while code[end] != 0:
                word += np.uint64(code[end]) * power
                power *= _BASE
                end += 1
            if end - place >= SHORTEST_WORD:
                buckets[count] = np.int32((word * _MW >> _32) * among >> _32)
                count += 1
    return count


@_compile(f"Tuple((int32[::1], int64[::1]))({_UNITS}, {_SPACES}, {_UNITS}, {_ROLES}, int64)")
def hashed_grams(
    units: NDArray[np.uint16],
    spaces: NDArray[np.int64],
    letters: NDArray[np.uint16],
    roles: NDArray[np.uint8],
    among: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Buckets and bounds of texts."""
    texts, longest = spaces.size - 1, 0
    for text in range(texts):
        longest = max(longest, spaces[text + 1] - spaces[text])
    code = np.empty(longest + 2, np.uint16)
    buckets = np.empty(_MOST * units.size, np.int32)
    bounds = np.zeros(texts + 1, np.int64)
    count = 0
    for text in range(texts):
        size = _write(units, spaces[text] + 1, spaces[text + 1], letters, roles, code)
        count = _hash(code, size, np.uint64(among), buckets, count)
        bounds[text + 1] = count
    return buckets[:count].copy(), bounds


@_compile(f"void({_UNITS}, {_SPACES}, {_UNITS}, {_ROLES}, int64, int8[:, ::1], int32[:, ::1], int64[::1])")
def _summed(
    units: NDArray[np.uint16],
    spaces: NDArray[np.int64],
    letters: NDArray[np.uint16],
    roles: NDArray[np.uint8],
    among: int,
    weights: NDArray[np.int8],
    sums: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> None:
    texts, longest, padded = spaces.size - 1, 0, weights.shape[1]
    for text in range(texts):
        longest = max(longest, spaces[text + 1] - spaces[text])
    code = np.empty(longest + 2, np.uint16)
    buckets = np.empty(_MOST * (longest + 2), np.int32)
    part = np.empty(padded, np.int16)  # twice as many to a register
    for text in range(texts):
        size = _write(units, spaces[text] + 1, spaces[text + 1], letters, roles, code)
        count = _hash(code, size, np.uint64(among), buckets, 0)
        sizes[text] = count
        total = sums[text]
        for start in range(0, count, _FITTING):
            part[:] = 0
            for gram in range(start, min(start + _FITTING, count)):
                row = weights[buckets[gram]]
                for label in range(padded):
                    part[label] += row[label]
            for label in range(total.size):
                total[label] += part[label]


def summed(
    units: NDArray[np.uint16],
    spaces: NDArray[np.int64],
    letters: NDArray[np.uint16],
    roles: NDArray[np.uint8],
    among: int,
    table: Table,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The sum of the weights of all n-grams of each text, label by label, and how many n-grams there are."""
    sizes = np.zeros(spaces.size - 1, np.int64)
    sums = np.zeros((sizes.size, table.weights.shape[1]), np.int32)
    _summed(units, spaces, letters, roles, among, table.padded, sums, sizes)
    return sums, sizes

"""Hashes pairs of UTF-16 code units as Java and as Spark hash a string of two characters.

Sources: `String.hashCode` of the Java platform; Appleby's MurmurHash3_x86_32 (2011) as Spark's `hashUnsafeBytes` has it
since 2.0: with seed 42, and each byte after the last whole word is mixed on its own, as a signed number.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

NOTHING = -1  # stands before the only unit of a string of one

_SEED = 42


def java_hash(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int32]:
    """Java's hashCode of each pair; below 2^21, so never negative.

    >>> java_hash(np.array([ord("a"), NOTHING]), np.array([ord("b"), ord("b")])).tolist()
    [3105, 98]
    """
    return 31 * np.maximum(first, 0) + second


def murmur3(first: NDArray[np.int32], second: NDArray[np.int32]) -> NDArray[np.int32]:
    """Spark's murmur3 of each pair in UTF-8 as Java writes it: a surrogate without its other half is a "?".

    >>> (murmur3(np.array([ord("a"), NOTHING]), np.array([ord("b"), ord("a")])) % 1000).tolist()
    [683, 170]
    """
    utf8, lengths = _utf8_of_units()
    text = utf8[first] | utf8[second] << (8 * lengths[first])
    length = lengths[first] + lengths[second]
    astral = (first & ~0x3FF == 0xD800) & (second & ~0x3FF == 0xDC00)
    text[astral], length[astral] = _utf8_of_astral(first[astral], second[astral]), 4

    state: NDArray[np.uint32] = np.full(text.shape, _SEED, np.uint32)
    whole = length >= 4  # at most six bytes: one word or none, then up to three single ones
    state = np.where(whole, _mixed(state, text.astype(np.uint32)), state)
    tail = np.where(whole, text >> 32, text)
    for position in range(3):
        byte = (tail >> 8 * position).astype(np.int8).astype(np.uint32)
        state = np.where(position < length % 4, _mixed(state, byte), state)
    state = _spread(state ^ length.astype(np.uint32), 16) * np.uint32(0x85EBCA6B)
    state = _spread(state, 13) * np.uint32(0xC2B2AE35)
    return _spread(state, 16).view(np.int32)


def _mixed(state: NDArray[np.uint32], word: NDArray[np.uint32]) -> NDArray[np.uint32]:
    word = _rotated(word * np.uint32(0xCC9E2D51), 15) * np.uint32(0x1B873593)
    return _rotated(state ^ word, 13) * np.uint32(5) + np.uint32(0xE6546B64)


def _rotated(word: NDArray[np.uint32], by: int) -> NDArray[np.uint32]:
    return word << np.uint32(by) | word >> np.uint32(32 - by)


def _spread(word: NDArray[np.uint32], by: int) -> NDArray[np.uint32]:
    return word ^ word >> np.uint32(by)


@cache
def _utf8_of_units() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The bytes of each unit as a little-endian number, and how many they are; the last entry is NOTHING's."""
    encoded = [chr(unit).encode("utf-8", "replace") for unit in range(2**16)] + [b""]
    return np.array([int.from_bytes(unit, "little") for unit in encoded]), np.array([len(unit) for unit in encoded])


def _utf8_of_astral(high: NDArray[np.int32], low: NDArray[np.int32]) -> NDArray[np.int64]:
    """The four bytes of two surrogates that belong together, as a little-endian number."""
    point = ((high.astype(np.int64) & 0x3FF) << 10 | low & 0x3FF) + 0x10000
    number = 0xF0 | point >> 18
    for place, shift in enumerate((12, 6, 0), start=1):
        number |= (0x80 | point >> shift & 0x3F) << 8 * place
    return number

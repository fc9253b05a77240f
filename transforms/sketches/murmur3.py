"""MurmurHash3 x64 128, of one message or of many at once (Appleby 2011), as Apache DataSketches uses it.

Of its 128 bits the hashes here keep the lowest 26 of the first word and the highest 38 of the second, which are those
that a HyperLogLog of DataSketches uses.
Not keyed: whoever knows the seed, and it is public, can choose items that collide.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.kernels import kernel
from transforms.sketches.ragged import Ragged, keep_low_bytes

_C1 = np.uint64(0x87C37B91114253D5)
_C2 = np.uint64(0x4CF5AD432745937F)
_MASK = 2**64 - 1
_LOW = np.uint64(2**26 - 1)
_BLOCK = 8192  # messages, so that the columns of a block stay in the cache

Words = NDArray[np.uint64]
Places = NDArray[np.int64]


def murmur3_one(message: bytes, seed: int) -> int:
    """The hash of one message."""
    c1, c2 = int(_C1), int(_C2)
    h1 = h2 = seed
    whole = len(message) // 16 * 16
    padded = message + b"\0" * (whole + 16 - len(message))
    words = struct.unpack(f"<{len(padded) // 8}Q", padded)
    for first, second in zip(words[:-2:2], words[1:-2:2], strict=True):
        h1 ^= _rotated_one(first * c1, 31) * c2 & _MASK
        h1 = ((_rotated_one(h1, 27) + h2) * 5 + 0x52DCE729) & _MASK
        h2 ^= _rotated_one(second * c2, 33) * c1 & _MASK
        h2 = ((_rotated_one(h2, 31) + h1) * 5 + 0x38495AB5) & _MASK
    h2 ^= _rotated_one(words[-1] * c2, 33) * c1 & _MASK
    h1 ^= _rotated_one(words[-2] * c1, 31) * c2 & _MASK
    h1, h2 = h1 ^ len(message), h2 ^ len(message)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    h1, h2 = _avalanche_one(h1), _avalanche_one(h2)
    h1 = h1 + h2 & _MASK
    h2 = h2 + h1 & _MASK
    return h1 & int(_LOW) | h2 & ~int(_LOW)


def murmur3_words(words: Words, seed: int) -> Words:
    """The hashes of messages of 8 bytes, given as little-endian words."""
    hashes = np.empty(words.size, np.uint64)
    murmur3_each_word(np.ascontiguousarray(words), np.uint64(seed), hashes)
    return hashes


def murmur3_many(messages: Ragged, seed: int) -> Words:
    """The hashes of messages of any length."""
    hashes = np.empty(messages.start.size, np.uint64)
    murmur3_each_message(messages.words, messages.start, messages.length, np.uint64(seed), hashes)
    return hashes


@kernel
def murmur3_each_word(words: Words, seed: np.uint64, hashes: Words) -> None:
    """Fills in the hashes of messages of one word."""
    for begin in range(0, words.size, _BLOCK):
        block = words[begin : begin + _BLOCK]
        h1 = seed ^ _mix_first(block)
        h2, length = np.full(block.size, seed), np.full(block.size, np.uint64(8))
        hashes[begin : begin + _BLOCK] = _finish(h1, h2, length)


@kernel
def murmur3_each_message(words: Words, start: Places, length: Places, seed: np.uint64, hashes: Words) -> None:
    """Fills in the hashes of messages."""
    for places, block in Ragged(words, start, length).blocks(_BLOCK):
        h1, h2 = np.full(places.size, seed), np.full(places.size, seed)
        pairs = block.length // 16
        for step in range(int(pairs[0])):
            active = int(np.searchsorted(-pairs, -step, side="left"))  # those that have more pairs than this
            a, b = h1[:active], h2[:active]
            a ^= _mix_first(block.word(16 * step, active))
            a[:] = (_rotated(a, 27) + b) * np.uint64(5) + np.uint64(0x52DCE729)
            b ^= _mix_second(block.word(16 * step + 8, active))
            b[:] = (_rotated(b, 31) + a) * np.uint64(5) + np.uint64(0x38495AB5)
        left, tail = block.length % 16, block.start + pairs * 16
        h2 ^= _mix_second(keep_low_bytes(block.words[tail + 8], left - 8))
        h1 ^= _mix_first(keep_low_bytes(block.words[tail], left))
        hashes[places] = _finish(h1, h2, block.length.astype(np.uint64))


def _finish(h1: Words, h2: Words, length: Words) -> Words:
    h1, h2 = h1 ^ length, h2 ^ length
    h1 = h1 + h2
    h2 = h2 + h1
    h1, h2 = _avalanche(h1), _avalanche(h2)
    h1 = h1 + h2
    h2 = h2 + h1
    return h1 & _LOW | h2 & ~_LOW


def _avalanche(words: Words) -> Words:
    words = (words ^ words >> np.uint64(33)) * np.uint64(0xFF51AFD7ED558CCD)
    words = (words ^ words >> np.uint64(33)) * np.uint64(0xC4CEB9FE1A85EC53)
    return words ^ words >> np.uint64(33)


def _mix_first(words: Words) -> Words:
    return _rotated(words * _C1, 31) * _C2


def _mix_second(words: Words) -> Words:
    return _rotated(words * _C2, 33) * _C1


def _rotated(words: Words, bits: int) -> Words:
    return words << np.uint64(bits) | words >> np.uint64(64 - bits)


def _avalanche_one(word: int) -> int:
    word = (word ^ word >> 33) * 0xFF51AFD7ED558CCD & _MASK
    word = (word ^ word >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    return word ^ word >> 33


def _rotated_one(word: int, bits: int) -> int:
    word &= _MASK
    return (word << bits | word >> 64 - bits) & _MASK

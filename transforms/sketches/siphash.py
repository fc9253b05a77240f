"""SipHash-1-3, of one message or of many at once (Aumasson and Bernstein, SipHash: a fast short-input PRF, 2012).

A keyed hash: without the key nobody can choose items that collide, and the key may be public where nobody would. The
message is a payload and one byte, the tag, after it, so that an 8-byte payload takes two words.
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.kernels import kernel
from transforms.sketches.ragged import Ragged, keep_low_bytes

_BLOCK = 16_384  # messages: large enough for numpy, small enough for their states to stay in the cache
_INITIAL = (0x736F6D6570736575, 0x646F72616E646F6D, 0x6C7967656E657261, 0x7465646279746573)
_MASK = 2**64 - 1

Words = NDArray[np.uint64]
Places = NDArray[np.int64]


def siphash_one(payload: bytes, tag: int, key: bytes) -> int:
    """The 64-bit hash of one payload and its tag under a key of 16 bytes."""
    message = payload + bytes([tag])
    padded = message + b"\0" * (7 - len(message) % 8) + bytes([len(message) & 255])
    v0, v1, v2, v3 = _initial(key)
    for word in struct.unpack(f"<{len(padded) // 8}Q", padded):
        v0, v1, v2, v3 = _round_one(v0, v1, v2, v3 ^ word)
        v0 ^= word
    v2 ^= 0xFF
    for _ in range(3):
        v0, v1, v2, v3 = _round_one(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _round_one(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = ((v1 << 13 | v1 >> 51) & _MASK) ^ v0
    v0 = (v0 << 32 | v0 >> 32) & _MASK
    v2 = (v2 + v3) & _MASK
    v3 = ((v3 << 16 | v3 >> 48) & _MASK) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = ((v3 << 21 | v3 >> 43) & _MASK) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = ((v1 << 17 | v1 >> 47) & _MASK) ^ v2
    v2 = (v2 << 32 | v2 >> 32) & _MASK
    return v0, v1, v2, v3


def siphash_words(words: Words, tag: int, key: bytes) -> Words:
    """The hashes of payloads of 8 bytes, given as little-endian words."""
    hashes = np.empty(words.size, np.uint64)
    last = np.uint64(9 << 56 | tag)  # the second word: the tag, and the length of the message
    siphash_each_word(np.ascontiguousarray(words), last, np.array(_initial(key), np.uint64), hashes)
    return hashes


def siphash_many(messages: Ragged, tag: int, key: bytes) -> Words:
    """The hashes of payloads of any length."""
    hashes = np.empty(messages.start.size, np.uint64)
    initial = np.array(_initial(key), np.uint64)
    siphash_each_message(messages.words, messages.start, messages.length, np.uint64(tag), initial, hashes)
    return hashes


@kernel
def siphash_each_word(words: Words, last: np.uint64, initial: Words, hashes: Words) -> None:
    """Fills in the hashes of payloads of one word, given the second word that all have."""
    for begin in range(0, words.size, _BLOCK):
        block = words[begin : begin + _BLOCK]
        state = _States(block.size, initial)
        state.absorb(block)
        state.absorb(last)
        hashes[begin : begin + _BLOCK] = state.finish()


@kernel
def siphash_each_message(
    words: Words, start: Places, length: Places, tag: np.uint64, initial: Words, hashes: Words
) -> None:
    """Fills in the hashes of payloads; a block costs as many steps as its longest payload has words."""
    for places, block in Ragged(words, start, length).blocks(_BLOCK):
        state = _States(places.size, initial)
        size = block.length + 1  # with the tag
        full = size // 8
        ends = np.searchsorted(-full, -np.arange(int(full[0]) + 2), side="right")  # ends[j]: how many have j full words
        count = (size.astype(np.uint64) & np.uint64(255)) << np.uint64(56)
        for step in range(int(full[0]) + 1):
            active = int(ends[step])
            word = block.word(8 * step, active)
            # Payloads end in this word or in the one before; all others are longer.
            tail = slice(int(ends[step + 2]) if step + 2 < ends.size else 0, active)
            left = block.length[tail] - 8 * step
            word[tail] = keep_low_bytes(word[tail], left)
            word[tail] |= np.left_shift(tag, np.where((left >= 0) & (left < 8), left * 8, 64).astype(np.uint64))
            word[tail] |= np.where(full[tail] == step, count[tail], np.uint64(0))
            state.absorb(word)
        hashes[places] = state.finish()


def _initial(key: bytes) -> tuple[int, int, int, int]:
    k0, k1 = struct.unpack("<QQ", key)
    a, b, c, d = _INITIAL
    return k0 ^ a, k1 ^ b, k0 ^ c, k1 ^ d


class _States:
    """The states of many hashes that advance together, in place."""

    def __init__(self, count: int, initial: Words) -> None:
        self._all = np.empty((5, count), np.uint64)
        for row, value in zip(self._all, initial, strict=False):
            row.fill(value)

    def absorb(self, words: Words | np.uint64) -> None:
        """One word each for the first states, or the same word for all."""
        rows = self._all[:, : np.size(words)] if np.ndim(words) else self._all
        rows[3] ^= words
        _round(*rows)
        rows[0] ^= words

    def finish(self) -> Words:
        v0, v1, v2, v3, _ = rows = self._all
        v2 ^= np.uint64(0xFF)
        for _ in range(3):
            _round(*rows)
        v0 ^= v1
        v2 ^= v3
        v0 ^= v2
        return v0


def _round(v0: Words, v1: Words, v2: Words, v3: Words, scratch: Words) -> None:
    v0 += v1
    _rotate(v1, 13, scratch)
    v1 ^= v0
    _rotate(v0, 32, scratch)
    v2 += v3
    _rotate(v3, 16, scratch)
    v3 ^= v2
    v0 += v3
    _rotate(v3, 21, scratch)
    v3 ^= v0
    v2 += v1
    _rotate(v1, 17, scratch)
    v1 ^= v2
    _rotate(v2, 32, scratch)


def _rotate(words: Words, bits: int, scratch: Words) -> None:
    np.left_shift(words, bits, out=scratch)
    np.right_shift(words, 64 - bits, out=words)
    np.bitwise_or(words, scratch, out=words)

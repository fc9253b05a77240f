"""The kernels again, as loops that numba compiles: item after item in registers, where numpy takes a pass a step.

Each has the name and the arguments of the numpy function that `kernels.kernel` marks, and gives the same bits.
Every constant beside a word is an np.uint64: numba makes floats of uint64 and int. Nothing checks a place against the
end of an array: whoever calls has done so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.kernels import loop, part

Words = NDArray[np.uint64]
Whole = NDArray[np.int64]

_WORDS, _WHOLE = "Array(uint64, 1, 'C', readonly=True)", "Array(int64, 1, 'C', readonly=True)"
_OVERLAPPING = "Array(uint64, 1, 'A', readonly=True, aligned=False)"
_MESSAGES = f"{_OVERLAPPING}, {_WHOLE}, {_WHOLE}"  # words, start and length, as a Ragged has them
_COUNTED = "Tuple((int64, int64[::1]))"

_0, _1, _3, _7, _32, _33 = (np.uint64(number) for number in (0, 1, 3, 7, 32, 33))
_LOW_32 = np.uint64(2**32 - 1)
_BLOCK = 1024  # hashes that stay in the nearest cache while lane after lane goes over them


@part
def _rotated(word: np.uint64, bits: int) -> np.uint64:
    return word << np.uint64(bits) | word >> np.uint64(64 - bits)


@part
def _low_bytes(word: np.uint64, count: int) -> np.uint64:
    """The lowest `count` bytes of a word, 0 to 7 of them."""
    return word & (_1 << np.uint64(8 * count)) - _1


# SipHash-1-3, as in siphash.py.

_State = tuple[np.uint64, np.uint64, np.uint64, np.uint64]


@part
def _round(v0: np.uint64, v1: np.uint64, v2: np.uint64, v3: np.uint64) -> _State:
    v0 += v1
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 += v3
    v3 = _rotated(v3, 16) ^ v2
    v0 += v3
    v3 = _rotated(v3, 21) ^ v0
    v2 += v1
    v1 = _rotated(v1, 17) ^ v2
    v2 = _rotated(v2, 32)
    return v0, v1, v2, v3


@part
def _absorbed(state: _State, word: np.uint64) -> _State:
    v0, v1, v2, v3 = _round(state[0], state[1], state[2], state[3] ^ word)
    return v0 ^ word, v1, v2, v3


@part
def _finished(state: _State) -> np.uint64:
    v0, v1, v2, v3 = state[0], state[1], state[2] ^ np.uint64(0xFF), state[3]
    for _ in range(3):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@loop(f"void({_WORDS}, uint64, {_WORDS}, uint64[::1])")
def siphash_each_word(words: Words, last: np.uint64, initial: Words, hashes: Words) -> None:
    """SipHash of payloads of 8 bytes."""
    begin = initial[0], initial[1], initial[2], initial[3]
    for place in range(words.size):
        hashes[place] = _finished(_absorbed(_absorbed(begin, words[place]), last))


@loop(f"void({_MESSAGES}, uint64, {_WORDS}, uint64[::1])")
def siphash_each_message(
    words: Words, start: Whole, length: Whole, tag: np.uint64, initial: Words, hashes: Words
) -> None:
    """SipHash of payloads of any length."""
    begin = initial[0], initial[1], initial[2], initial[3]
    for place in range(start.size):
        state, at, left = begin, start[place], length[place]
        while left >= 8:
            state = _absorbed(state, words[at])
            at += 8
            left -= 8
        word = _low_bytes(words[at], left) | tag << np.uint64(8 * left)
        if left == 7:
            state = _absorbed(state, word)
            word = _0
        hashes[place] = _finished(_absorbed(state, word | np.uint64(length[place] + 1) << np.uint64(56)))


# MurmurHash3, as in murmur3.py.

_C1, _C2 = np.uint64(0x87C37B91114253D5), np.uint64(0x4CF5AD432745937F)


@part
def _mixed(word: np.uint64, before: np.uint64, bits: int, after: np.uint64) -> np.uint64:
    return _rotated(word * before, bits) * after


@part
def _avalanched(word: np.uint64) -> np.uint64:
    word = (word ^ word >> _33) * np.uint64(0xFF51AFD7ED558CCD)
    word = (word ^ word >> _33) * np.uint64(0xC4CEB9FE1A85EC53)
    return word ^ word >> _33


@part
def _kept(h1: np.uint64, h2: np.uint64, length: np.uint64) -> np.uint64:
    h1, h2 = h1 ^ length, h2 ^ length
    h1 += h2
    h2 += h1
    h1, h2 = _avalanched(h1), _avalanched(h2)
    h1 += h2
    h2 += h1
    low = np.uint64(2**26 - 1)
    return h1 & low | h2 & ~low


@loop(f"void({_WORDS}, uint64, uint64[::1])")
def murmur3_each_word(words: Words, seed: np.uint64, hashes: Words) -> None:
    """MurmurHash3 of messages of 8 bytes."""
    for place in range(words.size):
        hashes[place] = _kept(seed ^ _mixed(words[place], _C1, 31, _C2), seed, np.uint64(8))


@loop(f"void({_MESSAGES}, uint64, uint64[::1])")
def murmur3_each_message(words: Words, start: Whole, length: Whole, seed: np.uint64, hashes: Words) -> None:
    """MurmurHash3 of messages of any length."""
    for place in range(start.size):
        h1, h2, at, left = seed, seed, start[place], length[place]
        while left >= 16:
            h1 ^= _mixed(words[at], _C1, 31, _C2)
            h1 = (_rotated(h1, 27) + h2) * np.uint64(5) + np.uint64(0x52DCE729)
            h2 ^= _mixed(words[at + 8], _C2, 33, _C1)
            h2 = (_rotated(h2, 31) + h1) * np.uint64(5) + np.uint64(0x38495AB5)
            at += 16
            left -= 16
        if left >= 8:
            h1 ^= _mixed(words[at], _C1, 31, _C2)
            h2 ^= _mixed(_low_bytes(words[at + 8], left - 8), _C2, 33, _C1)
        else:
            h1 ^= _mixed(_low_bytes(words[at], left), _C1, 31, _C2)
        hashes[place] = _kept(h1, h2, np.uint64(length[place]))


# What sketches do with a hash.


@loop(f"void(uint8[::1], {_WORDS})")
def raise_registers(registers: NDArray[np.uint8], hashes: Words) -> None:
    """HyperLogLog's registers, as in hyperloglog.py."""
    mask = np.uint64(registers.size - 1)
    for value in hashes:
        # The exponent of a float counts its leading zeros.
        exponent = np.float64(np.int64(value >> np.uint64(26))).view(np.int64) >> 52
        rank = 1023 + 38 - exponent if exponent else 39
        if rank <= registers[value & mask]:  # nearly always, once the sketch has filled
            continue
        registers[value & mask] = rank


@loop(f"void(int64[:, ::1], {_WORDS}, Array(int64, 1, 'A', readonly=True))")
def add_weights(counters: Whole, hashes: Words, weights: Whole) -> None:
    """Count-Min's counters, as in count_min.py, with the places of `double_hashes`."""
    width = np.uint64(counters.shape[1])
    for place in range(hashes.size):
        low, high = hashes[place] & _LOW_32, hashes[place] >> _32 | _1
        for row in range(counters.shape[0]):
            counters[row, (low & _LOW_32) * width >> _32] += weights[place]
            low += high


@part
def _no_counts(low: int, high: int, shift: int) -> tuple[int, Whole]:
    """The first bucket of these magnitudes, and a count of 0 for each."""
    if low > high:
        return 0, np.zeros(0, np.int64)
    return low >> shift, np.zeros((high >> shift) - (low >> shift) + 1, np.int64)


@loop(f"Tuple((int64, {_COUNTED}, {_COUNTED}))({_WHOLE}, int64)")
def count_buckets(values: Whole, shift: int) -> tuple[int, tuple[int, Whole], tuple[int, Whole]]:
    """Values in each of LogHistogram's buckets, as in log_histogram.py."""
    first, unsigned = 1 << 52, 2**63 - 1  # the least float that does not count as zero, and all bits but the sign
    low, high, low_negative, high_negative = unsigned, 0, unsigned, 0
    for value in values:
        size = value & unsigned
        if value >= first:
            low, high = min(low, size), max(high, size)
        elif size >= first:
            low_negative, high_negative = min(low_negative, size), max(high_negative, size)
    start, positive = _no_counts(low, high, shift)
    start_negative, negative = _no_counts(low_negative, high_negative, shift)
    zeros = 0
    for value in values:
        if value >= first:
            positive[np.uint64((value >> shift) - start)] += 1
        elif value & unsigned >= first:
            negative[np.uint64(((value & unsigned) >> shift) - start_negative)] += 1
        else:
            zeros += 1
    return zeros, (start, positive), (start_negative, negative)


@loop(f"void(uint64[::1], {_WORDS}, {_WORDS}, {_WORDS})")
def lower_least(least: Words, hashes: Words, factors: Words, summands: Words) -> None:
    """MinHash's values, as in minhash.py, by the `lanes` of derived.py."""
    for begin in range(0, hashes.size, _BLOCK):
        block = hashes[begin : begin + _BLOCK]
        for lane in range(least.size):
            lowest, factor, summand = least[lane], factors[lane], summands[lane]
            for value in block:
                lowest = min(lowest, value * factor + summand)
            least[lane] = lowest


@part
def _bit(value: np.uint64, factor: np.uint64, summand: np.uint64, width: np.uint64) -> np.uint64:
    return (value * factor + summand >> _32) * width >> _32


@loop(f"void(uint8[::1], {_WORDS}, {_WORDS}, {_WORDS})")
def set_bits(filled: NDArray[np.uint8], hashes: Words, factors: Words, summands: Words) -> None:
    """Bloom's bits, as in bloom.py."""
    width = np.uint64(filled.size * 8)
    for value in hashes:
        for lane in range(factors.size):
            bit = _bit(value, factors[lane], summands[lane], width)
            filled[bit >> _3] |= np.uint8(_1 << (bit & _7))


@loop(f"void(Array(uint8, 1, 'C', readonly=True), {_WORDS}, {_WORDS}, {_WORDS}, boolean[::1])")
def find_bits(
    filled: NDArray[np.uint8], hashes: Words, factors: Words, summands: Words, found: NDArray[np.bool_]
) -> None:
    """Whether all bits of an item are set, as in bloom.py."""
    width = np.uint64(filled.size * 8)
    for place in range(hashes.size):
        lane = 0
        while lane < factors.size:
            bit = _bit(hashes[place], factors[lane], summands[lane], width)
            if not filled[bit >> _3] >> np.uint8(bit & _7) & 1:
                break
            lane += 1
        found[place] = lane == factors.size

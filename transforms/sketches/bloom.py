"""Seen before? Bits that remember items, in a tenth of the bytes that the items would take.

Source: Bloom, Space/time trade-offs in hash coding with allowable errors (1970). The count is that of Swamidass and
Baldi, Mathematical correction for fingerprint similarity measures (2007). An item's places are independent lanes of
its hash, not the double hashing of Kirsch and Mitzenmacher (2006): theirs is as good in large filters only. At 100
items and an error of 0.01 % it was wrong four times as often as stated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.derived import Hashes, lane_constants
from transforms.sketches.estimate import Estimate
from transforms.sketches.hashed import Hashed
from transforms.sketches.hashing import DEFAULT, Hasher
from transforms.sketches.kernels import kernel
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_BLOCK = 16_384  # hashes whose lanes stay in the cache
_MOST_BITS = 2**32  # what the 32 random bits of a place can tell apart
_MOST_HASHES = 64
_BIT = (1 << np.arange(8)).astype(np.uint8)


class Bloom(Sketch):
    """Whether an item was added: "no" is certain, "yes" is wrong as often as `error_now()` says.

    No item that was added is ever denied. An item that was not is taken for one with the probability `error` that
    `for_error` was given, once `capacity` different items are in, and less often before. A fuller filter stays honest:
    `error_now()` and `count()` are read off its bits and tell what it has come to.

    Any order of merging (the union) gives equal bytes. Memory is bits / 8 bytes, 1.2 bytes an item at 1 %, 1.8 at
    0.1 %. Raises ValueError where bits is no multiple of 8 up to 2^32, or hashes not from 1 to 64.

    >>> seen = Bloom.for_error(capacity=10_000, error=0.01)
    >>> seen.add_many(["ana", "bo"])
    >>> "ana" in seen, "zoe" in seen, seen.memory()
    (True, False, 11992)
    >>> print(seen.count())
    2 ± 0.00895 (95 %)
    """

    KIND = "bloom"

    def __init__(self, bits: int, hashes: int, *, hasher: Hasher = DEFAULT) -> None:
        if not 8 <= bits <= _MOST_BITS or bits % 8:
            raise ValueError(f"bits must be a multiple of 8, from 8 to 2^32, got {bits}; Bloom.for_error chooses them")
        if not 1 <= hashes <= _MOST_HASHES:
            raise ValueError(f"hashes must be from 1 to {_MOST_HASHES}, got {hashes}; Bloom.for_error chooses them")
        self._bits, self._hashes, self._hasher = bits, hashes, hasher
        self._bytes = np.zeros(bits // 8, np.uint8)

    @classmethod
    def for_error(cls, capacity: int, error: float, *, hasher: Hasher = DEFAULT) -> Self:
        """The smallest filter that takes `capacity` different items and is wrong at most at the rate `error`."""
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 item, got {capacity}")
        if not 0.0 < error < 1.0:
            raise ValueError(f"error must be between 0 and 1, got {error}; use 0.01 for 1 % of wrong yeses")
        bits, hashes = min((_bits_for(capacity, error, hashes), hashes) for hashes in range(1, _MOST_HASHES + 1))
        if bits > _MOST_BITS:
            raise ValueError(
                f"a Bloom has at most 2^32 bits, got a capacity of {capacity} at {error}, which takes {bits}: "
                "allow more error, or split the items over several filters"
            )
        return cls(bits, hashes, hasher=hasher)

    @property
    def parameters(self) -> Parameters:
        return {"bits": self._bits, "hashes": self._hashes, "hash": self._hasher.identity}

    def add_many(self, values: Any) -> None:
        """Adds items of any kind that has a hash; raises ValueError on missing values, and adds nothing."""
        set_bits(self._bytes, self._hasher.hash_many(values), *lane_constants(self._hashes))

    @property
    def prepare(self) -> Callable[[Any], Hashed]:
        return self._hasher.hashed

    def merge(self, other: Self) -> None:
        """Makes this the filter of both; raises ValueError where they are unlike."""
        self._require_alike(other)
        self._bytes |= other._bytes

    def __contains__(self, item: object) -> bool:
        return bool(self._contains(np.array([self._hasher.hash_one(item)], np.uint64))[0])

    def contains_many(self, values: Any) -> NDArray[np.bool_]:
        """Which of the items were (probably) added, in their order."""
        return self._contains(self._hasher.hash_many(values))

    def error_now(self) -> float:
        """The probability that an item which was never added is taken for one, as the filter is now."""
        return float((self._ones() / self._bits) ** self._hashes)

    def count(self, confidence: float = 0.95) -> Estimate:
        """How many different items were added; without upper bound once every bit is set."""
        zeros, score = self._bits - self._ones(), NormalDist().inv_cdf(0.5 + confidence / 2)
        # Zeros scatter as a Poisson number does, times a factor that says how little chance a filter almost empty
        # leaves: it shares almost no bits. The bounds are those numbers of items that would not wonder at these zeros.
        load = math.log(self._bits / zeros) if zeros else math.inf
        spread = score**2 * (1.0 - (1.0 + load) * math.exp(-load) if zeros else 1.0)
        middle, reach = zeros + spread / 2, math.sqrt(spread * (zeros + spread / 4))
        low, value, high = (self._items_at(expected) for expected in (middle + reach, zeros, middle - reach))
        return Estimate(value, min(low, value), max(high, value), confidence)

    def memory(self) -> int:
        return self._bytes.nbytes

    def _payload(self) -> bytes:
        return self._bytes.tobytes()

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        bits, hashes = int(parameters["bits"]), int(parameters["hashes"])
        if bits != len(payload) * 8:
            raise ValueError(f"{bits} bits must take {bits // 8} bytes, got {len(payload)}")
        bloom = cls(bits, hashes, hasher=Hasher.of(str(parameters["hash"])))
        bloom._bytes[:] = np.frombuffer(payload, np.uint8)
        return bloom

    def _contains(self, hashes: Hashes) -> NDArray[np.bool_]:
        found = np.empty(hashes.size, np.bool_)
        find_bits(self._bytes, hashes, *lane_constants(self._hashes), found)
        return found

    def _ones(self) -> int:
        return int(np.bitwise_count(self._bytes).sum(dtype=np.int64))

    def _items_at(self, zeros: float) -> float:
        """How many items are expected to leave so many bits unset."""
        return max(0.0, math.log(self._bits / zeros) * self._bits / self._hashes) if zeros > 0 else math.inf


@kernel
def set_bits(filled: NDArray[np.uint8], hashes: Hashes, factors: Hashes, summands: Hashes) -> None:
    """Sets the bits of items, one for each factor and summand."""
    bits = filled.size * 8
    blocks = (hashes[begin : begin + _BLOCK] for begin in range(0, hashes.size, _BLOCK))
    if hashes.size * factors.size * 8 < bits:
        for places in (places for block in blocks for places in _places(bits, block, factors, summands)):
            np.bitwise_or.at(filled, places >> 3, _BIT[places & 7])
        return
    flags = np.zeros(bits, np.bool_)  # for many items, a byte a bit is quicker to set and worth packing
    for places in (places for block in blocks for places in _places(bits, block, factors, summands)):
        flags[places] = True
    filled |= np.packbits(flags, bitorder="little")


@kernel
def find_bits(
    filled: NDArray[np.uint8], hashes: Hashes, factors: Hashes, summands: Hashes, found: NDArray[np.bool_]
) -> None:
    """Fills in whether all bits of an item are set."""
    found.fill(True)
    for begin in range(0, hashes.size, _BLOCK):
        block = found[begin : begin + _BLOCK]
        for places in _places(filled.size * 8, hashes[begin : begin + _BLOCK], factors, summands):
            block &= filled[places >> 3] & _BIT[places & 7] != 0


def _places(bits: int, hashes: Hashes, factors: Hashes, summands: Hashes) -> Iterator[NDArray[np.int64]]:
    """Every item's bits, one of each item at a time."""
    for factor, summand in zip(factors, summands, strict=True):
        # The high part of a product scales 32 bits to below the width without a division (Lemire 2019).
        yield ((hashes * factor + summand >> np.uint64(32)) * np.uint64(bits) >> np.uint64(32)).view(np.int64)


def _bits_for(capacity: int, error: float, hashes: int) -> int:
    """The fewest bits, in whole bytes, that with so many hashes keep to the error."""
    share = error ** (1 / hashes)  # of bits set
    return 8 * math.ceil(-capacity * hashes / math.log1p(-share) / 8) if share < 1.0 else 8 * _MOST_BITS

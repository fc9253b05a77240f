"""More hashes from one: places in a table, and lanes of further 64-bit hashes."""

from __future__ import annotations

import functools
import hashlib
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def double_hashes(hashes: Hashes, count: int, width: int) -> NDArray[np.int64]:
    """For each hash `count` places below `width`, shape (count, n), by double hashing.

    Kirsch and Mitzenmacher, Less hashing, same performance (2006). `width` is at most 2^32.
    """
    low, high = hashes & np.uint64(0xFFFFFFFF), hashes >> np.uint64(32) | np.uint64(1)
    places = np.empty((count, hashes.size), np.int64)
    for row in places:
        # The high part of a product scales 32 bits to below the width without a division (Lemire 2019).
        row[:] = (low & np.uint64(0xFFFFFFFF)) * np.uint64(width) >> np.uint64(32)
        low = low + high
    return places


def lanes(hashes: Hashes, count: int) -> Iterator[Hashes]:
    """`count` further 64-bit hashes of each, one lane after another, by multiply-shift (Dietzfelbinger 1997).

    The high bits of a lane are the random ones.
    """
    for factor, summand in zip(*lane_constants(count), strict=True):
        yield hashes * factor + summand


@functools.cache
def lane_constants(count: int) -> tuple[Hashes, Hashes]:
    """The factors, which are odd, and the summands of the first lanes: fixed for ever, and the same in any count."""
    digests = [hashlib.blake2b(struct.pack("<Q", lane), digest_size=16, key=b"lanes").digest() for lane in range(count)]
    halves = np.frombuffer(b"".join(digests), "<u8").astype(np.uint64).reshape(count, 2)
    factors, summands = halves.T.copy()
    factors |= np.uint64(1)
    factors.flags.writeable = summands.flags.writeable = False  # all sketches share them
    return factors, summands

"""Seen before, and how alike: Bloom and MinHash, which DataSketches' Python package has no peer of."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.accuracy.study import Reading, Study, parts
from transforms.sketches import Bloom, MinHash

_CAPACITY = 100_000
_QUESTIONS = 100_000


def _bloom(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for items that were never added, up to ten times the capacity, and for those that were."""
    items, never = chance.integers(0, 2**62, sizes[-1]), chance.integers(2**62, 2**63, _QUESTIONS)
    bloom = Bloom.for_error(_CAPACITY, 0.01)
    for n, part in parts(items, sizes):
        bloom.add_many(part)
        if not bloom.contains_many(part).all():
            raise AssertionError("a Bloom filter denied an item that was added")
        wrong = float(bloom.contains_many(never).mean())
        size = bloom.memory(), len(bloom.to_bytes())
        rates = {"ours": wrong, "what error_now() says": bloom.error_now()}
        yield n, {series: Reading(np.array([rate]), *size) for series, rate in rates.items()}


def _minhash(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Two sets with n items in either, of which both have three fifths: near a half, where coins scatter most."""
    left, right = MinHash(), MinHash()
    for n, part in parts(chance.integers(-(2**63), 2**63, sizes[-1]), sizes):
        fifth = part.size // 5
        left.add_many(part[: 4 * fifth])
        right.add_many(part[fifth:])
        error = np.array([left.similarity(right).value - 0.6])
        yield n, {"ours": Reading(error, left.memory(), len(left.to_bytes()))}


STUDIES = [
    Study("Bloom", f"{_CAPACITY:,} items at 1 %", "false yeses, of what was never added", _bloom, 10**8, 500),
    Study("MinHash", "128 hashes", "of the similarity, which is 0.6", _minhash, 5 * 10**7, 1_000),
]

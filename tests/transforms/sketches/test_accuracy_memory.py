"""Ten million different keys go into each bounded sketch, and it does not grow."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest

from transforms.sketches import (
    Bloom,
    CountMin,
    DyadicQuantiles,
    HeavyHitters,
    HyperLogLog,
    Kll,
    LogHistogram,
    MinHash,
    Moments,
    Sketch,
    SkipList,
)

KEYS = 10_000_000
BATCH = 100_000
MOST = 64 * 2**20


@pytest.mark.parametrize(
    "make",
    [
        HyperLogLog,
        CountMin,
        lambda: HeavyHitters(1_000),
        lambda: Bloom.for_error(1_000_000, 0.01),
        lambda: MinHash(16),
        Kll,
        lambda: DyadicQuantiles(0, 2**40, 2**20),
        LogHistogram,
        lambda: SkipList(keep="largest", capacity=1_000),
        Moments,
    ],
    ids=lambda make: type(make()).__name__,
)
def test_ten_million_different_keys_take_less_than_64_mb(make: Callable[[], Sketch]) -> None:
    tracemalloc.start()
    try:
        sketch, before = make(), tracemalloc.get_traced_memory()[0]
        for first in range(0, KEYS, BATCH):
            sketch.add_many(np.arange(first, first + BATCH) * 0x9E3779B1 % 2**40)  # an odd factor: all different
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak - before < MOST
    assert sketch.memory() <= held < 4 * sketch.memory() + 2**20

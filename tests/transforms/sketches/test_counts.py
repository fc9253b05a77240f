"""Packed counts: every array comes back, and no other bytes are read as one."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from transforms.sketches.counts import pack_counts, unpack_counts

ARRAYS = {
    "nothing": [],
    "one zero": [0],
    "zeros": [0] * 1000,
    "dense": list(range(1000)),
    "sparse": [0] * 300 + [1] + [0] * 70_000 + [255],
    "first and last": [7] + [0] * 98 + [9],
    "each width": [1, 256, 65_536, 2**32, 2**63 - 1],
}


@pytest.mark.parametrize("name", ARRAYS)
def test_counts_come_back(name: str) -> None:
    counts = np.array(ARRAYS[name], np.int64)
    again = unpack_counts(pack_counts(counts), counts.size)
    assert again.dtype == np.int64
    assert again.tolist() == counts.tolist()


def test_few_counts_take_few_bytes() -> None:
    assert len(pack_counts(np.array(ARRAYS["sparse"]))) == 10 + 2 * (1 + 4)
    assert len(pack_counts(np.array(ARRAYS["dense"]))) == 10 + 2 * 1000


def test_counts_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="must be 3 counts, got 2"):
        unpack_counts(pack_counts(np.array([0, 1])), 3)


@pytest.mark.parametrize("size", [0, 1, 100, 10**6])
def test_damaged_bytes_are_refused_or_read_as_counts_but_never_crash(size: int) -> None:
    rng = np.random.default_rng(2)
    good = pack_counts(np.resize([*ARRAYS["first and last"], *[0] * 400], size))
    for _ in range(300):
        bad = bytearray(good)
        bad[rng.integers(len(bad))] ^= 1 << int(rng.integers(8))
        for damaged in (bytes(bad), rng.bytes(20), good[: rng.integers(len(good))]):
            try:
                counts = unpack_counts(damaged, size)
            except (ValueError, struct.error):
                continue
            assert counts.size == size
            assert counts.min(initial=0) >= 0

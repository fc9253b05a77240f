"""Cells: the sums of a Counter, whether they are counted in all cells or sorted."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from transforms.sketches.cells import ranked, summed


@pytest.mark.parametrize("limit", [1, 50, 2**40], ids="below {}".format)
@pytest.mark.parametrize("number", [0, 1, 500])
def test_sums_and_ranks_are_those_of_a_counter(limit: int, number: int) -> None:
    rng = np.random.default_rng(number)
    cells = rng.integers(0, limit, number) // 7 * 7 % limit
    counts = rng.integers(1, 2**60 // (number + 1), number)
    oracle: Counter[int] = Counter()
    for cell, count in zip(cells.tolist(), counts.tolist(), strict=True):
        oracle[cell] += count
    for given, expected in ((counts, oracle), (None, Counter(cells.tolist()))):
        filled, sums = summed(cells, given, limit)
        assert list(zip(filled.tolist(), sums.tolist(), strict=True)) == sorted(expected.items())
    rank, present = ranked(cells, limit)
    assert present.tolist() == sorted(oracle)
    assert present[rank].tolist() == cells.tolist()

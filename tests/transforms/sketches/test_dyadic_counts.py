"""DyadicCounts: bounds are certain however many cells collide."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from transforms.sketches.dyadic_counts import DyadicCounts
from transforms.sketches.hashing import DEFAULT

RNG = np.random.default_rng(1)
CELLS = 5003
STREAMS = {
    "nothing": np.empty(0, np.int64),
    "even": RNG.integers(0, CELLS, 3000),
    "steep": (RNG.pareto(0.7, 3000) * 9).astype(int) % CELLS,
    "the last cells": CELLS - 1 - RNG.integers(0, 9, 3000),
}


@pytest.mark.parametrize("epsilon", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("name", STREAMS)
def test_bounds_hold_even_where_every_counter_collides(name: str, epsilon: float) -> None:
    cells: np.ndarray[Any, Any] = STREAMS[name]
    counts = DyadicCounts(CELLS, epsilon, 0.5, DEFAULT)
    counts.add(cells)
    assert counts.total == cells.size
    for cell in [0, 1, 2, CELLS - 1, CELLS, *RNG.integers(0, CELLS, 40).tolist()]:
        low, high = counts.before(cell)
        assert low <= np.count_nonzero(cells < cell) <= high
    ordered = np.sort(cells)
    for place in range(1, cells.size + 1, 97):
        first, likeliest, last = counts.find(place)
        assert 0 <= first <= likeliest <= last < CELLS
        assert first <= ordered[place - 1] <= last


def test_nothing_is_taken_where_a_count_would_fall_below_zero() -> None:
    counts, more = (DyadicCounts(CELLS, 0.3, 0.5, DEFAULT) for _ in range(2))
    counts.add(STREAMS["even"])
    more.add_all(counts)
    more.add(np.array([7]))
    before = counts.to_bytes()
    assert not counts.take_all(more)
    assert counts.to_bytes() == before
    assert counts.take_all(counts)
    assert counts.to_bytes() == DyadicCounts(CELLS, 0.3, 0.5, DEFAULT).to_bytes()

"""Sorting by digits: what sorting by comparison gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.sketches.sorting import sorted_pairs, stable_order


@pytest.mark.parametrize("limit", [1, 2, 2**16, 2**16 + 1, 2**33])
def test_the_order_is_the_stable_one(limit: int) -> None:
    numbers = np.random.default_rng(limit).integers(0, limit, 3_000)
    assert stable_order(numbers, limit).tolist() == np.argsort(numbers, kind="stable").tolist()


# Words that often share their first digit, and often are equal.
_WORDS = st.builds(lambda high, low: high << 48 | low, st.sampled_from([0, 1, 2**16 - 1]), st.integers(0, 5))


@given(st.lists(st.tuples(st.integers(0, 70_000), _WORDS | st.integers(0, 2**64 - 1)), max_size=60))
def test_pairs_are_sorted_and_each_is_there_once(pairs: list[tuple[int, int]]) -> None:
    groups = np.array([group for group, _ in pairs], np.intp)
    words = np.array([word for _, word in pairs], np.uint64)
    ours = sorted_pairs(groups, words, 70_001)
    assert list(zip(*(part.tolist() for part in ours), strict=True)) == sorted(set(pairs))

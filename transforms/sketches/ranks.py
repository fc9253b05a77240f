"""Which place in the order a quantile asks for: one rule for all sketches that answer quantiles."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1.0 - 2.0**-51  # 0.07 of 100 values is the 7th, though 0.07 * 100 is a little above 7


def place_of(q: float, count: int) -> int:
    """The place, from 1, of the smallest value with at least q of all `count` values at or below it.

    That is numpy's method "inverted_cdf", but for its rounding. Raises ValueError where q is not between 0 and 1, or
    there is no value.

    >>> place_of(0.5, 4), place_of(0.07, 100), place_of(0.0, 9), place_of(1.0, 9)
    (2, 7, 1, 9)
    """
    if not 0.0 <= q <= 1.0:
        raise ValueError(f"a quantile must lie between 0 and 1, got {q}; use 0.99 for the 99th percentile")
    if not count:
        raise ValueError("no value has a rank where none was added: look at count first")
    return min(max(math.ceil(q * count * _ROUNDING), 1), count)


def require_comparable(value: float) -> None:
    """Raises ValueError on NaN, which stands nowhere in the order."""
    if math.isnan(value):
        raise ValueError("NaN has no rank: ask for a number")


def places_of(q: float, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """`place_of` for many counts, none of them 0."""
    place_of(q, 1)
    places: NDArray[np.int64] = np.clip(np.ceil(q * counts * _ROUNDING).astype(np.int64), 1, counts)
    return places

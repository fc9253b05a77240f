"""Places in the order: exact arithmetic is the oracle."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from transforms.sketches.ranks import place_of, require_comparable


@pytest.mark.parametrize("digits", [1, 2, 3, 4])
def test_a_decimal_share_means_what_it_says(digits: int) -> None:
    for numerator in range(10**digits + 1):
        q = Fraction(numerator, 10**digits)
        for count in (1, 7, 100, 20_500, 10**6, 10**9 + 7):
            assert place_of(float(q), count) == max(math.ceil(q * count), 1)


def test_shares_that_are_none_and_orders_without_values_are_refused() -> None:
    for q in (-0.01, 1.01, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            place_of(q, 5)
    with pytest.raises(ValueError, match="none was added"):
        place_of(0.5, 0)
    with pytest.raises(ValueError, match="NaN has no rank"):
        require_comparable(math.nan)

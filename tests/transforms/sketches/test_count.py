"""Count: exact, in any grouping, and it subtracts."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.sketches import load
from transforms.sketches.count import Count

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "count-v1.bin"


def made(number: int) -> Count:
    count = Count()
    count.add_many(range(number))
    return count


@given(st.integers(0, 2**40), st.integers(0, 2**40))
def test_counts_add_and_subtract(left: int, right: int) -> None:
    total, part = made(left), made(right)
    total.merge(part)
    assert total == made(left + right)
    assert part == made(right) == load(part.to_bytes())
    total.subtract(part)
    assert total == made(left)


def test_only_what_was_added_is_subtracted() -> None:
    with pytest.raises(ValueError, match="cannot subtract 2 items from 1"):
        made(1).subtract(made(2))


def test_golden_bytes_load_for_ever() -> None:
    assert load(GOLDEN.read_bytes()) == made(7)

"""Total: exact against fractions, in any order, with golden bytes that load for ever."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.sketches import SealError, load
from transforms.sketches.sealing import seal
from transforms.sketches.total import Total

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "total-v1.bin"
numbers = st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=30)


def made(values: object) -> Total:
    total = Total()
    total.add_many(values)
    return total


@given(numbers)
def test_the_sum_is_exact(values: list[float]) -> None:
    truth = sum((Fraction(value) for value in values), Fraction(0))
    total = made(values)
    assert total.count == len(values)
    if truth.denominator == 1:
        assert total.sum == truth.numerator
    elif abs(truth) < 10**308:
        assert total.sum == float(truth)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_ints_do_not_wrap(values: list[int]) -> None:
    assert made(values).sum == sum(values)


@given(numbers, numbers, numbers)
def test_it_is_a_commutative_group_with_equal_bytes(left: list[float], middle: list[float], right: list[float]) -> None:
    one_pass = made(left + middle + right)
    a, b, c = made(left), made(middle), made(right)
    before = b.to_bytes()
    c.merge(b)
    c.merge(a)
    assert b.to_bytes() == before
    assert c.to_bytes() == one_pass.to_bytes()
    c.subtract(b)
    assert c.to_bytes() == made(right + left).to_bytes()
    c.merge(Total())
    assert c == made(left + right)
    assert load(c.to_bytes()) == c == c.copy()


def test_one_and_one_point_zero_are_one_sum() -> None:
    assert made([1, 2]).to_bytes() == made([1.0, 2.0]).to_bytes()


def test_random_trees_of_a_million_give_equal_bytes() -> None:
    chance = random.Random(3)
    values = [chance.gauss(0, 10 ** chance.randrange(-300, 300)) for _ in range(2000)]
    truth = made(values).to_bytes()
    for _ in range(200):
        chance.shuffle(values)
        cuts = sorted(chance.sample(range(len(values)), 5))
        parts = [made(values[a:b]) for a, b in zip([0, *cuts], [*cuts, len(values)], strict=True)]
        while len(parts) > 1:
            parts[0].merge(parts.pop(chance.randrange(1, len(parts))))
        assert parts[0].to_bytes() == truth


@pytest.mark.parametrize("bad", [[float("inf")], [float("nan")], ["x"], [None], [True]])
def test_what_is_no_number_is_refused_and_nothing_added(bad: list[object]) -> None:
    total = made([1.5])
    with pytest.raises(ValueError, match=r"cannot add|only numbers"):
        total.add_many(bad)
    assert (total.count, total.sum) == (1, 1.5)


def test_only_what_was_added_is_subtracted() -> None:
    with pytest.raises(ValueError, match="cannot subtract 2 numbers from 1"):
        made([1]).subtract(made([1, 1]))


def test_golden_bytes_load_for_ever() -> None:
    total = load(GOLDEN.read_bytes())
    assert (type(total), total.count, total.sum) == (Total, 5, 1e16 + 1.25)


@pytest.mark.parametrize("payload", [b"", b"\0" * 9, b"\xff" * 12, b"\0" * 12])
def test_bytes_that_are_no_total_are_refused(payload: bytes) -> None:
    with pytest.raises(SealError):
        Total.from_bytes(seal("total", {}, payload))

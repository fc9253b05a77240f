"""Decayed: laws within rounding, the definition as the oracle, and times however far apart."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import load
from transforms.sketches.decayed import Decayed
from transforms.sketches.sealing import SealError, seal

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "decayed-v1.bin"
RNG = np.random.default_rng(1)


def by_definition(values: Any, times: Any, now: float, half_life: float) -> float:
    return math.fsum(value * 0.5 ** ((now - time) / half_life) for value, time in zip(values, times, strict=True))


def test_laws_hold_within_rounding(check_laws: Callable[..., None]) -> None:
    values, times = RNG.gamma(2.0, 1.0, 3000), 1.7e9 + RNG.uniform(0.0, 600.0, 3000)
    pairs = np.stack([values, times], axis=1)

    def within(decayed: Decayed) -> None:
        assert decayed.latest == times.max()
        expected = by_definition(values, times, 1.7e9 + 700.0, 60.0)
        assert decayed.value_at(1.7e9 + 700.0) == pytest.approx(expected, rel=1e-12)

    batches = [pairs[:2], [], pairs[2:3], *np.array_split(pairs[3:], 5)]
    check_laws(lambda: Decayed(60), batches, exact=False, within=within, unlike=Decayed(61))


def test_order_of_times_does_not_matter() -> None:
    early_first, late_first = Decayed(10), Decayed(10)
    for value, time in ((4.0, 0.0), (1.0, 20.0)):
        early_first.add(value, time)
    for value, time in ((1.0, 20.0), (4.0, 0.0)):
        late_first.add(value, time)
    assert early_first == late_first
    assert early_first.value_at(20.0) == 2.0
    assert early_first.value_at(30.0) == 1.0


def test_times_however_far_apart_neither_overflow_nor_spoil_the_sum() -> None:
    decayed = Decayed(1e-3)
    for time in (-1e300, 0.0, 1.7e18, 1e300, 1.7e18):
        decayed.add(5.0, time)
    assert decayed.value_at(1e300) == 5.0
    assert decayed.value_at(1.1e300) == 0.0


def test_columns_of_arrow_and_numpy_are_pairs_side_by_side() -> None:
    pairs, columns = Decayed(5), Decayed(5)
    pairs.add_many([(1, 2), (3, 4)])
    columns.add_many(pa.array([1, 3]), pa.array([2.0, 4.0]))
    assert pairs == columns


def test_subtract_leaves_the_rest() -> None:
    values, times = RNG.normal(5.0, 1.0, 1000), RNG.uniform(0.0, 100.0, 1000)
    decayed, gone = Decayed(30), Decayed(30)
    decayed.add_many(values, times)
    early = times < 50.0
    gone.add_many(values[early], times[early])
    decayed.subtract(gone)
    assert decayed.value_at(100.0) == pytest.approx(by_definition(values[~early], times[~early], 100.0, 30.0))
    gone.add(1.0, 101.0)
    with pytest.raises(ValueError, match="subtract only what was added"):
        decayed.subtract(gone)


def test_nothing_is_worth_nothing_at_any_time() -> None:
    assert Decayed(1).value_at(-1e300) == 0.0
    assert Decayed(1).latest is None


def test_looking_back_is_refused() -> None:
    decayed = Decayed(10)
    decayed.add(1.0, 100.0)
    for time in (99.9, math.nan):
        with pytest.raises(ValueError, match="cannot look back"):
            decayed.value_at(time)


def test_what_has_no_size_or_time_is_refused_and_nothing_is_added() -> None:
    decayed = Decayed(10)
    decayed.add(1e308, 100.0)
    before = decayed.to_bytes()
    for values, times in (
        ([1.0, math.nan], [1, 2]),
        ([1.0], [math.inf]),
        ([None], [1]),
        ([1.0, 2.0], [1.0]),
        ([1, 2, 3], None),
    ):
        with pytest.raises(ValueError, match=r"cannot|every value"):
            decayed.add_many(values, times)
    with pytest.raises(OverflowError, match="scale the values down"):
        decayed.add(1e308, 100.0)
    assert decayed.to_bytes() == before
    for half_life in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="half_life must be"):
            Decayed(half_life)


def test_bytes_that_make_no_sense_are_refused() -> None:
    for bad in (b"", b"\0" * 15, b"\0" * 17, b"\xff" * 16):
        with pytest.raises(SealError):
            load(seal("decayed", {"half_life": 1.0}, bad))


def test_a_stored_sum_of_version_1_still_answers() -> None:
    decayed = load(GOLDEN.read_bytes())
    assert decayed.parameters == {"half_life": 60.0}
    assert (decayed.latest, decayed.value_at(180)) == (120.0, 1.5)

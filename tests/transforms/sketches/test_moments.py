"""Moments: laws within rounding, scipy as the oracle, and what subtraction leaves unknown."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from transforms.sketches import load
from transforms.sketches.log_histogram import LogHistogram
from transforms.sketches.moments import Moments
from transforms.sketches.sealing import SealError, seal

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "moments-v1.bin"


def moments_of(values: Any) -> Moments:
    moments = Moments()
    moments.add_many(values)
    return moments


def assert_close(moments: Moments, values: np.ndarray[Any, Any], within: float = 1e-12) -> None:
    assert moments.count == len(values)
    assert moments.mean == pytest.approx(values.mean(), rel=within)
    assert moments.variance == pytest.approx(values.var(ddof=1), rel=within)
    assert moments.skewness == pytest.approx(float(stats.skew(values)), rel=100 * within)


def test_laws_hold_within_rounding(check_laws: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    batches = [[1.0, 3.0], [], *(rng.gamma(2.0, 5.0, size) for size in (1, 10, 100, 1000, 9000))]
    whole = np.concatenate(batches)

    def within(moments: Moments) -> None:
        assert_close(moments, whole)
        assert (moments.min, moments.max) == (whole.min(), whole.max())

    check_laws(Moments, batches, exact=False, within=within, unlike=LogHistogram())


def test_values_far_from_zero_keep_their_variance() -> None:
    near = np.random.default_rng(2).normal(0.0, 1.0, 20_000)
    far = near + 1e9
    merged = moments_of(far[:1])
    for part in np.array_split(far[1:], 300):
        merged.merge(moments_of(part))
    assert merged.variance == pytest.approx(near.var(ddof=1), rel=1e-6)
    assert merged.skewness == pytest.approx(float(stats.skew(near)), abs=1e-6)


def test_one_by_one_is_many_within_rounding() -> None:
    values = np.random.default_rng(3).normal(5.0, 2.0, 500)
    single = Moments()
    for value in values:
        single.add(value)
    assert_close(single, values)


def test_nothing_has_no_mean_and_equal_values_have_no_skewness() -> None:
    nothing = Moments()
    assert nothing.count == 0
    assert all(map(math.isnan, (nothing.mean, nothing.variance, nothing.skewness)))
    assert (nothing.min, nothing.max) == (None, None)
    assert math.isnan(moments_of([0.1] * 1000).skewness)


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "a"])
def test_what_has_no_size_is_refused_and_nothing_is_added(value: Any) -> None:
    moments = moments_of([1.0])
    with pytest.raises(ValueError, match=r"cannot add|only numbers"):
        moments.add_many([2.0, value])
    assert moments == moments_of([1.0])


def test_cubes_beyond_float64_are_refused_and_nothing_is_added() -> None:
    moments = moments_of([1.0])
    for values in ([1e150], [1e308, 1e308], [-1e120, 1e120]):
        with pytest.raises(OverflowError, match="scale them down"):
            moments.add_many(values)
    assert moments == moments_of([1.0])


def test_subtract_leaves_the_moments_of_the_rest() -> None:
    rng = np.random.default_rng(4)
    kept, gone = rng.gamma(2.0, 5.0, 4000), rng.gamma(3.0, 4.0, 3000)
    moments = moments_of(np.concatenate([kept, gone]))
    moments.subtract(moments_of(gone))
    assert_close(moments, kept, within=1e-10)


def test_subtract_all_is_empty() -> None:
    values = moments_of([0.1, 0.7, 3.3])
    values.subtract(values.copy())
    assert values == Moments()


def test_an_extreme_is_unknown_only_where_it_may_have_been_subtracted() -> None:
    moments = moments_of([1.0, 2.0, 3.0, 9.0])
    moments.subtract(moments_of([2.0]))
    assert (moments.min, moments.max) == (1.0, 9.0)
    moments.subtract(moments_of([9.0]))
    assert (moments.min, moments.max) == (1.0, None)
    assert (load(moments.to_bytes()).min, load(moments.to_bytes()).max) == (1.0, None)
    moments.add(5.0)
    assert moments.max is None  # 3 or 5 it is, but for all that is known something up to 9 may be left
    moments.merge(moments_of([9.0]))
    assert (moments.min, moments.max) == (1.0, 9.0)


@pytest.mark.parametrize("never_added", [[1.0, 2.0, 3.0], [0.5], [7.0]])
def test_subtracting_what_was_plainly_not_added_is_refused(never_added: list[float]) -> None:
    moments = moments_of([1.0, 2.0])
    with pytest.raises(ValueError, match="subtract only what was added"):
        moments.subtract(moments_of(never_added))
    assert moments == moments_of([1.0, 2.0])


def test_bytes_that_make_no_sense_are_refused() -> None:
    payload = moments_of([1.0, 2.0])._payload()
    for bad in (b"", payload[:-1], payload + b"\0", b"\xff" * len(payload), b"\xff" * 8 + payload[8:]):
        with pytest.raises(SealError):
            load(seal("moments", {}, bad))


def test_stored_moments_of_version_1_still_answer() -> None:
    moments = load(GOLDEN.read_bytes())
    assert (moments.count, moments.mean, moments.variance, moments.min, moments.max) == (3, 3.0, 7.0, 1.0, 6.0)
    assert moments.skewness == pytest.approx(float(stats.skew([1.0, 2.0, 6.0])))

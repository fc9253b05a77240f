"""LogHistogram: laws bit for bit, and numpy's quantiles inside its bounds."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transforms.sketches import load
from transforms.sketches.log_histogram import LogHistogram
from transforms.sketches.sealing import SealError, seal

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "log_histogram-v1.bin"
RNG = np.random.default_rng(1)
COLUMNS = {
    "latencies": RNG.lognormal(-3.0, 2.0, 20_000),
    "both signs": np.concatenate([RNG.normal(0.0, 1e3, 20_000), np.zeros(500)]),
    "all negative": -RNG.pareto(1.0, 20_000) - 1.0,
    "whole": RNG.integers(-50, 1000, 20_000),
    "none negative": np.array([0.0, 5e-324, 1.0, 2.0]),
    "one value": np.full(10, 42.0),
    "ends of float64": np.array([5e-324, -5e-324, 2.3e-308, sys.float_info.max, -sys.float_info.max, 1.0, -0.0]),
}


def histogram_of(values: Any, relative_error: float = 0.01) -> LogHistogram:
    histogram = LogHistogram(relative_error)
    histogram.add_many(values)
    return histogram


def test_laws_hold_bit_for_bit(check_laws: Callable[..., None]) -> None:
    batches = [COLUMNS["both signs"][:300], [], [1e-9], [-1e9, 0.0], *np.array_split(COLUMNS["latencies"], 7)]
    check_laws(LogHistogram, batches, unlike=LogHistogram(0.02))


@pytest.mark.parametrize("error", [0.1, 0.01, 0.001])
@pytest.mark.parametrize("name", COLUMNS)
def test_every_quantile_is_within_the_relative_error(name: str, error: float) -> None:
    values = COLUMNS[name].astype(float)
    histogram = histogram_of(values, error)
    assert histogram.relative_error <= error
    for q in ["0", "0.001", "0.07", "0.1", "0.3", "0.5", "0.7", "0.9", "0.99", "0.999", "1"]:
        true = np.sort(values)[max(math.ceil(Fraction(q) * values.size), 1) - 1]
        answer = histogram.quantile(float(q))
        if abs(true) < sys.float_info.min:
            assert answer.value == 0.0
        else:
            assert answer.low <= true <= answer.high
            assert abs(answer.value - true) <= histogram.relative_error * abs(true) * (1 + 1e-12)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_rank_is_within_its_bounds(name: str) -> None:
    values = COLUMNS[name].astype(float)
    histogram = histogram_of(values)
    for x in [*np.quantile(values, np.linspace(0, 1, 50)), -1e9, -1.0, 0.0, 1.0, 1e9, -math.inf, math.inf]:
        answer = histogram.rank(float(x))
        counted = np.where(np.abs(values) < sys.float_info.min, 0.0, values)
        true = np.count_nonzero(counted <= (0.0 if abs(x) < sys.float_info.min else x))
        assert answer.low <= true <= answer.high
    assert histogram.rank(math.inf).value == histogram.count == values.size


def test_a_bucket_is_the_same_in_a_scalar_and_in_a_vector() -> None:
    edges = np.array([[2.0**e * (1 + s / 64) for e in (-30, -1, 0, 5)] for s in (0, 1, 63)]).ravel()
    values = np.concatenate([edges, np.nextafter(edges, 0.0), np.nextafter(edges, np.inf), -edges])
    single = LogHistogram()
    for value in values:
        single.add(value)
    assert single.to_bytes() == histogram_of(values).to_bytes()


def test_subtract_gives_the_histogram_of_the_rest() -> None:
    kept, gone = np.array_split(COLUMNS["both signs"], 2)
    histogram = histogram_of(COLUMNS["both signs"])
    histogram.subtract(histogram_of(gone))
    assert histogram == histogram_of(kept)
    histogram.subtract(histogram)
    assert histogram == LogHistogram()


@pytest.mark.parametrize("never_added", [[5.0], [-5.0], [0.0], [1.0, 1.0], [1.0, 1e300]])
def test_subtracting_what_was_not_added_is_refused(never_added: list[float]) -> None:
    histogram = histogram_of([1.0, -1.0])
    with pytest.raises(ValueError, match="cannot subtract"):
        histogram.subtract(histogram_of(never_added))
    assert histogram == histogram_of([1.0, -1.0])


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None, "a"])
def test_what_has_no_bucket_is_refused_and_nothing_is_added(value: Any) -> None:
    histogram = LogHistogram()
    with pytest.raises(ValueError, match=r"cannot add|only numbers"):
        histogram.add_many([1.0, value])
    assert histogram == LogHistogram()


def test_questions_and_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="none was added"):
        LogHistogram().quantile(0.5)
    for q in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="between 0 and 1"):
            histogram_of([1.0]).quantile(q)
    with pytest.raises(ValueError, match="NaN has no rank"):
        LogHistogram().rank(math.nan)
    for error in (0.0, 1.0, math.nan):
        with pytest.raises(ValueError, match="relative_error must be"):
            LogHistogram(error)


def test_size_is_that_of_the_values_not_of_the_range() -> None:
    assert len(histogram_of([1e-300, 1.0, 1e300]).to_bytes()) < 200
    assert histogram_of([1e-300, 1e300]).memory() < 2**20
    assert histogram_of([1e-6, 900.0]).memory() < 16_000


def test_bytes_that_make_no_sense_are_refused() -> None:
    good = histogram_of([-1.0, 0.0, 1.0])
    payload = good._payload()
    for bad in (payload[:-1], payload + b"\0", b"", payload[:8] + b"\xff" * 12 + payload[20:], b"\xff" * len(payload)):
        with pytest.raises(SealError):
            load(seal("log_histogram", good.parameters, bad))
    with pytest.raises(SealError):
        load(seal("log_histogram", {"buckets_per_doubling": 0}, payload))


def test_a_stored_histogram_of_version_1_still_answers() -> None:
    histogram = load(GOLDEN.read_bytes())
    assert histogram == histogram_of([-3.0, 0.0, 0.5, 2.0, 1000.0])
    assert histogram.quantile(1.0).low <= 1000.0 <= histogram.quantile(1.0).high
    assert histogram.rank(1.0).value == 3

"""DyadicQuantiles: laws bit for bit, bounds that are certain, and errors that keep to epsilon."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from transforms.sketches import load
from transforms.sketches.dyadic_quantiles import DyadicQuantiles
from transforms.sketches.hashing import Hasher
from transforms.sketches.sealing import SealError, seal

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "dyadic_quantiles-v1.bin"
RNG = np.random.default_rng(1)
QUANTILES = np.linspace(0.02, 0.98, 25)
# Domain, resolution, and values in it.
STREAMS: dict[str, tuple[float, float, float, Any]] = {
    "few cells, all exact": (0, 500, 1, RNG.integers(0, 500, 20_000)),
    "milliseconds": (0, 60_000, 1, np.minimum(RNG.lognormal(5.0, 1.5, 20_000), 59_999).astype(int)),
    "all different": (0, 2**20, 1, RNG.permutation(2**20)[:20_000]),
    "negative": (-(2**31), 2**31, 1, RNG.integers(-(2**31), 2**31, 20_000)),
    "two peaks": (0, 10**9, 1, np.where(RNG.random(20_000) < 0.5, 123, 999_999_999)),
    "seconds": (0.0, 60.0, 0.001, RNG.gamma(2.0, 3.0, 20_000) % 60.0),
    "tens": (5, 100_001, 10, RNG.integers(5, 100_001, 20_000)),
    "nine levels short of full": (0, 70_001, 1, 70_000 - RNG.integers(0, 300, 20_000)),
}


def sketch_of(values: Any, *arguments: Any, **options: Any) -> DyadicQuantiles:
    sketch = DyadicQuantiles(*arguments, **options)
    sketch.add_many(values)
    return sketch


def small() -> DyadicQuantiles:
    return DyadicQuantiles(0, 100_000, epsilon=0.05, delta=0.05)


def test_laws_hold_bit_for_bit(check_laws: Callable[..., None]) -> None:
    values = RNG.integers(-100, 100_100, 3000)
    batches = [values[:100], [], [5], *np.array_split(values[100:], 6)]
    check_laws(small, batches, unlike=DyadicQuantiles(0, 100_000, epsilon=0.04, delta=0.03))


@pytest.mark.parametrize("name", STREAMS)
def test_quantiles_keep_to_epsilon_inside_certain_bounds(name: str) -> None:
    low, high, resolution, values = STREAMS[name]
    sketch, ordered, n = sketch_of(values, low, high, resolution), np.sort(values), len(values)
    for q in QUANTILES:
        answer = sketch.quantile(float(q))
        true = ordered[math.ceil(q * n - 1e-9) - 1]
        assert answer.low <= true <= answer.high
        first = np.searchsorted(ordered, answer.value - resolution, "left")
        last = np.searchsorted(ordered, answer.value + resolution, "right")
        assert first - 0.01 * n <= q * n <= last + 0.01 * n


@pytest.mark.parametrize("name", STREAMS)
def test_ranks_and_counts_keep_to_epsilon_inside_certain_bounds(name: str) -> None:
    low, high, resolution, values = STREAMS[name]
    sketch, n = sketch_of(values, low, high, resolution), len(values)
    points = sorted([low - 1, low, high - 1, high, high + 1, *RNG.choice(values, 15).tolist()])
    for x in points:
        answer, true = sketch.rank(x), np.count_nonzero(values <= x)
        assert answer.low <= true <= answer.high
        within_a_cell = np.count_nonzero(np.abs(values - x) < resolution) if resolution != 1 else 0
        assert abs(answer.value - true) <= 0.01 * n + within_a_cell
    for a, b in zip(points, points[3:], strict=False):
        answer, true = sketch.count_between(a, b), np.count_nonzero((values >= a) & (values < b))
        assert answer.low <= true <= answer.high
    assert sketch.count_between(low, high).value == n


def test_error_leaves_epsilon_with_probability_below_delta() -> None:
    n, epsilon, delta, failures, asked = 2000, 0.02, 0.2, 0, 0
    for trial in range(25):
        values = np.random.default_rng(trial).zipf(1.2, n) % 2**30
        sketch = sketch_of(values, 0, 2**30, epsilon=epsilon, delta=delta, hasher=Hasher(trial.to_bytes(16, "big")))
        assert sketch._inside._rows.size, "the case must be one that hashes"
        for x in np.quantile(values, QUANTILES[::3]).astype(int).tolist():
            failures += abs(sketch.rank(x).value - np.count_nonzero(values <= x)) > epsilon * n
            asked += 1
    assert failures <= delta * asked


def test_few_cells_are_counted_exactly() -> None:
    low, high, resolution, values = STREAMS["few cells, all exact"]
    sketch = sketch_of(values, low, high, resolution)
    assert sketch.memory() < 5_000
    for x in range(500):
        answer = sketch.rank(x)
        assert answer.low == answer.high == np.count_nonzero(values <= x)


def test_values_outside_are_counted_and_answers_say_so() -> None:
    sketch = sketch_of([-5, -1, 3, 4, 10, 11, 12, math.inf], 0, 10)
    assert (sketch.below, sketch.above, sketch.count) == (2, 4, 8)
    first, middle, last = (sketch.quantile(q) for q in (0.1, 0.5, 0.9))
    assert (first.low, first.value, first.high) == (-math.inf, 0, 0)
    assert (middle.low, middle.value, middle.high) == (4, 4, 4)
    assert (last.low, last.value, last.high) == (10, 10, math.inf)
    assert (sketch.rank(-3).low, sketch.rank(-3).high) == (0, 2)
    assert (sketch.rank(9).low, sketch.rank(9).high) == (4, 4)
    assert (sketch.rank(11).low, sketch.rank(11).high) == (4, 8)
    assert sketch.rank(math.inf).value == 8
    assert (sketch.count_between(-2, 4).low, sketch.count_between(-2, 4).high) == (1, 3)


@pytest.mark.parametrize("name", STREAMS)
def test_subtract_gives_the_sketch_of_the_rest(name: str) -> None:
    low, high, resolution, values = STREAMS[name]
    sketch = sketch_of(values, low, high, resolution)
    sketch.subtract(sketch_of(values[:7000], low, high, resolution))
    assert sketch == sketch_of(values[7000:], low, high, resolution)
    sketch.subtract(sketch)
    assert sketch == DyadicQuantiles(low, high, resolution)


@pytest.mark.parametrize("never_added", [[50_000], [-1], [100_000], [7, 7]])
def test_subtracting_what_was_plainly_not_added_is_refused(never_added: list[int]) -> None:
    sketch, other = small(), small()
    sketch.add(7)
    other.add_many(never_added)
    before = sketch.to_bytes()
    with pytest.raises(ValueError, match="cannot subtract"):
        sketch.subtract(other)
    assert sketch.to_bytes() == before


def test_memory_follows_the_parameters_not_the_values() -> None:
    sketch = DyadicQuantiles(0, 2**32)
    before = sketch.memory()
    assert before < 3.3e6
    sketch.add_many(RNG.integers(0, 2**32, 20_000))
    assert sketch.memory() == before
    assert DyadicQuantiles(0, 10**6).memory() < 480_000
    with pytest.raises(ValueError, match="coarser resolution"):
        DyadicQuantiles(0, 2**60, epsilon=1e-4)


def test_the_hash_is_part_of_the_identity_and_comes_back() -> None:
    secret = Hasher(b"0123456789abcdef")
    sketch = sketch_of([1, 2, 3], 0, 10**6, hasher=secret)
    assert load(sketch.to_bytes()).rank(2) == sketch.rank(2)
    with pytest.raises(ValueError, match="cannot merge"):
        sketch.merge(DyadicQuantiles(0, 10**6))


def test_without_its_key_a_sketch_merges_and_refuses_to_add_anything() -> None:
    sketch = small()
    stranger = dict(sketch.parameters) | {"hash": "siphash13:of-another-process"}
    far = load(seal("dyadic_quantiles", stranger, sketch_of([3], 0, 100_000, epsilon=0.05, delta=0.05)._payload()))
    far.merge(far.copy())
    before = far.to_bytes()
    with pytest.raises(ValueError, match="key is not known here"):
        far.add_many([-1, 5, 200_000])
    assert far.to_bytes() == before
    assert far.count == 2


def test_what_cannot_be_answered_or_added_is_refused() -> None:
    sketch = small()
    with pytest.raises(ValueError, match="none was added"):
        sketch.quantile(0.5)
    for bad in ([1.0, math.nan], [1, None], ["a"]):
        with pytest.raises(ValueError, match=r"cannot add|only numbers"):
            sketch.add_many(bad)
    assert sketch == small()
    with pytest.raises(ValueError, match="NaN has no rank"):
        sketch.rank(math.nan)
    with pytest.raises(ValueError, match="lower value first"):
        sketch.count_between(2, 1)
    with pytest.raises(ValueError, match="epsilon and delta"):
        DyadicQuantiles(0, 1, epsilon=0.0)
    assert DyadicQuantiles.for_error(0.05, 0.95, low=0, high=100_000) == sketch


def test_bytes_that_make_no_sense_are_refused() -> None:
    sketch = sketch_of([1, 5000], 0, 100_000)
    payload, parameters = sketch._payload(), dict(sketch.parameters)
    for bad in (b"", payload[:-1], payload + b"\0", b"\xff" * len(payload)):
        with pytest.raises(SealError):
            load(seal("dyadic_quantiles", parameters, bad))
    for wrong in ({"high": 10**9}, {"epsilon": 1e-9}, {"low": "a"}, {"other": 1}):
        with pytest.raises(SealError):
            load(seal("dyadic_quantiles", parameters | wrong, payload))


def test_a_stored_sketch_of_version_1_still_answers() -> None:
    sketch = load(GOLDEN.read_bytes())
    assert (sketch.count, sketch.below, sketch.above) == (1002, 1, 1)
    assert sketch == sketch_of([-1, 100_000, *range(0, 2000, 2)], 0, 100_000, epsilon=0.05, delta=0.05)
    assert sketch.rank(999).low <= 501 <= sketch.rank(999).high

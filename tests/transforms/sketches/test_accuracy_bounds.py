"""Every sketch that errs: 200 streams of ten to a million items, and answers as near to the truth as promised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from transforms.sketches import Bloom, CountMin, DyadicQuantiles, HeavyHitters, HyperLogLog, Kll, LogHistogram, MinHash

TRIALS = 200
RANKS = (0.1, 0.5, 0.9)
Trial = Callable[[np.random.Generator, int], Iterator[bool]]


def hyperloglog(chance: np.random.Generator, n: int) -> Iterator[bool]:
    sketch = HyperLogLog(12)
    for part in np.array_split(chance.integers(-(2**63), 2**63, n), 8):
        sketch.add_many(part)
    yield abs(sketch.estimate().value / n - 1) <= 0.049


def count_min(chance: np.random.Generator, n: int) -> Iterator[bool]:
    sketch, items = CountMin.for_error(0.01, confidence=0.95), chance.geometric(0.02, n) + int(chance.integers(2**50))
    sketch.add_many(items)
    for item in [*chance.choice(items, 3).tolist(), 0]:
        over = sketch.count(item).value - np.count_nonzero(items == item)
        assert over >= 0
        yield over <= 0.01 * n


def heavy_hitters(chance: np.random.Generator, n: int) -> Iterator[bool]:
    sketch, items = HeavyHitters(50), chance.zipf(1.3, n)
    for batch in np.array_split(items, 5):
        sketch.add_many(batch)
    for item in range(1, 6):
        answer, truth = sketch.count(item), np.count_nonzero(items == item)
        yield answer.low <= truth <= answer.high <= answer.low + n / 51
    truth = np.count_nonzero(items == 1)
    yield truth <= n / 51 or 1 in dict(sketch.top(50))


def bloom(chance: np.random.Generator, n: int) -> Iterator[bool]:
    sketch, items = Bloom.for_error(n, 0.01), chance.integers(0, 2**62, n)
    sketch.add_many(items)
    assert sketch.contains_many(items).all()
    yield from ~sketch.contains_many(chance.integers(2**62, 2**63, 1_000))


def minhash(chance: np.random.Generator, n: int) -> Iterator[bool]:
    left, shared, right = parts = MinHash(), MinHash(), MinHash()
    sizes = chance.multinomial(n, [1 / 3] * 3)
    for part, size in zip(parts, sizes.tolist(), strict=True):
        part.add_many(chance.integers(-(2**63), 2**63, size))
    left.merge(shared)
    right.merge(shared)
    hoeffding = math.sqrt(math.log(2 / 0.05) / (2 * 128))
    yield abs(left.similarity(right).value - sizes[1] / n) <= hoeffding


def kll(chance: np.random.Generator, n: int) -> Iterator[bool]:
    shards, values = [Kll(200), Kll(200)], chance.random(n)
    for number, part in enumerate(np.array_split(values, 7)):
        shards[number % 2].add_many(part)
    shards[0].merge(shards[1])
    for x in RANKS:
        yield abs(shards[0].rank(x).value - np.count_nonzero(values <= x)) <= 0.0133 * n


def dyadic_quantiles(chance: np.random.Generator, n: int) -> Iterator[bool]:
    sketch, values = DyadicQuantiles(0, 60_000), np.minimum(chance.lognormal(7.0, 1.5, n), 59_999).astype(int)
    sketch.add_many(values)
    for x in np.quantile(values, RANKS).astype(int).tolist():
        answer, truth = sketch.rank(x), np.count_nonzero(values <= x)
        assert answer.low <= truth <= answer.high
        yield abs(answer.value - truth) <= 0.01 * n


def log_histogram(chance: np.random.Generator, n: int) -> Iterator[bool]:
    sketch, values = LogHistogram(0.01), chance.lognormal(0.0, 3.0, n)
    sketch.add_many(values)
    values.sort()
    for q in RANKS:
        truth = values[math.ceil(round(q * n, 9)) - 1]
        yield abs(sketch.quantile(q).value - truth) <= 0.01 * truth


@pytest.mark.parametrize(
    ("trial", "promised"),
    [
        (hyperloglog, 0.99),
        (count_min, 0.95),
        (heavy_hitters, 1.0),
        (bloom, 1 - 1.2 * 0.01),
        (minhash, 0.95),
        (kll, 0.98),
        (dyadic_quantiles, 0.99),
        (log_histogram, 1.0),
    ],
)
def test_answers_are_within_the_bound_as_often_as_promised(trial: Trial, promised: float) -> None:
    chance = np.random.default_rng(12)
    sizes = np.geomspace(10, 1_000_000, TRIALS).astype(int).tolist()
    within = [kept for size in sizes for kept in trial(chance, size)]
    assert np.mean(within) >= promised

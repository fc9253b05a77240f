"""Kll: laws within its bound, and the rate at which ranks leave it."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import load
from transforms.sketches.kll import Kll
from transforms.sketches.sealing import SealError, seal

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "kll-v1.bin"
QUANTILES = np.linspace(0.01, 0.99, 99)


def kll_of(values: Any, k: int = 200) -> Kll:
    sketch = Kll(k)
    sketch.add_many(values)
    return sketch


def rank_errors(sketch: Kll, n: int) -> np.ndarray[Any, Any]:
    """By how much of n each of 99 quantiles is off, where the values were 1 to n."""
    return np.array([abs(sketch.quantile(float(q)).value - q * n) / n for q in QUANTILES])


def test_laws_hold_within_the_bound(check_laws: Callable[..., None]) -> None:
    n = 20_000
    values = np.random.default_rng(1).permutation(n) + 1.0

    def within(sketch: Kll) -> None:
        assert sketch.count == n
        assert (sketch.quantile(0.0).value, sketch.quantile(1.0).value) == (1.0, n)
        assert rank_errors(sketch, n)[::14].max() <= 0.0133
        assert sketch.memory() < 6_000

    batches = [values[:150], [], values[150:151], *np.array_split(values[151:], 5)]
    check_laws(Kll, batches, exact=False, within=within, unlike=Kll(100))


def one_pass(values: np.ndarray[Any, Any]) -> Kll:
    return kll_of(values)


def many_shards(values: np.ndarray[Any, Any]) -> Kll:
    merged = Kll()
    for shard in np.array_split(values, 50):
        merged.merge(kll_of(shard))
    return merged


def a_balanced_tree(values: np.ndarray[Any, Any]) -> Kll:
    sketches = [kll_of(shard) for shard in np.array_split(values, 32)]
    while len(sketches) > 1:
        for left, right in zip(sketches[::2], sketches[1::2], strict=True):
            left.merge(right)
        sketches = sketches[::2]
    return sketches[0]


def drops_of_seven(values: np.ndarray[Any, Any]) -> Kll:
    sketch = Kll()
    for start in range(0, values.size, 7):
        sketch.add_many(values[start : start + 7])
    return sketch


@pytest.mark.parametrize(
    ("way", "n", "trials"),
    [(one_pass, 50_000, 60), (many_shards, 20_000, 40), (a_balanced_tree, 50_000, 40), (drops_of_seven, 10_000, 30)],
)
def test_rank_error_leaves_the_bound_in_less_than_2_percent(way: Callable[..., Kll], n: int, trials: int) -> None:
    rng = np.random.default_rng(2)
    errors = np.array([rank_errors(way(rng.permutation(n) + 1.0), n) for _ in range(trials)])
    assert (errors > 0.0133).mean(axis=0).max() <= 0.02  # at each rank, over the trials
    assert errors.max() > 0.0005  # it does err


def test_bounds_hold_the_true_value_and_rank() -> None:
    values = np.random.default_rng(3).lognormal(0.0, 3.0, 30_000)
    sketch, ordered = kll_of(values), np.sort(values)
    held = [(sketch.quantile(float(q)), ordered[math.ceil(q * values.size) - 1]) for q in QUANTILES]
    assert np.mean([answer.low <= true <= answer.high for answer, true in held]) >= 0.98
    ranks = [(sketch.rank(float(x)), np.count_nonzero(values <= x)) for x in ordered[::300]]
    assert np.mean([answer.low <= true <= answer.high for answer, true in ranks]) >= 0.98
    assert {answer.confidence for answer, _ in held} == {0.99}


def test_up_to_k_values_every_answer_is_exact() -> None:
    values = np.random.default_rng(4).integers(0, 50, 200)
    sketch = kll_of(pa.array(values))
    for q in QUANTILES:
        answer = sketch.quantile(float(q))
        assert answer.low == answer.value == answer.high
        assert answer.value == np.sort(values)[max(math.ceil(q * 200 - 1e-9), 1) - 1]
    assert all(sketch.rank(x).value == np.count_nonzero(values <= x) for x in range(-1, 51))


def test_heavy_repetition_and_infinities_keep_their_ranks() -> None:
    sketch = kll_of([5.0] * 30_000 + [math.inf] * 30_000 + [-math.inf] * 30_000)
    answers = [sketch.quantile(q).value for q in (0.0, 0.3, 0.5, 0.7, 1.0)]
    assert answers == [-math.inf, -math.inf, 5.0, math.inf, math.inf]
    assert sketch.rank(math.inf).value == 90_000
    assert sketch.rank(0.0).low <= 30_000 <= sketch.rank(0.0).high


def test_the_same_batches_give_the_same_bytes_in_another_process() -> None:
    script = (
        "import numpy as np; from transforms.sketches.kll import Kll; s = Kll(); "
        "s.add_many(np.random.default_rng(5).random(5000)); print(s.to_bytes().hex())"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert kll_of(np.random.default_rng(5).random(5000)).to_bytes().hex() == other.stdout.strip()


def test_the_seed_is_part_of_the_identity_and_changes_the_coins() -> None:
    values = np.random.default_rng(6).random(5000)
    other = Kll(seed=1)
    other.add_many(values)
    assert other._payload() != kll_of(values)._payload()
    with pytest.raises(ValueError, match="cannot merge") as refusal:
        other.merge(Kll())
    assert "seed=1" in str(refusal.value)
    assert "seed=0" in str(refusal.value)


def test_error_chooses_k() -> None:
    assert Kll.for_error(0.0133).parameters["k"] == 200
    assert Kll.for_error(0.0133, confidence=0.9).parameters["k"] < 150
    with pytest.raises(ValueError, match="error and confidence"):
        Kll.for_error(0.0)
    for bad in ({"k": 7}, {"k": 70_000}, {"seed": -1}):
        with pytest.raises(ValueError, match="must be from"):
            Kll(**bad)


def test_what_has_no_rank_is_refused_and_nothing_is_added() -> None:
    sketch = Kll()
    with pytest.raises(ValueError, match="none was added"):
        sketch.quantile(0.5)
    for bad in ([1.0, math.nan], [1.0, None], ["a"]):
        with pytest.raises(ValueError, match=r"cannot add|only numbers"):
            sketch.add_many(bad)
    with pytest.raises(ValueError, match="NaN has no rank"):
        sketch.rank(math.nan)
    assert sketch == Kll()
    assert sketch.rank(1.0).value == 0


def test_adding_leaves_the_callers_array_alone() -> None:
    values = np.array([3.0, -0.0, 1.0])
    sketch = kll_of(values)
    sketch.add_many(np.arange(1000.0))
    assert values.tolist() == [3.0, -0.0, 1.0]


def test_bytes_that_make_no_sense_are_refused() -> None:
    payload = kll_of(np.arange(500.0))._payload()
    nan = payload[:-8] + np.float64(math.nan).tobytes()
    for bad in (b"", payload[:-1], payload + b"\0", b"\0" + payload[1:], b"\xff" + payload[1:], nan):
        with pytest.raises(SealError):
            load(seal("kll", Kll().parameters, bad))


def test_a_stored_sketch_of_version_1_still_answers() -> None:
    sketch = load(GOLDEN.read_bytes())
    assert sketch.parameters == {"k": 20, "seed": 7}
    assert (sketch.count, sketch.quantile(0.0).value, sketch.quantile(1.0).value) == (1000, 0.0, 999.0)
    again = Kll(20, seed=7)
    again.add_many(range(1000))
    assert again == sketch

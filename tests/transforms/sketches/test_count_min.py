"""CountMin: laws, and counts that are never below the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import load
from transforms.sketches.count_min import CountMin
from transforms.sketches.hashing import Hasher

GOLDEN = Path(__file__).parents[2] / "data" / "golden"


def test_laws(check_laws: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    for size in (0, 3, 500):
        shards = [rng.zipf(1.3, size) for _ in range(8)]
        check_laws(lambda: CountMin(50, 3), shards, unlike=CountMin(51, 3))


def test_laws_for_strings(check_laws: Callable[..., None]) -> None:
    shards = [pa.array([f"tag{i * j % 17}" for i in range(80)]) for j in range(1, 7)]
    check_laws(lambda: CountMin(64, 4), shards, unlike=CountMin(64, 4, hasher=Hasher(bytes(16))))


def test_no_count_is_below_the_truth_and_few_are_over_the_bound() -> None:
    rng = np.random.default_rng(2)
    over, asked = 0, 0
    for trial in range(10):
        values = rng.zipf(1.1, 20_000) + trial * 10_000_000
        sketch = CountMin.for_error(0.01, confidence=0.95)
        sketch.add_many(values)
        truth = Counter(values.tolist())
        for item in [*rng.choice(values, 150).tolist(), *range(-50, 0)]:
            count = sketch.count(item)
            assert count.value == count.high >= truth[item]
            asked += 1
            over += count.low > truth[item]
            assert (count.value - truth[item] > 0.01 * values.size) <= (count.low > truth[item])
    assert over <= 0.05 * asked


def test_weights_count_as_often_as_they_say() -> None:
    weighted, repeated = CountMin(100, 4), CountMin(100, 4)
    weighted.add_many(["a", "b", "a"], [3, 0, 2])
    repeated.add_many(["a"] * 5)
    assert weighted == repeated
    assert weighted.count("a").value == weighted.total == 5
    weighted.add("c", weight=2**61)
    assert weighted.count("c").value == 2**61
    weighted.add_many(pa.array(["d"]), pa.array([1]))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1], "one for each of 2"),
        ([1, -1], "use subtract"),
        ([0.5, 1.0], "whole numbers"),
        ([1, 2**62], "below 2"),
        ([1, 2**70], "whole numbers"),
    ],
)
def test_weights_that_would_break_the_bound_are_refused(weights: list[Any], message: str) -> None:
    sketch = CountMin(10, 2)
    with pytest.raises(ValueError, match=message):
        sketch.add_many(["a", "b"], weights)
    assert sketch == CountMin(10, 2)


def test_no_counter_wraps() -> None:
    sketch = CountMin(10, 2)
    sketch.add("a", weight=2**62 - 1)
    before = sketch.to_bytes()
    for overflow in (lambda: sketch.add("b"), lambda: sketch.merge(sketch.copy())):
        with pytest.raises(OverflowError, match="must stay below"):
            overflow()
        assert sketch.to_bytes() == before
    negative = CountMin(10, 2)
    negative.subtract(sketch)
    with pytest.raises(OverflowError):
        negative.subtract(sketch)
    assert CountMin.from_bytes(negative.to_bytes()) == negative
    other = CountMin(10, 2)
    other.add("b", weight=2**62 - 1)
    sketch.subtract(other)  # was never added: the total is 0 now, and the counters of "a" are as high as they were
    with pytest.raises(OverflowError):
        sketch.add("a")


def test_what_was_taken_back_was_never_there() -> None:
    everything, early, late = CountMin(200, 4), CountMin(200, 4), CountMin(200, 4)
    early.add_many(np.arange(1000) % 7)
    late.add_many(np.arange(1000) % 11)
    everything.merge(early)
    everything.merge(late)
    everything.subtract(early)
    assert everything == late
    with pytest.raises(ValueError, match=r"cannot subtract .*width=200.*width=20,"):
        everything.subtract(CountMin(20, 4))


def test_a_sketch_of_a_few_items_is_stored_small() -> None:
    sketch = CountMin.for_error(0.001)
    sketch.add_many(["a", "b", "c"])
    assert len(sketch.to_bytes()) < 350
    assert sketch.memory() == 8 * 5 * 2719


def test_parameters_are_checked() -> None:
    for make in (lambda: CountMin(0, 1), lambda: CountMin(2**20, 2**20), lambda: CountMin.for_error(0)):
        with pytest.raises(ValueError, match="must be"):
            make()


def test_golden_bytes_answer_as_they_did() -> None:
    sketch = load((GOLDEN / "count_min-v1.bin").read_bytes())
    assert (sketch.count("beam").value, sketch.total) == (7.0, 10)

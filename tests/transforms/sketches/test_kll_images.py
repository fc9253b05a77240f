"""KLL images: read and merged by Apache DataSketches, theirs read and merged here, and damaged ones refused."""

from __future__ import annotations

import struct
import tracemalloc
from typing import Any

import datasketches
import numpy as np
import pytest

from transforms.sketches import kll_images
from transforms.sketches.kll import Kll

QUANTILES = np.linspace(0.01, 0.99, 99)
SIZES = [(0, 200), (1, 200), (2, 8), (200, 200), (201, 200), (5000, 8), (5000, 3000), (300_000, 200)]


def ours_of(values: Any, k: int = 200) -> Kll:
    sketch = Kll(k)
    sketch.add_many(values)
    return sketch


def theirs_of(values: Any, k: int = 200) -> Any:
    sketch = datasketches.kll_doubles_sketch(k)
    if len(values):
        sketch.update(np.array(values, np.float64))
    return sketch


def read_by_theirs(sketch: Kll) -> Any:
    return datasketches.kll_doubles_sketch.deserialize(sketch.to_datasketches())


def our_errors(sketch: Kll, n: int) -> np.ndarray[Any, Any]:
    """By how much of n each of 99 quantiles is off, where the values were 1 to n."""
    return np.array([abs(sketch.quantile(float(q)).value - q * n) / n for q in QUANTILES])


def their_errors(sketch: Any, n: int) -> np.ndarray[Any, Any]:
    return np.abs(np.array(sketch.get_quantiles(QUANTILES.tolist(), True)) - QUANTILES * n) / n


def shuffled(n: int, seed: int = 1) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).permutation(n) + 1.0


@pytest.mark.parametrize(("n", "k"), SIZES)
def test_datasketches_reads_and_merges_our_images(n: int, k: int) -> None:
    ours = ours_of(shuffled(n), k)
    read = read_by_theirs(ours)
    assert (read.k, read.n, read.num_retained) == (k, n, sum(level.size for level in ours._levels))
    if n:
        assert (read.get_min_value(), read.get_max_value()) == (1.0, n)
        if n > k:
            assert their_errors(read, n).max() < 1.5 * ours.rank_error
    merged = theirs_of(shuffled(n, 2), k)
    merged.merge(read)
    assert merged.n == 2 * n
    if n > k:
        assert their_errors(merged, n).max() < 1.5 * ours.rank_error


@pytest.mark.parametrize(("n", "k"), SIZES)
def test_images_of_datasketches_are_read_and_merged_here(n: int, k: int) -> None:
    theirs = theirs_of(shuffled(n), k)
    read = Kll.from_datasketches(theirs.serialize())
    assert (read.parameters["k"], read.count) == (k, n)
    if n:
        assert (read.quantile(0.0).value, read.quantile(1.0).value) == (1.0, n)
        assert [read.rank(float(x)).value for x in (1, n / 3, n)] == pytest.approx(
            [theirs.get_rank(float(x), True) * n for x in (1, n / 3, n)]
        )
    read.merge(ours_of(shuffled(n, 2), k))
    assert read.count == 2 * n
    if n > k:
        assert our_errors(read, n).max() < 1.5 * read.rank_error


def test_a_round_trip_changes_nothing() -> None:
    for n, k in SIZES:
        sketch = ours_of(shuffled(n), k)
        assert Kll.from_datasketches(sketch.to_datasketches()) == sketch


def test_shards_of_both_merged_in_turn_keep_the_error_of_k() -> None:
    n, trials = 40_000, 40
    errors = []
    for trial in range(trials):
        merged = Kll(seed=trial)
        for number, shard in enumerate(np.array_split(shuffled(n, 100 + trial), 8)):
            there = theirs_of(shard) if number % 2 else read_by_theirs(ours_of(shard))
            there.merge(read_by_theirs(merged))
            merged = Kll.from_datasketches(there.serialize(), seed=trial)
        assert merged.count == n
        errors.append(our_errors(merged, n))
    assert (np.array(errors) > 0.0133).mean(axis=0).max() <= 0.05  # 2 of 40 at each rank
    assert (np.array(errors) > 0.0133).mean() <= 0.01


def test_a_sketch_fuller_than_theirs_may_be_gets_an_empty_level_on_top() -> None:
    sketch = Kll(50)
    for value in shuffled(5_000):
        sketch.add(value)
        levels = len(sketch._levels)
        if levels > 3 and sum(level.size for level in sketch._levels) > kll_images._capacity(50, levels):
            break
    image = sketch.to_datasketches()
    assert image[18] == levels + 1
    read = datasketches.kll_doubles_sketch.deserialize(image)
    assert (read.n, read.get_rank(2_500.0, True)) == (sketch.count, sketch.rank(2_500.0).value / sketch.count)
    read.update(shuffled(100_000))
    assert read.n == sketch.count + 100_000
    again = Kll.from_datasketches(image)
    assert (again.count, again.quantile(0.5)) == (sketch.count, sketch.quantile(0.5))


def test_floats_ints_and_longs_are_read_as_what_they_are() -> None:
    values = shuffled(3000)
    floats, ints = datasketches.kll_floats_sketch(100), datasketches.kll_ints_sketch(100)
    floats.update(values.astype(np.float32))
    ints.update(values.astype(np.int32))
    doubles = ours_of(values, 100).to_datasketches()
    at = 20 + 4 * doubles[18]
    longs = doubles[:at] + np.frombuffer(doubles, "<f8", offset=at).astype("<i8").tobytes()
    for image, items in ((floats.serialize(), "floats"), (ints.serialize(), "ints"), (longs, "longs")):
        read = Kll.from_datasketches(image, items=items)
        assert (read.count, read.quantile(0.0).value, read.quantile(1.0).value) == (3000, 1.0, 3000.0)
        assert our_errors(read, 3000).max() < 0.04
    with pytest.raises(ValueError, match="or holds other items"):
        Kll.from_datasketches(floats.serialize())
    with pytest.raises(ValueError, match="doubles, floats, longs, ints, got 'strings'"):
        Kll.from_datasketches(doubles, items="strings")


def test_what_has_taken_in_a_smaller_k_comes_as_a_sketch_of_that_k() -> None:
    large, small = theirs_of(shuffled(10_000), 400), theirs_of(shuffled(10_000, 2), 100)
    large.merge(small)
    assert large.k == 400
    read = Kll.from_datasketches(large.serialize())
    assert (read.parameters["k"], read.count) == (100, 20_000)
    assert read.rank_error == pytest.approx(large.normalized_rank_error(False))
    assert our_errors(read, 10_000).max() < 1.5 * read.rank_error
    assert read.memory() < 3_000  # of a sketch of that k, not of 400
    read.merge(ours_of(shuffled(10_000, 3), 100))
    assert read_by_theirs(read).n == 30_000


def test_extremes_and_zeros_survive() -> None:
    theirs = theirs_of([np.inf, -np.inf, -0.0, 5.0])
    assert Kll.from_datasketches(theirs.serialize()) == ours_of([np.inf, -np.inf, 0.0, 5.0])


@pytest.mark.parametrize(
    ("at", "byte", "message"),
    [
        (0, 3, "with 3 integers"),
        (1, 3, "version 1 or 2, got 15 and 3"),
        (2, 7, "family 15"),
        (3, 1, "got flags 1"),
        (4, 7, "got 7 and 8"),
        (6, 4, "got 200 and 4"),
        (8, 99, "must stand for the"),
        (15, 64, r"1 to 2\^62 values"),
        (17, 9, "smallest k from 8 to 200"),
        (18, 61, "1 to 60 levels"),
        (18, 0, "1 to 60 levels"),
        (23, 1, "must stand for the"),
        (-1, 0xFF, r"got NaN|between their extremes"),
    ],
)
def test_a_damaged_image_is_refused_by_the_rule_that_it_breaks(at: int, byte: int, message: str) -> None:
    image = bytearray(ours_of(shuffled(5000)).to_datasketches())
    image[at] = byte
    with pytest.raises(ValueError, match=message):
        Kll.from_datasketches(bytes(image))


def test_levels_out_of_order_and_cut_images_are_refused() -> None:
    image = ours_of(shuffled(5000)).to_datasketches()
    with pytest.raises(ValueError, match="must be sorted"):
        Kll.from_datasketches(image[:-16] + image[-8:] + image[-16:-8])
    for size in (0, 7, 8, 19, 20, 21, len(image) - 1):
        with pytest.raises(ValueError, match=r"KLL image|levels must have"):
            Kll.from_datasketches(image[:size])
    with pytest.raises(ValueError, match="must have"):
        Kll.from_datasketches(image + b"\0")


def test_a_level_of_less_than_nothing_is_refused_though_the_weights_add_up() -> None:
    places, values = struct.pack("<2I", 12, 10), np.arange(6.0)  # of 16: -2 values of weight 1, and 6 of weight 2
    image = struct.pack("<4BHBx", 5, 1, 15, 0, 8, 8) + struct.pack("<QHBx", 10, 8, 2) + places + values.tobytes()
    with pytest.raises(ValueError, match="must stand for the 10"):
        Kll.from_datasketches(image)


def test_a_sketch_that_no_image_can_hold_is_refused() -> None:
    sketch = Kll(8)
    sketch._levels = [np.arange(1_000_000.0)]
    with pytest.raises(ValueError, match="at most 480 values in 60 levels, got 1000000 in 1"):
        sketch.to_datasketches()
    fitting = Kll(8)
    fitting.merge(sketch)
    assert read_by_theirs(fitting).n == 1_000_000


def test_damaged_images_are_refused_or_make_a_sketch_in_bounded_memory() -> None:
    rng = np.random.default_rng(12)
    smaller = theirs_of(shuffled(2000), 60)
    smaller.merge(theirs_of(shuffled(500), 8))
    images = [theirs_of(shuffled(n), 60).serialize() for n in (0, 1, 2, 60, 2000)] + [smaller.serialize()]
    read, refused = 0, 0
    tracemalloc.start()
    try:
        for number in range(10_000):
            damaged = bytearray(images[number % len(images)])
            for _ in range(int(rng.integers(1, 4))):
                reach = len(damaged) if rng.random() < 0.3 else min(len(damaged), 44)  # most at the lengths
                damaged[int(rng.integers(0, reach))] = int(rng.choice([0, 1, 0x7F, 0xFF, rng.integers(0, 256)]))
            if rng.random() < 0.1:
                damaged = damaged[: int(rng.integers(0, len(damaged)))]
            try:
                sketch = Kll.from_datasketches(bytes(damaged))
            except ValueError:
                refused += 1
                continue
            read += 1
            assert Kll.from_bytes(sketch.to_bytes()) == sketch
            assert read_by_theirs(sketch).n == sketch.count
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert read > 500
    assert refused > 5000

"""Bloom: never denies what it saw, errs at the rate that was asked for, and says so when it is overfull."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import SealError, load
from transforms.sketches.bloom import Bloom
from transforms.sketches.hashing import Hasher

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "bloom-v1.bin"


def test_laws_hold(check_laws: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    batches = [rng.integers(0, 5_000, size) for size in (30, 1, 0, 400, 2_000, 7)]
    check_laws(lambda: Bloom.for_error(1_000, 0.01), batches, unlike=Bloom.for_error(1_000, 0.02))
    words = [[f"word {number}" for number in batch] for batch in batches]
    check_laws(lambda: Bloom(4_096, 3), words, unlike=Bloom(4_096, 3, hasher=Hasher(bytes(16))))


@pytest.mark.parametrize("kind", [np.int64, str])
def test_nothing_that_was_added_is_denied(kind: type) -> None:
    bloom = Bloom(8_000, 5)  # far too small: then as well
    items = np.random.default_rng(2).integers(-(2**63), 2**63, 20_000).astype(kind)
    for part in np.array_split(items, 50):
        bloom.add_many(part)
    assert bloom.contains_many(items).all()
    assert all(item in bloom for item in items[:100].tolist())


@pytest.mark.parametrize(
    ("capacity", "error"), [(100, 1e-2), (100, 1e-4), (1_000, 1e-3), (10_000, 0.3), (100_000, 1e-2)]
)
def test_false_positives_stay_within_a_fifth_of_what_was_asked_for(capacity: int, error: float) -> None:
    rng = np.random.default_rng(3)
    trials, questions = 20, 100_000
    wrong = 0
    for _ in range(trials):
        bloom = Bloom.for_error(capacity, error)
        bloom.add_many(rng.integers(0, 2**62, capacity))
        wrong += int(bloom.contains_many(rng.integers(2**62, 2**63, questions)).sum())
    nominal = error * trials * questions
    assert wrong <= 1.2 * nominal + 3 * nominal**0.5  # the last term: chance, where few errors are expected at all
    assert wrong >= 0.7 * nominal - 3 * nominal**0.5  # no larger than it need be


def test_an_overfull_filter_says_its_present_error() -> None:
    rng = np.random.default_rng(4)
    for times in (0, 1, 2, 4):
        bloom = Bloom.for_error(5_000, 0.01)
        bloom.add_many(rng.integers(0, 2**62, times * 5_000))
        wrong = bloom.contains_many(rng.integers(2**62, 2**63, 100_000)).mean()
        assert bloom.error_now() == pytest.approx(wrong, rel=0.1)


def test_the_count_is_read_off_the_bits_and_its_bounds_hold() -> None:
    rng = np.random.default_rng(5)
    for added in (1, 10, 1_000, 10_000, 50_000):
        held = 0
        for _ in range(200):
            bloom = Bloom.for_error(10_000, 0.01)
            bloom.add_many(rng.integers(0, 2**63, added))
            count = bloom.count()
            held += count.low <= added <= count.high
        assert held >= 0.93 * 200
        assert count.value == pytest.approx(added, rel=0.05)


def test_the_count_has_no_upper_bound_where_all_bits_are_set() -> None:
    bloom = Bloom(64, 2)
    assert (bloom.count().value, bloom.count().high) == (0.0, 0.0)
    bloom.add_many(range(10_000))
    count = bloom.count()
    assert count.value == count.high == float("inf")
    assert 50 < count.low < 10_000
    assert bloom.error_now() == 1.0


def test_every_way_of_adding_gives_the_same_bits() -> None:
    texts = [f"user {number % 700}" for number in range(2_000)]
    ways = [
        texts,
        np.array(texts),
        pa.array(texts),
        pa.chunked_array([texts[:5], texts[5:]]),
        pa.array(texts).dictionary_encode(),
        iter(texts),
    ]
    sketches = []
    for way in ways:
        bloom = Bloom.for_error(1_000, 0.01)
        bloom.add_many(way)
        sketches.append(bloom.to_bytes())
    assert len(set(sketches)) == 1


def test_missing_values_are_refused_and_nothing_is_added() -> None:
    bloom = Bloom(64, 2)
    for values in ([1, None], pa.array(["a", None])):
        with pytest.raises(ValueError, match="drop nulls first"):
            bloom.add_many(values)
    assert bloom == Bloom(64, 2)


@pytest.mark.parametrize(("bits", "hashes"), [(0, 1), (12, 1), (2**32 + 8, 1), (64, 0), (64, 65)])
def test_impossible_parameters_are_refused(bits: int, hashes: int) -> None:
    with pytest.raises(ValueError, match="must be"):
        Bloom(bits, hashes)


@pytest.mark.parametrize(("capacity", "error"), [(0, 0.1), (10, 0.0), (10, 1.0), (10**12, 1e-6)])
def test_impossible_wishes_are_refused(capacity: int, error: float) -> None:
    with pytest.raises(ValueError, match=r"capacity|error"):
        Bloom.for_error(capacity, error)


def test_the_smallest_filters_can_be_had() -> None:
    for capacity, error in ((1, 0.99), (1, 0.5), (1, 1e-12), (3, 1e-18)):
        bloom = Bloom.for_error(capacity, error)
        bloom.add("a")
        assert "a" in bloom
        assert bloom.error_now() <= 1.3 * error


def test_a_payload_of_another_size_is_refused_before_it_is_believed() -> None:
    parameters = dict(Bloom(64, 2).parameters) | {"bits": 2**32}
    with pytest.raises(ValueError, match="must take"):
        Bloom._restore(parameters, b"x")
    with pytest.raises(SealError):
        Bloom.from_bytes(Bloom(64, 2).to_bytes()[:-1])


def test_golden_bytes_load_for_ever() -> None:
    bloom = load(GOLDEN.read_bytes())
    assert isinstance(bloom, Bloom)
    assert bloom.contains_many(["ana", "bo", "zoe"]).tolist() == [True, True, False]
    assert 7 in bloom
    assert bloom.count().value == pytest.approx(3, abs=0.05)
    again = Bloom(512, 4)
    again.add_many(["ana", "bo"])
    again.add(7)
    assert again == bloom

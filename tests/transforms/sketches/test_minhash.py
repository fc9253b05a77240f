"""MinHash: similarity within its bound, unions that merge, and bands under which near-duplicates meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import SealError, load
from transforms.sketches.hashing import Hasher
from transforms.sketches.minhash import MinHash

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "minhash-v1.bin"


def sketch_of(values: object, hashes: int = 128) -> MinHash:
    sketch = MinHash(hashes)
    sketch.add_many(values)
    return sketch


def pair_of_sets(rng: np.random.Generator, size: int, shared: int) -> tuple[np.ndarray, np.ndarray, float]:
    items = rng.integers(-(2**63), 2**63, 2 * size - shared)
    return items[:size], items[size - shared :], shared / (2 * size - shared)


def test_laws_hold(check_laws: Callable[..., None]) -> None:
    rng = np.random.default_rng(1)
    batches = [rng.integers(0, 5_000, size) for size in (30, 1, 0, 400, 2_000, 7)]
    check_laws(lambda: MinHash(32), batches, unlike=MinHash(64))
    words = [[f"word {number}" for number in batch] for batch in batches]
    check_laws(lambda: MinHash(16), words, unlike=MinHash(16, hasher=Hasher(bytes(16))))


@pytest.mark.parametrize(("size", "shared"), [(3, 1), (20, 19), (100, 0), (1_000, 100), (1_000, 667), (1_000, 990)])
def test_the_bounds_hold_as_often_as_stated(size: int, shared: int) -> None:
    rng = np.random.default_rng(2)
    held, trials = 0, 200
    for _ in range(trials):
        left, right, truth = pair_of_sets(rng, size, shared)
        answer = sketch_of(left).similarity(sketch_of(right))
        held += answer.low <= truth <= answer.high
    assert held >= 0.95 * trials


def test_the_error_is_what_was_asked_for_and_unbiased() -> None:
    rng = np.random.default_rng(3)
    wide, errors = MinHash.for_error(0.05, confidence=0.98), []
    for _ in range(200):
        left, right, truth = pair_of_sets(rng, 500, 333)
        hashes = int(wide.parameters["hashes"])
        errors.append(sketch_of(left, hashes).similarity(sketch_of(right, hashes)).value - truth)
    assert np.mean(np.abs(errors) <= 0.05) >= 0.98
    # 200 answers of `hashes` coins each scatter their mean by a half of 1 / sqrt(200 hashes) at most.
    assert abs(np.mean(errors)) < 4 * 0.5 / (200 * hashes) ** 0.5


def test_bounds_are_tighter_than_the_plain_ones_and_certain_where_a_set_is_empty() -> None:
    full, other, empty = sketch_of(range(100)), sketch_of(range(1_000, 1_100)), MinHash()
    plain = (np.log(40) / 256) ** 0.5
    same, apart = full.similarity(full), full.similarity(other)
    assert (same.value, same.high) == (1.0, 1.0)
    assert 1 - plain < 0.97 < same.low < 0.98
    assert (apart.value, apart.low) == (0.0, 0.0)
    assert 0.02 < apart.high < 0.03 < plain
    assert empty.similarity(empty).low == 1.0
    assert empty.similarity(full).high == full.similarity(empty).high == 0.0


def test_only_sketches_that_are_alike_are_compared() -> None:
    with pytest.raises(ValueError, match=r"cannot compare MinHash\(hashes=128.*MinHash\(hashes=64"):
        MinHash().similarity(MinHash(64))


@pytest.mark.parametrize("similarity", [0.2, 0.42, 0.8])
def test_candidates_meet_as_often_as_the_curve_says(similarity: float) -> None:
    rng = np.random.default_rng(5)
    count, rows, trials, met = 32, 4, 300, 0
    size = 300
    shared = round(2 * size * similarity / (1 + similarity))
    for _ in range(trials):
        left, right, truth = pair_of_sets(rng, size, shared)
        met += bool(set(sketch_of(left).bands(count)) & set(sketch_of(right).bands(count)))
    expected = 1 - (1 - truth**rows) ** count
    assert met / trials == pytest.approx(expected, abs=0.08)


def test_bands_cover_every_hash_once_and_tell_their_place() -> None:
    sketch = sketch_of(["a", "b"], 8)
    keys = sketch.bands(4)
    assert [len(key) for key in keys] == [4 + 2 * 8] * 4
    assert [int.from_bytes(key[:4], "little") for key in keys] == [0, 1, 2, 3]
    assert b"".join(key[4:] for key in keys) == sketch._payload()
    assert MinHash(8).bands(4) == []
    for count in (0, 3, 16):
        with pytest.raises(ValueError, match="must divide the 8 hashes"):
            sketch.bands(count)


def test_every_way_of_adding_gives_the_same_sketch() -> None:
    texts = [f"user {number % 700}" for number in range(2_000)]
    ways = [texts, np.array(texts), pa.array(texts), pa.array(texts).dictionary_encode(), set(texts)]
    assert len({sketch_of(way).to_bytes() for way in ways}) == 1


def test_missing_values_are_refused_and_nothing_is_added() -> None:
    sketch = MinHash()
    with pytest.raises(ValueError, match="drop nulls first"):
        sketch.add_many(["a", None])
    assert sketch == MinHash()


def test_impossible_parameters_are_refused() -> None:
    for hashes in (0, 65_537):
        with pytest.raises(ValueError, match="hashes must be from 1 to 65536"):
            MinHash(hashes)
    with pytest.raises(ValueError, match="error must be"):
        MinHash.for_error(0.0)
    for confidence in (0.0, 1.0):
        with pytest.raises(ValueError, match="confidence must be"):
            MinHash.for_error(0.1, confidence)
        with pytest.raises(ValueError, match="confidence must be"):
            MinHash().similarity(MinHash(), confidence)


def test_a_payload_of_another_size_is_refused_before_it_is_believed() -> None:
    with pytest.raises(ValueError, match="must take"):
        MinHash._restore(dict(MinHash(8).parameters) | {"hashes": 65_536}, b"x")
    with pytest.raises(SealError):
        MinHash.from_bytes(MinHash(8).to_bytes()[:-1])


def test_golden_bytes_load_for_ever() -> None:
    loaded = load(GOLDEN.read_bytes())
    assert isinstance(loaded, MinHash)
    assert loaded == sketch_of(["ana", "bo", 7, 1.5], 16)
    assert loaded.similarity(sketch_of(["ana", "bo", 7, 1.5], 16)).value == 1.0
    assert 0.1 < loaded.similarity(sketch_of(["ana", "bo", "zoe"], 16)).value < 0.8

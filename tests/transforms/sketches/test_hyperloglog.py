"""HyperLogLog: laws, accuracy, and the images of other engines."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import load
from transforms.sketches.hashing import DEFAULT, DataSketchesHasher, Hasher
from transforms.sketches.hyperloglog import HyperLogLog

GOLDEN = Path(__file__).parents[2] / "data" / "golden"

INTEROPERABLE = DataSketchesHasher()
GOLDEN_ESTIMATE = 947.539


def _of(values: Any, precision: int = 12, hasher: Hasher = DEFAULT) -> HyperLogLog:
    sketch = HyperLogLog(precision, hasher=hasher)
    sketch.add_many(values)
    return sketch


@pytest.mark.parametrize("items", [0, 5, 60, 3000], ids="{} items a shard".format)
def test_laws(items: int, check_laws: Callable[..., None]) -> None:
    rng = np.random.default_rng(items)
    shards = [rng.integers(0, 4 * items + 1, items) for _ in range(9)]
    shards[0] = rng.integers(0, 9, 100)
    unlike = HyperLogLog(8)
    check_laws(lambda: HyperLogLog(9), shards, unlike=unlike)


def test_laws_for_strings(check_laws: Callable[..., None]) -> None:
    shards = [pa.array([f"user-{i * j % 700}" for i in range(150)]) for j in range(1, 8)]
    check_laws(lambda: HyperLogLog(8), shards, unlike=HyperLogLog(8, hasher=Hasher(normalize=True)))


def test_small_sets_are_exact_up_to_an_eighth_of_the_registers() -> None:
    sketch = _of(np.arange(512))
    estimate = sketch.estimate()
    assert (estimate.value, estimate.low, estimate.high, estimate.confidence) == (512.0, 512.0, 512.0, 1.0)
    assert sketch.memory() == 4096
    sketch.add("one more")
    assert sketch.estimate().confidence == 0.95
    assert sketch.memory() == 4096


def test_three_items_are_stored_in_less_than_200_bytes() -> None:
    assert len(_of(["a", "b", "c"]).to_bytes()) < 200


def test_4096_registers_are_right_within_three_standard_errors() -> None:
    rng = np.random.default_rng(7)
    trials, inside, covered, squares = 0, 0, 0, []
    for size in (600, 2_000, 8_000, 30_000, 100_000):
        for _ in range(60):
            estimate = _of(rng.integers(0, 2**63, size)).estimate()
            error = estimate.value / size - 1
            trials += 1
            inside += abs(error) <= 0.049
            covered += estimate.low <= size <= estimate.high
            squares.append(error**2)
    assert inside >= 0.99 * trials
    assert covered >= 0.94 * trials
    assert np.sqrt(np.mean(squares)) < 1.05 * 1.04 / 64


def test_error_chosen_is_error_met() -> None:
    rng = np.random.default_rng(8)
    errors = []
    for _ in range(100):
        sketch = HyperLogLog.for_error(0.05, confidence=0.9)
        sketch.add_many(rng.integers(0, 2**63, 20_000))
        errors.append(abs(sketch.estimate().value / 20_000 - 1))
    assert np.mean(np.array(errors) <= 0.05) >= 0.9


def test_intersection_is_within_its_bounds() -> None:
    rng = np.random.default_rng(9)
    covered, trials = 0, 0
    for shared in (0, 500, 5_000, 20_000):
        for _ in range(40):
            items = rng.integers(0, 2**63, 40_000)
            one, two = _of(items[: 20_000 + shared // 2], 10), _of(items[20_000 - (shared + 1) // 2 :], 10)
            estimate = one.intersection(two)
            assert 0 <= estimate.low <= estimate.value <= estimate.high
            covered += estimate.low <= shared <= estimate.high
            trials += 1
    assert covered >= 0.95 * trials


def test_intersection_of_small_sets_is_exact() -> None:
    assert _of(["a", "b"]).intersection(_of(["b", "c"])).value == 1.0
    assert _of(["a"]).intersection(HyperLogLog()).high == 0.0
    with pytest.raises(ValueError, match=r"cannot intersect .*precision=12.*precision=11"):
        HyperLogLog(12).intersection(HyperLogLog(11))


def test_crafted_items_do_not_flood_a_secret_key() -> None:
    public = np.arange(4_000_000)
    hashes = DEFAULT.hash_many(public)
    crafted = public[hashes >> np.uint64(52) == 0]  # twelve leading zeros each, under the public key
    assert _of(crafted, 4).estimate().value > 20 * crafted.size
    hidden = _of(crafted, 12, Hasher(bytes(range(16)))).estimate().value
    assert hidden < 1.05 * crafted.size


def test_a_sketch_of_an_unknown_key_answers_and_merges_but_does_not_add() -> None:
    identity = "siphash13:0123456789abcdef"
    data = HyperLogLog(12, hasher=Hasher.of(identity)).to_bytes()
    sketch = load(data)
    sketch.merge(load(data))
    assert sketch.estimate().value == 0.0
    with pytest.raises(ValueError, match=identity):
        sketch.add(1)


def test_missing_values_are_refused_and_nothing_is_added() -> None:
    sketch = HyperLogLog()
    for values in (["a", None], pa.array([1, None])):
        with pytest.raises(ValueError, match="drop nulls"):
            sketch.add_many(values)
    assert sketch == HyperLogLog()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HyperLogLog(3), "from 4 to 21, got 3"),
        (lambda: HyperLogLog.for_error(0.0), "between 0 and 1"),
        (lambda: HyperLogLog.for_error(1e-6), "at least"),
        (lambda: HyperLogLog().estimate(confidence=95), "confidence must be"),
        (lambda: HyperLogLog().to_postgres(regwidth=9), "regwidth"),
    ],
)
def test_parameters_are_checked(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_golden_bytes_answer_as_they_did() -> None:
    sketch = load((GOLDEN / "hyperloglog-v1.bin").read_bytes())
    assert sketch == _of(np.arange(1000), 6)
    assert round(sketch.estimate().value, 3) == GOLDEN_ESTIMATE


# PostgreSQL's hll.


def test_postgres_image_follows_the_storage_specification() -> None:
    sketch = _of(np.arange(3000), 4)
    data = sketch.to_postgres(regwidth=6)
    assert data[:3] == bytes([0x14, 5 << 5 | 4, 0x7F])  # version 1 and full; 6 bits and 2^4 registers
    bits = "".join(f"{byte:08b}" for byte in data[3:])
    assert [int(bits[i : i + 6], 2) for i in range(0, 96, 6)] == sketch._registers.tolist()
    assert HyperLogLog(4).to_postgres(5) == bytes([0x14, 0x84, 0x7F]) + bytes(10)


# Apache DataSketches.


def _datasketches() -> Any:
    return pytest.importorskip("datasketches")


@pytest.mark.parametrize("items", [0, 1, 6, 30, 300, 5_000])
def test_registers_are_those_of_datasketches(items: int) -> None:
    ds = _datasketches()
    theirs = ds.hll_sketch(11, ds.tgt_hll_type.HLL_8)
    ours = HyperLogLog(11, hasher=INTEROPERABLE)
    values = [*range(items), *(f"user-é-{i}" for i in range(items)), *(i / 7 for i in range(items))]
    for value in values:
        theirs.update(value)
    ours.add_many(np.arange(items))
    ours.add_many(pa.array(values[items : 2 * items], pa.string()))
    ours.add_many(np.arange(items) / 7)
    for image in (theirs.serialize_compact(), theirs.serialize_updatable()):
        read = HyperLogLog.from_datasketches(image)
        assert (read._dense() == ours._dense()).all()
        merged = ours.copy()
        merged.merge(read)
        assert (merged._dense() == ours._dense()).all()


@pytest.mark.parametrize("items", [0, 1, 100, 50_000])
def test_datasketches_reads_and_unites_our_images(items: int) -> None:
    ds = _datasketches()
    ours = _of(np.arange(items), 12, INTEROPERABLE)
    theirs = ds.hll_sketch(12, ds.tgt_hll_type.HLL_8)
    for item in range(items // 2, 2 * items):
        theirs.update(item)
    assert ds.hll_sketch.deserialize(ours.to_datasketches()).get_estimate() == pytest.approx(items, rel=0.05)
    union = ds.hll_union(12)
    union.update(ds.hll_sketch.deserialize(ours.to_datasketches()))
    union.update(theirs)
    result = union.get_result(ds.tgt_hll_type.HLL_8)
    assert result.get_estimate() == pytest.approx(2 * items, rel=0.05)
    assert HyperLogLog.from_datasketches(result.serialize_compact()).estimate().value == pytest.approx(
        2 * items, rel=0.05
    )


def test_error_after_union_is_that_of_datasketches() -> None:
    ds = _datasketches()
    rng = np.random.default_rng(10)
    ours, theirs = [], []
    for _ in range(300):
        size = int(rng.integers(2_000, 40_000))
        sketch = _of(rng.integers(0, 2**63, size), 10)
        ours.append(sketch.estimate().value / size - 1)
        theirs.append(ds.hll_sketch.deserialize(sketch.to_datasketches()).get_estimate() / size - 1)
    assert np.sqrt(np.mean(np.square(ours))) <= 1.05 * np.sqrt(np.mean(np.square(theirs)))


def test_foreign_images_that_are_damaged_are_refused_or_read_but_never_crash() -> None:
    rng = np.random.default_rng(11)
    image = _of(np.arange(5000), 6).to_datasketches()
    coupons = bytes([3, 1, 7, 12, 5, 8, 0, 9]) + (40).to_bytes(4, "little") + rng.bytes(160)
    for _ in range(3_000):
        for good in (image, coupons):
            damaged = bytearray(good)
            damaged[int(rng.integers(0, 16))] = int(rng.integers(0, 256))
            for data in (bytes(damaged), bytes(damaged[: int(rng.integers(0, len(damaged)))])):
                try:
                    sketch = HyperLogLog.from_datasketches(data)
                except ValueError:
                    continue
                assert HyperLogLog.from_bytes(sketch.to_bytes()) == sketch
    too_large = image[:-1] + b"\x40"
    for other in (b"", b"\0" * 8, image[:-1], image + b"\0", too_large):
        with pytest.raises(ValueError, match="image"):
            HyperLogLog.from_datasketches(other)


def test_no_library_is_needed_for_exchange() -> None:
    assert "datasketches" not in importlib.import_module("transforms.sketches.hll_images").__dict__
    sketch = _of(np.arange(5000), 12, INTEROPERABLE)
    assert HyperLogLog.from_datasketches(sketch.to_datasketches()) == sketch
    assert sys.getsizeof(sketch.to_datasketches()) < 4096 + 100

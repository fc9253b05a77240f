"""Sketches side by side: those that one sketch a group would be, whatever the merges, and safe to open."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import (
    Bloom,
    Count,
    CountMin,
    DyadicQuantiles,
    HeavyHitters,
    HyperLogLog,
    Kll,
    LogHistogram,
    MinHash,
    Moments,
    Question,
    SealError,
    SketchColumn,
    Total,
    column_kinds,
    load_column,
    sketch_column,
    unite,
)
from transforms.sketches.answers import answer_array
from transforms.sketches.pieces import join_pieces, split_pieces
from transforms.sketches.sealing import seal, unseal

GOLDEN = Path(__file__).parents[2] / "data" / "golden"
TREES = 200

# One of each kind that has a column of its own, and some that have none; parameters so small that all regimes occur.
SKETCHES: dict[str, tuple[Any, list[Question]]] = {
    "bloom": (Bloom.for_error(100, 0.05), []),
    "count": (Count(), [Question("count")]),
    "count_min": (CountMin(64, 3), []),
    "dyadic_quantiles": (DyadicQuantiles(0, 100, 1, 0.1, 0.1), []),
    "heavy_hitters": (HeavyHitters(500), [Question("top", (3,))]),
    "hyperloglog": (HyperLogLog(6), [Question("estimate"), Question("estimate", (0.5,))]),
    "kll": (Kll(16), [Question("quantiles", (0.0, 0.5, 0.99, 1.0))]),
    "log_histogram": (LogHistogram(0.05), [Question("quantiles", (0.0, 0.3, 1.0)), Question("count")]),
    "minhash": (MinHash(16), []),
    "moments": (Moments(), [Question("min"), Question("max"), Question("mean"), Question("count")]),
    "total": (Total(), [Question("sum"), Question("mean"), Question("count")]),
}
WITHIN_BOUNDS = {"kll", "moments"}
COLUMNS = {"hyperloglog", "count", "heavy_hitters", "kll", "log_histogram", "moments", "total"}


def made_up(rng: np.random.Generator) -> tuple[pa.Array, np.ndarray[Any, np.dtype[np.intp]], int]:
    """Values of one type, the group of each, and how many groups; some groups are empty, some hold most values."""
    size, number = int(rng.integers(1, 12)), int(rng.integers(0, 200))
    groups = np.minimum(rng.geometric(0.3, number) - 1, size - 1)
    signed = rng.choice([-1.0, 0.0, 1.0], number) * rng.lognormal(0, 8, number)
    values = [
        rng.integers(0, 60, number).astype(np.float64),  # many repeat
        signed,
        rng.integers(-(2**62), 2**62, number),
        rng.choice([5e-324, -2.5e-310, 1e300, 1.0], number),
    ]
    return pa.array(values[rng.integers(len(values))]), groups, size


def one_a_group(empty: Any, values: pa.Array, groups: Any, size: int) -> list[Any]:
    """The oracle: an ordinary sketch for each group."""
    sketches = [empty.copy() for _ in range(size)]
    for place, sketch in enumerate(sketches):
        sketch.add_many(values.filter(pa.array(groups == place)))
    return sketches


def in_a_random_tree(columns: list[SketchColumn], size: int, rng: np.random.Generator) -> SketchColumn:
    """Columns of the groups of some values, united a few at a time; each time the sketches go to other places."""
    nodes = [(column, np.arange(size)) for column in columns]  # and which group each sketch is of
    while len(nodes) > 1:
        some = [nodes.pop(rng.integers(len(nodes))) for _ in range(min(len(nodes), int(rng.integers(2, 4))))]
        places = rng.permutation(size)
        of_place = np.argsort(places)
        nodes.append((unite([(column, places[of_sketch]) for column, of_sketch in some], size), of_place))
    column, of_sketch = nodes[0]
    united: SketchColumn = unite([(column, of_sketch)], size)
    return united


@pytest.mark.parametrize("kind", SKETCHES)
def test_a_column_has_the_sketches_of_its_groups(kind: str) -> None:
    empty, questions = SKETCHES[kind]
    rng = np.random.default_rng(5)
    for _ in range(TREES if kind in COLUMNS else TREES // 10):
        values, groups, size = made_up(rng)
        if kind == "moments" and values.type == pa.float64():
            values = pa.array(np.clip(values.to_numpy(), -1e9, 1e9))
        ordinary = one_a_group(empty, values, groups, size)
        column = sketch_column(empty, empty.prepare(values), groups, size)
        cuts = np.sort(rng.integers(0, len(values) + 1, 4))
        shards = [
            sketch_column(empty, values.slice(begin, end - begin), groups[begin:end], size)
            for begin, end in zip([0, *cuts], [*cuts, len(values)], strict=True)
        ]
        before = [shard.to_bytes() for shard in shards]
        tree = in_a_random_tree(shards, size, rng)
        assert [shard.to_bytes() for shard in shards] == before, "uniting must leave the parts alone"
        if kind not in WITHIN_BOUNDS:
            sealed = [sketch.to_bytes() for sketch in ordinary]
            assert [sketch.to_bytes() for sketch in column] == sealed
            assert [sketch.to_bytes() for sketch in tree] == sealed
            assert tree.to_bytes() == column.to_bytes()
        for sketch, shard, place in zip(column, tree, range(size), strict=True):
            if kind in WITHIN_BOUNDS:
                _within_bounds(sketch, values.filter(pa.array(groups == place)).to_numpy())
                _within_bounds(shard, values.filter(pa.array(groups == place)).to_numpy())
        for opened in (load_column(column.to_bytes()), load_column(tree.to_bytes())):
            same = column if opened.to_bytes() == column.to_bytes() else tree
            assert opened.to_bytes() == same.to_bytes()
            assert list(opened) == list(same)
            assert type(opened) is type(same)
        for question in questions:
            _answers_are_those_of_the_sketches(tree, question)


def _within_bounds(sketch: Any, numbers: Any) -> None:
    values = numbers.astype(np.float64)
    assert sketch.count == values.size
    if not values.size:
        return
    if isinstance(sketch, Moments):
        largest = np.abs(values).max()
        assert (sketch.min, sketch.max) == (values.min(), values.max())
        assert sketch.mean == pytest.approx(values.mean(), rel=1e-12, abs=1e-13 * largest)
        if values.size > 1:
            assert sketch.variance == pytest.approx(values.var(ddof=1), rel=1e-9, abs=1e-12 * largest**2)
        if values.std() > 1e-3 * largest:
            skewness = ((values - values.mean()) ** 3).mean() / values.std() ** 3
            assert sketch.skewness == pytest.approx(skewness, rel=1e-6, abs=1e-6)
        return
    ordered = np.sort(values)
    assert (sketch.quantile(0.0).value, sketch.quantile(1.0).value) == (ordered[0], ordered[-1])
    if values.size <= 16:
        assert [sketch.quantile(q).value for q in (0.3, 0.5)] == np.quantile(
            values, (0.3, 0.5), method="inverted_cdf"
        ).tolist()
    rank = np.searchsorted(ordered, sketch.quantile(0.5).value, side="right") / values.size
    left = np.searchsorted(ordered, sketch.quantile(0.5).value) / values.size
    assert left - 2 * sketch.rank_error <= 0.5 <= rank + 2 * sketch.rank_error


def _answers_are_those_of_the_sketches(column: SketchColumn, question: Question) -> None:
    one_by_one = [question(sketch) for sketch in column]
    if question.name == "sum":  # exact ones may be ints of any length
        one_by_one = list(map(float, one_by_one))
    ours, theirs = column.answers(question).to_pylist(), answer_array(one_by_one).to_pylist()
    assert list(map(repr, ours)) == list(map(repr, theirs))  # NaN is not equal to NaN, but written alike


@pytest.mark.parametrize("values", [["a", "bb", "", "ü"], [1, 2, 3], [0.0, -0.0, 1.5], [True, False], [b"x", b""]])
@pytest.mark.parametrize("capacity", [2, 10])
def test_frequent_items_of_every_type_are_within_their_bounds(values: list[Any], capacity: int) -> None:
    rng = np.random.default_rng(3)
    groups = rng.integers(0, 7, 200)
    items = pa.array([values[number] for number in rng.integers(0, len(values), 200)])
    parts = [
        sketch_column(HeavyHitters(capacity), items.slice(begin, 40), groups[begin : begin + 40], 8)
        for begin in range(0, 200, 40)
    ]
    column = unite([(part, np.arange(8)) for part in parts], 8)
    for place, sketch in enumerate(column):
        of_group = items.filter(pa.array(groups == place)).to_pylist()
        assert sketch.total == len(of_group)
        assert sketch.uncertainty <= len(of_group) / (capacity + 1)
        assert HeavyHitters.from_bytes(sketch.to_bytes()) == sketch
        for value in values:
            count = sketch.count(value)
            assert count.low <= of_group.count(value) <= count.high
    _answers_are_those_of_the_sketches(column, Question("top", (2,)))


def test_items_of_several_kinds_make_no_column_of_answers() -> None:
    columns = [sketch_column(HeavyHitters(5), pa.array(items), [0], 1) for items in (["a"], [1])]
    with pytest.raises(ValueError, match="must be of one kind to make a column, got int and str"):
        unite([(column, [0]) for column in columns], 1).top(3)


def test_a_group_that_outgrows_its_small_form_is_the_sketch_that_outgrew_it() -> None:
    for empty in (HyperLogLog(12), Kll(200)):
        values = pa.array(np.arange(3_000))
        groups = np.repeat([0, 1], [2_999, 1])
        for column, sketch in zip(
            sketch_column(empty, values, groups, 2),
            one_a_group(empty, values, groups, 2),
            strict=True,
        ):
            assert column.to_bytes() == sketch.to_bytes()


def test_hashes_that_share_their_first_bits_are_sorted_all_the_same() -> None:
    column = sketch_column(
        HyperLogLog(4), pa.array([f"user {number}" for number in range(300)]), np.arange(300) % 200, 200
    )
    same_start = column._hashes >> np.uint64(20)  # type: ignore[attr-defined]
    from transforms.sketches.sorting import sorted_pairs

    rng = np.random.default_rng(1)
    groups, words = rng.integers(0, 9, 2_000), rng.choice(same_start, 2_000)
    ours = sorted_pairs(groups, words, 9)
    assert list(zip(*(part.tolist() for part in ours), strict=True)) == sorted(
        set(zip(groups.tolist(), words.tolist(), strict=True))
    )


@pytest.mark.parametrize("kind", [*sorted(COLUMNS), "count_min"])
def test_golden_bytes_of_columns_load_and_are_written_again(kind: str) -> None:
    data = (GOLDEN / f"{kind}_column-v1.bin").read_bytes()
    assert load_column(data).to_bytes() == data
    assert data == golden(kind).to_bytes()


def golden(kind: str) -> SketchColumn:
    """Small, large and empty sketches of one kind; the arithmetic of the values is spelt out, so that it stays."""
    numbers = np.array([(7 * number * number + 3) % 97 for number in range(150)])
    groups = np.array([0 if number % 3 else 1 + number % 4 for number in range(150)])
    return sketch_column(SKETCHES[kind][0], pa.array(numbers), groups, 6)


def test_every_column_of_its_own_is_tested_here() -> None:
    assert {sketch.KIND for sketch in column_kinds._COLUMNS} == COLUMNS


@pytest.mark.parametrize("kind", SKETCHES)
def test_damaged_columns_are_clean_errors(kind: str) -> None:
    image, rng = golden(kind).to_bytes(), random.Random(6)
    for _ in range(1_000):
        damaged = _damaged(image, rng)
        if damaged != image:
            with pytest.raises(SealError):
                load_column(damaged)


@pytest.mark.parametrize("kind", SKETCHES)
def test_sealed_lies_are_refused_or_answer(kind: str) -> None:
    sealed, rng, refused = unseal(golden(kind).to_bytes()), random.Random(7), 0
    for _ in range(1_000):
        pieces, parameters = split_pieces(sealed.payload), dict(sealed.parameters)
        if rng.random() < 0.1:
            parameters["size"] = rng.choice([-1, 0, 5, 7, 2**31, 2**63, "x"])
        elif rng.random() < 0.1:
            del pieces[rng.randrange(len(pieces))]
        else:
            which = rng.randrange(1, len(pieces))
            pieces[which] = _damaged(pieces[which] or b"\0", rng)
        try:
            column = load_column(seal(sealed.kind, parameters, join_pieces(pieces)))
        except SealError:
            refused += 1
            continue
        again = load_column(column.to_bytes())
        assert list(again) == list(column)
    assert refused > 100


def _damaged(data: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(data)
    kind, at = rng.randrange(4), rng.randrange(len(damaged))
    if kind == 0:
        damaged[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del damaged[at:]
    elif kind == 2:
        damaged[at : at + 8] = rng.randbytes(8)
    else:
        damaged[at:0] = rng.randbytes(1 + rng.randrange(9))
    return bytes(damaged)


def test_only_columns_are_opened_as_columns() -> None:
    with pytest.raises(SealError, match=r"must be one of sketch_list, .*use load\(data\)"):
        load_column(Count().to_bytes())
    with pytest.raises(SealError, match="must begin with an empty sketch"):
        load_column(seal("sketch_list", {"size": 0}, join_pieces([])))


def _columns_of(size: int, *sketches: Any) -> list[SketchColumn]:
    return [sketch_column(sketch, pa.array([1]), [0], size) for sketch in sketches]


@pytest.mark.parametrize(
    ("attempt", "complaint"),
    [
        (lambda: sketch_column(Count(), pa.array([1, 2]), [0], 1), "one for each of 2 values, got shape"),
        (lambda: sketch_column(Count(), pa.array([1, 2]), [0, 2], 2), "from 0 to below 2, got 0 to 2"),
        (lambda: sketch_column(Count(), pa.array([1, 2]), [0, -1], 2), "from 0 to below 2, got -1 to 0"),
        (lambda: unite([], 1), "from one at least"),
        (lambda: unite([(c, [0]) for c in _columns_of(1, HyperLogLog(4), HyperLogLog(5))], 1), "precision=4.*5"),
        (lambda: unite([(c, [0]) for c in _columns_of(1, Count(), Total())], 1), "cannot merge Count with Total"),
        (lambda: unite([(c, [0, 0]) for c in _columns_of(2, Count())], 1), "different places"),
        (lambda: unite([(c, [0, 2]) for c in _columns_of(2, Count())], 2), "a place from 0 to below 2"),
        (lambda: unite([(c, [0]) for c in _columns_of(2, Count())], 2), "2 sketches must each have a place"),
        (lambda: sketch_column(Kll(), pa.array([float("nan")]), [0], 1), "NaN"),
        (lambda: sketch_column(LogHistogram(), pa.array([float("inf")]), [0], 1), "infinity"),
        (lambda: sketch_column(HeavyHitters(), pa.array(["x" * 1025]), [0], 1), "at most 1024 bytes, got 1025"),
        (lambda: sketch_column(HeavyHitters(), pa.array([None, "x"]), [0, 0], 1), "drop nulls"),
    ],
)
def test_what_makes_no_column_is_refused(attempt: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        attempt()


@pytest.mark.parametrize(
    "empty",
    [HyperLogLog(12), LogHistogram(), Kll(), HeavyHitters(), Moments(), Total(), CountMin(4096, 5), MinHash(16)],
)
def test_a_key_with_three_values_is_stored_in_less_than_200_bytes(empty: Any) -> None:
    rng, keys = np.random.default_rng(2), 2_000
    column = sketch_column(empty, pa.array(rng.integers(0, 10**6, 3 * keys)), np.arange(3 * keys) % keys, keys)
    assert len(column.to_bytes()) <= 200 * keys

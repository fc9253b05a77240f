"""SkipList: the answers of a sorted list, after any history, in a number of steps that grows with the logarithm."""

from __future__ import annotations

import math
import random
import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import SealError, load
from transforms.sketches.skip_list import SkipList
from transforms.sketches.towers import Run

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "skip_list-v1.bin"


def list_of(values: Any, **bound: Any) -> SkipList:
    made = SkipList(**bound)
    made.add_many(values)
    return made


def assert_answers_as(oracle: list[Any], made: SkipList, questions: list[Any]) -> None:
    assert made.count == len(oracle)
    for x in questions:
        below, upto = bisect_left(oracle, x), bisect_right(oracle, x)
        assert made.rank(x) == upto
        assert made.floor(x) == (oracle[upto - 1] if upto else None)
        assert made.ceiling(x) == (oracle[below] if below < len(oracle) else None)
        end = questions[-1]
        assert made.range(x, end) == oracle[below : max(below, bisect_right(oracle, end))]
    for k in range(1, len(oracle) + 1, 1 + len(oracle) // 50):
        assert made.kth(k) == oracle[k - 1]


@pytest.mark.parametrize(
    "convert", [int, lambda number: number / 7, lambda number: f"w{number}"], ids=["ints", "floats", "strings"]
)
def test_laws_hold(check_laws: Callable[..., None], convert: Callable[[int], Any]) -> None:
    rng = random.Random(1)
    batches = [[convert(rng.randrange(-50, 300)) for _ in range(size)] for size in (40, 1, 0, 300, 5, 90)]
    check_laws(SkipList, batches, unlike=SkipList(keep="largest", capacity=1))
    for keep in ("largest", "smallest"):
        check_laws(
            lambda keep=keep: SkipList(keep=keep, capacity=60),
            batches,
            unlike=SkipList(keep=keep, capacity=61),
        )


@pytest.mark.parametrize(
    "convert", [int, lambda number: number / 7, lambda number: f"w{number}"], ids=["ints", "floats", "strings"]
)
@pytest.mark.parametrize("seed", range(5))
def test_it_answers_as_a_sorted_list_does_through_any_history(convert: Callable[[int], Any], seed: int) -> None:
    rng = random.Random(seed)
    made, oracle = SkipList(), list[Any]()
    for step in range(400):
        item = convert(rng.randrange(-300, 300))
        action = rng.random()
        if action < 0.4 and oracle:
            victim = rng.choice(oracle)
            made.remove(victim)
            oracle.remove(victim)
        elif action < 0.5:
            batch = [convert(rng.randrange(-300, 300)) for _ in range(rng.randrange(60))]
            made.add_many(batch)
            oracle = sorted(oracle + batch)
        else:
            made.add(item)
            insort(oracle, item)
        if step % 20 == 0:
            assert_answers_as(oracle, made, sorted(convert(rng.randrange(-310, 310)) for _ in range(10)))
    assert structure_of(made) == structure_of(list_of(oracle))
    for item in rng.sample(oracle, len(oracle)):
        made.remove(item)
    assert made.to_bytes() == SkipList().to_bytes()
    assert structure_of(made) == structure_of(SkipList())


def structure_of(made: SkipList) -> list[list[tuple[list[Any], list[int]]]]:
    """Every run of every level, as the links lead through them."""
    levels, first = [], made._towers.root
    while True:
        level, run = list[tuple[list[Any], list[int]]](), first
        while True:
            level.append((run.keys, run.counts))
            if run.below:
                assert run.counts == [sum(lower.counts) for lower in run.below]
                assert [lower.keys[0] for lower in run.below] == run.keys
            if run.right is None:
                break
            run = run.right
        levels.append(level)
        if not first.below:
            return levels
        first = first.below[0]


def test_equal_contents_have_equal_towers_whatever_the_history() -> None:
    rng = random.Random(2)
    items = [rng.randrange(-(10**4), 10**4) for _ in range(3_000)]
    at_once, by_ones = list_of(items), SkipList()
    rng.shuffle(items)
    for item in items:
        by_ones.add(item)
    passing = range(-3_000, 0)
    by_ones.add_many(passing)
    for item in passing:
        by_ones.remove(item)
    assert by_ones.to_bytes() == at_once.to_bytes()
    assert structure_of(by_ones) == structure_of(at_once)
    assert len(structure_of(at_once)) >= 3


def test_steps_grow_with_the_logarithm_of_the_items() -> None:
    """A step is a node in a run that a path visits, whether it is looked at or not; an update touches these only."""
    rng = np.random.default_rng(3)
    mean, worst = {}, {}
    for size in (1_000, 30_000, 300_000):
        made = list_of(rng.permutation(size * 10)[:size])
        questions = rng.integers(0, size * 10, 500).tolist()
        steps = [sum(len(run.keys) for run, _ in made._towers.path(x)) for x in questions]
        mean[size], worst[size] = np.mean(steps), max(steps)
        assert mean[size] < 12 * math.log2(size)
        assert worst[size] < 36 * math.log2(size)
    assert mean[300_000] < 4 * mean[1_000]  # where the items are 300 times as many


def test_an_update_cuts_and_joins_few_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    made, changes = list_of(range(0, 200_000, 2)), 0
    cut, join = Run.cut, Run.join

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal changes
            changes += 1
            return change(*arguments)

        return call

    monkeypatch.setattr(Run, "cut", counted(cut))
    monkeypatch.setattr(Run, "join", counted(join))
    for item in range(1, 4_000, 2):
        made.add(item)
        made.remove(item - 1)
    assert 0 < changes < 2 * 2_000 * 0.15  # a tower rises above the ground for one item in 16, by 1/15 on average


@pytest.mark.parametrize("keep", ["largest", "smallest"])
def test_a_bounded_list_keeps_the_best_and_counts_equal_ones_each(keep: str) -> None:
    rng = random.Random(4)
    items = [rng.randrange(200) for _ in range(5_000)]
    best = sorted(items, reverse=keep == "largest")
    for capacity in (1, 7, 100, 4_000, 10_000):
        made = SkipList(keep=keep, capacity=capacity)  # type: ignore[arg-type]
        for size, start in ((1, 0), (99, 1), (900, 100), (4_000, 1_000)):
            made.add_many(items[start : start + size])
        made.add(100)
        expected = sorted([*best, 100], reverse=keep == "largest")[:capacity]
        assert made.range(-1, 1_000) == sorted(expected)
        made.add_many([0, 199])  # into a full list of more items than these: one by one
        expected = sorted([*expected, 0, 199], reverse=keep == "largest")[:capacity]
        assert made.range(-1, 1_000) == sorted(expected)


def test_a_bounded_list_stays_small_and_cannot_remove() -> None:
    made = SkipList(keep="largest", capacity=100)
    for start in range(0, 1_000_000, 100_000):
        made.add_many(np.arange(start, start + 100_000))
    assert made.count == 100
    assert made.kth(1) == 999_900
    assert made.memory() == 1_600
    with pytest.raises(ValueError, match="cannot remove from a bounded list"):
        made.remove(999_999)


def test_every_way_of_adding_gives_the_same_list() -> None:
    texts = [f"user {number % 70}" for number in range(500)]
    ways = [texts, np.array(texts), pa.array(texts), pa.chunked_array([texts[:5], texts[5:]])]
    ways += [pa.array(texts).dictionary_encode(), iter(texts), np.array(texts, object)]
    assert len({list_of(way).to_bytes() for way in ways}) == 1
    numbers = [3, 1, 2, 2]
    ways = [numbers, np.array(numbers, np.int8), np.array(numbers, np.uint64), pa.array(numbers, pa.int32())]
    assert len({list_of(way).to_bytes() for way in [*ways, [np.int64(x) for x in numbers]]}) == 1
    floats = [0.5, -0.0, 0.0, np.inf]
    ways = [floats, np.array(floats, np.float32), pa.array(floats), [np.float32(x) for x in floats]]
    assert len({list_of(way).to_bytes() for way in ways}) == 1
    assert list_of(floats).rank(-0.0) == 2


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([1, None], "drop missing values first"),
        (pa.array([1, None]), "cannot add 1 nulls: drop"),
        ([1.0, float("nan")], "cannot add NaN"),
        (np.array([np.nan]), "cannot add NaN"),
        ([1, 1.0], "one kind, int, float or str, got float, int"),
        ([True], "got bool"),
        (np.array([True]), "got bool"),
        ([b"a"], "got bytes"),
        ([2**63], "must fit 64 bits"),
        (np.array([2**63], np.uint64), "must fit 64 bits"),
        (["a"], "this list holds int, got 'a'"),
        (["\ud800"], "this list holds int"),
    ],
)
def test_what_has_no_order_here_is_refused_and_nothing_is_added(values: Any, reason: str) -> None:
    made = list_of([5, 6])
    with pytest.raises(ValueError, match=reason):
        made.add_many(values)
    assert made == list_of([5, 6])


def test_lists_of_two_kinds_do_not_merge_and_questions_are_of_the_kind_of_the_items() -> None:
    ints = list_of([5, 6])
    with pytest.raises(ValueError, match=r"this list holds int, got 1\.5"):
        ints.merge(list_of([1.5]))
    for question in (ints.rank, ints.floor, ints.ceiling, ints.remove):
        with pytest.raises(ValueError, match=r"this list holds int, got 5\.0"):
            question(5.0)
    for k in (0, 3, -1):
        with pytest.raises(ValueError, match="k must be from 1 to the count, which is 2"):
            ints.kth(k)
    with pytest.raises(ValueError, match="cannot remove 7, which is not in the list"):
        ints.remove(7)
    assert (SkipList().rank("a"), SkipList().floor(1), SkipList().ceiling(1.5), SkipList().range(1, 2)) == (
        0,
        None,
        None,
        [],
    )


def test_a_bound_is_both_its_parts() -> None:
    for bound in (
        {"keep": "largest"},
        {"capacity": 3},
        {"keep": "best", "capacity": 3},
        {"keep": "largest", "capacity": 0},
    ):
        with pytest.raises(ValueError, match=r"keep must be|capacity must be"):
            SkipList(**bound)


def test_payloads_that_lie_are_refused() -> None:
    good = list_of(["a", "bo", "bo"])
    payload, parameters = good._payload(), good.parameters
    assert SkipList._restore(parameters, payload) == good
    refused = 0
    for place in range(len(payload)):
        for value in (0, 1, 127, 255):
            if payload[place] != value:
                try:
                    opened = SkipList._restore(parameters, payload[:place] + bytes([value]) + payload[place + 1 :])
                except (ValueError, OverflowError, struct.error):
                    refused += 1
                else:
                    assert opened.copy() == opened  # other contents, as sound as any
    assert refused > len(payload)
    for kind, items in ((0, np.array([2, 1])), (0, np.array([1, 1])), (1, np.array([np.nan]))):
        lie = list_of(list(range(len(items))))._payload()
        with pytest.raises(ValueError, match=r"must ascend|must take|NaN"):
            SkipList._restore(parameters, bytes([kind]) + lie[1 : -8 * len(items)] + items.tobytes())
    with pytest.raises(ValueError, match="at most 2 items"):
        SkipList._restore(SkipList(keep="largest", capacity=2).parameters, payload)
    with pytest.raises(SealError):
        SkipList.from_bytes(good.to_bytes()[:-1])


def test_golden_bytes_load_for_ever() -> None:
    made = load(GOLDEN.read_bytes())
    assert isinstance(made, SkipList)
    assert made == list_of(["ana", "bo", "bo", "é", "𝄞"], keep="largest", capacity=4)
    assert made.range("", "\U0010ffff") == ["bo", "bo", "é", "𝄞"]
    assert (made.rank("c"), made.floor("c"), made.ceiling("c"), made.kth(4)) == (2, "bo", "é", "𝄞")

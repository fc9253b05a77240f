"""Reductions: totals that merge, and are changed only where they may be."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from apache_beam.transforms.combiners import MeanCombineFn, TopCombineFn

from transforms.combining import MergeCombineFn, SketchCombineFn
from transforms.distinct import distinct_count
from transforms.exact import total
from transforms.reductions import reduction_of
from transforms.sketches import Total


def _total_of(number: float) -> Total:
    made = Total()
    made.add(number)
    return made


CASES: dict[str, tuple[Any, Any, list[Any], Any]] = {
    "function and inverse": (operator.add, operator.sub, [1, 2, 3], 6),
    "function": (max, None, [1, 3, 2], 3),
    "Mean": (MeanCombineFn(), None, [1, 2, 6], 3.0),
    "Top": (TopCombineFn(2), None, [1, 2, 6], [6, 2]),
    "total": (total(), None, [1e100, 2, -1e100], 2),
    "distinct": (distinct_count(output="answer"), None, ["a", "b", "a"], 2.0),
    "the sketch itself": (SketchCombineFn(Total), None, [1, 2, 3], 6),
    "sketches of sketches": (MergeCombineFn(Total), None, [_total_of(1), _total_of(2), _total_of(3)], 6),
}


def _plain(answer: Any) -> Any:
    return getattr(answer, "sum", getattr(answer, "value", answer))


@pytest.mark.parametrize("name", CASES)
def test_values_added_and_totals_merged_give_one_answer(name: str) -> None:
    reduce, inverse, (first, second, third), answer = CASES[name]
    reduction = reduction_of(reduce, inverse)
    coder = reduction.coder(Any)
    added = reduction.settle(reduction.add(reduction.add(reduction.start(first), second), third))
    assert _plain(reduction.answer(added)) == pytest.approx(answer)

    alone = reduction.settle(reduction.start(third))
    stored, copied = coder.encode(alone), reduction.copy(alone)
    pair = reduction.settle(reduction.add(reduction.start(first), second))
    before = _plain(reduction.answer(pair))
    told = reduction.answer(copied)
    merged = reduction.merge(pair, coder.decode(stored))
    assert _plain(reduction.answer(merged)) == pytest.approx(answer)
    assert _plain(reduction.answer(reduction.merge(copied, merged))) is not None
    assert coder.encode(alone) == stored, "a copy was changed, and what it was made of with it"
    assert _plain(told) == _plain(reduction.answer(alone)), "a total was changed, and its answer with it"
    if reduction.subtracts:
        fresh = reduction.settle(reduction.add(reduction.add(reduction.start(first), second), third))
        assert _plain(reduction.answer(reduction.subtract(fresh, alone))) == before


def test_what_subtracts_is_known_from_what_it_is() -> None:
    subtracts = {name: reduction_of(reduce, inverse).subtracts for name, (reduce, inverse, _, _) in CASES.items()}
    assert [name for name, known in subtracts.items() if known] == [
        "function and inverse",
        "total",
        "the sketch itself",
        "sketches of sketches",
    ]

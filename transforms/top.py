"""Which items are the most frequent: overall or for each key, in fixed memory, with lower and upper counts."""

from __future__ import annotations

from functools import partial
from typing import Any

from transforms.combining import Output, SketchCombineFn, globally, per_key, sketching
from transforms.sketches import Estimate
from transforms.sketches.heavy_hitters import HeavyHitters
from transforms.sketches.question import Question

_CAPACITY_A_PLACE = 20  # counters for each item asked for; a count is off by at most total / capacity


def heavy_hitters(
    n: int = 10, capacity: int | None = None, *, error: float | None = None, output: Output = "answer"
) -> SketchCombineFn[HeavyHitters, list[tuple[Any, Estimate]]]:
    """Items of any kind that hashes -> the n most frequent with their counts, the first of all first, or the sketch.

    Each count is an Estimate whose bounds are certain: it is off by at most total / capacity, and exact while there
    are no more different items than `capacity` (20 n unless given, or what `error`, relative to the total, needs).
    Raises ValueError where n is below 1, and where both are given.
    """
    if n < 1:
        raise ValueError(f"n must be at least 1 item, got {n}")
    if capacity is not None and error is not None:
        raise ValueError(f"give capacity or error, got {capacity} and {error}: one follows from the other")
    make = partial(HeavyHitters, _CAPACITY_A_PLACE * n if capacity is None else capacity)
    if error is not None:
        make = partial(HeavyHitters.for_error, error)
    return sketching(make, Question("top", (n,)), output)


class Top:
    """The most frequent items of a collection."""

    Globally = staticmethod(globally(heavy_hitters))
    PerKey = staticmethod(per_key(heavy_hitters))

"""Which items come first: the largest or the smallest, in order, exactly, overall or for each key."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

from transforms.combining import Output, SketchCombineFn, globally, per_key, sketching
from transforms.sketches.skip_list import SkipList


def ranking(
    keep: Literal["largest", "smallest"] | None = "largest",
    capacity: int | None = 10,
    *,
    output: Output = "answer",
) -> SketchCombineFn[SkipList, list[Any]]:
    """Ints, floats or strings -> the `capacity` largest or smallest, the first of all first, or the SkipList.

    Exact, and equal items count each. With None for both, all items are kept, in ascending order, and memory grows
    with the number of different ones; then ask for the sketch, which answers `kth`, `rank`, `floor`, `ceiling` and
    `range`. Raises ValueError where one of `keep` and `capacity` is given without the other.
    """
    return sketching(partial(SkipList, keep=keep, capacity=capacity), partial(_in_order, keep=keep), output)


class Ranking:
    """The first items of a collection, in order."""

    Globally = staticmethod(globally(ranking))
    PerKey = staticmethod(per_key(ranking))


def _in_order(items: SkipList, keep: str | None) -> list[Any]:
    if not items.count:
        return []
    ascending = items.range(items.kth(1), items.kth(items.count))
    return ascending[::-1] if keep == "largest" else ascending

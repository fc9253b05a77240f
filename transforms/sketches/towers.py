"""The linked nodes of a skip list, each with how many items it leads past.

Sources: Pugh, Skip lists: a probabilistic alternative to balanced trees (1990), and A skip list cookbook (1990), whose
widths find the k-th item and the rank of one. The nodes of a level between two taller towers lie side by side in one
run, because Python walks a list faster than links. The caller decides the heights: equal items and heights make equal
runs, whatever the history.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True, eq=False)
class Run:
    """Nodes side by side on one level: the first is of a taller tower, the others are where their towers end.

    The first run of each level begins with the head, which stands before all keys and has none: None.
    """

    keys: list[Any]
    counts: list[int]  # of the items from each node on, up to the next node of its level
    below: list[Run]  # the run that each node leads down to; none on the ground
    right: Run | None = None

    def cut(self, at: int) -> Run:
        """Splits off the nodes from `at` on."""
        tail = Run(self.keys[at:], self.counts[at:], self.below[at:], self.right)
        del self.keys[at:], self.counts[at:], self.below[at:]
        self.right = tail
        return tail

    def join(self, tail: Run) -> None:
        """Takes up the run to the right, whose first node, and the tower below it, is no more."""
        if self.below:
            self.below[-1].join(tail.below[0])
            self.counts[-1] += tail.counts[0]
        self.keys += tail.keys[1:]
        self.counts += tail.counts[1:]
        self.below += tail.below[1:]
        self.right = tail.right


class Towers:
    """Ascending keys with their counts; every question and change walks one path from the root to the ground."""

    def __init__(self, keys: list[Any], counts: list[int], heights: NDArray[np.integer[Any]]) -> None:
        self.different = len(keys)
        keys, counts, below, level = [None, *keys], [0, *counts], list[Run](), 0
        heights = np.append(np.iinfo(heights.dtype).max, heights)  # the head is taller than all
        while True:
            starts = np.flatnonzero(heights > level).tolist()
            runs = [Run(keys[a:b], counts[a:b], below[a:b]) for a, b in pairwise([*starts, len(keys)])]
            for left, right in pairwise(runs):
                left.right = right
            if len(runs) == 1:
                break
            keys, counts, below = [keys[a] for a in starts], [sum(run.counts) for run in runs], runs
            heights, level = heights[starts], level + 1
        self.root, self._top = runs[0], level

    @property
    def count(self) -> int:
        """How many items there are, equal ones counted each."""
        return sum(self.root.counts)

    def path(self, key: Any) -> list[tuple[Run, int]]:
        """On each level, from the root down, the last node that is at most key."""
        run, path = self.root, []
        while True:
            at = bisect_right(run.keys, key, 1) - 1  # the first is known to be at most key, or the head
            path.append((run, at))
            if not run.below:
                return path
            run = run.below[at]

    def rank(self, key: Any) -> int:
        """How many items are at most key."""
        path = self.path(key)
        leaf, at = path[-1]
        return leaf.counts[at] + sum(sum(run.counts[:before]) for run, before in path)

    def kth(self, k: int) -> Any:
        """The k-th item, from 1 to count."""
        run = self.root
        while True:
            at = 0
            while k > run.counts[at]:
                k -= run.counts[at]
                at += 1
            if not run.below:
                return run.keys[at]
            run = run.below[at]

    def entries(self) -> Iterator[tuple[Any, int]]:
        """All keys in order, each with its count."""
        ground = self.root
        while ground.below:
            ground = ground.below[0]
        return _walk(ground, 1)

    def entries_from(self, key: Any) -> Iterator[tuple[Any, int]]:
        """The keys from the first that is at least `key` on, each with its count."""
        leaf, at = self.path(key)[-1]
        return _walk(leaf, at if leaf.keys[at] == key else at + 1)

    def insert(self, key: Any, times: int, height: int) -> None:
        """Adds a key, or counts it again; the height must be the key's own."""
        path = self.path(key)
        leaf, at = path[-1]
        if leaf.keys[at] == key:
            for run, at in path:
                run.counts[at] += times
            return
        for _ in range(self._top, height):
            self.root = Run([None], [self.count], [self.root])
            path.insert(0, (self.root, 0))
        self._top = max(self._top, height)
        self.different += 1
        cut_off: list[Run] = []  # the part of the level below from key on
        for level, (run, at) in enumerate(reversed(path)):
            if level > height:
                run.counts[at] += times
                continue
            if cut_off:
                run.counts[at] -= sum(cut_off[0].counts) - times
            run.keys.insert(at + 1, key)
            run.counts.insert(at + 1, sum(cut_off[0].counts) if cut_off else times)
            run.below[at + 1 : at + 1] = cut_off
            cut_off = [run.cut(at + 1)] if level < height else []

    def take(self, key: Any, times: int) -> None:
        """Counts a key less often, and forgets it at zero; it must be there as often."""
        path = self.path(key)
        for run, at in path:
            run.counts[at] -= times
        leaf, at = path[-1]
        if leaf.counts[at]:
            return
        run, at = next((run, at) for run, at in path if at and run.keys[at] == key)  # where its tower ends
        del run.keys[at]
        run.counts[at - 1] += run.counts.pop(at)
        if run.below:
            run.below[at - 1].join(run.below.pop(at))
        while self._top and len(self.root.keys) == 1:
            self.root, self._top = self.root.below[0], self._top - 1
        self.different -= 1


def _walk(run: Run | None, at: int) -> Iterator[tuple[Any, int]]:
    while run:
        yield from zip(run.keys[at:], run.counts[at:], strict=True)
        run, at = run.right, 0

"""What is exact, as a check: the skip list to the item, moments to the rounding."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import numpy as np

from benchmarks.accuracy.study import Reading, Study, parts
from transforms.sketches import Moments, SkipList

_ASKED = np.arange(1, 20) / 20


def _skip_list(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for the ranks of whole numbers."""
    values, ours = chance.integers(0, 2**40, sizes[-1]), SkipList()
    asked = (_ASKED * 2**40).astype(int)
    for n, part in parts(values, sizes):
        ours.add_many(part)
        truth = np.searchsorted(np.sort(values[:n]), asked, "right")
        ranks = np.array([ours.rank(int(x)) for x in asked])
        yield n, {"ours": Reading((ranks - truth) / n, ours.memory(), len(ours.to_bytes()))}


def _moments(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for the variance of values around a thousand, which Python's fractions know exactly."""
    values, ours = chance.normal(1_000.0, 1.0, sizes[-1]), Moments()
    for n, part in parts(values, sizes):
        ours.add_many(part)
        error = np.array([ours.variance / statistics.variance(values[:n].tolist()) - 1])
        yield n, {"ours": Reading(error, ours.memory(), len(ours.to_bytes()))}


STUDIES = [
    Study("SkipList", "unbounded", "of a rank, of all values", _skip_list, 2 * 10**6, 20),
    Study("Moments", "", "of the variance, relative", _moments, 2 * 10**6, 20),
]

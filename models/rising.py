"""What is rising: items that come more often than their own past foretells, each with how surprising that is.

The past of an item is a decayed count of the records that had it, over a decayed count of all records. Its rate is
taken to be gamma distributed around that, never surer than `spread`, so that the count in the window at hand follows a
negative binomial: Gelman et al., Bayesian Data Analysis (3rd ed. 2013), 2.6. The score is minus the logarithm, to base
ten, of the chance of such a count or a higher one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
import orjson
from numpy.typing import NDArray
from scipy.special import betainc

_PRIOR = 0.5  # records that each item may have had unseen: Jeffreys' prior of a rate
_DOUBLINGS = 40  # that weights gain before they begin anew
_HIGHEST = 300.0  # of scores: the chance is then below the smallest number


@dataclass(frozen=True, slots=True)
class Rise:
    """An item of a window, beside what its past foretold."""

    item: str
    count: int  # records of the window that have it
    expected: float  # as many of them as before
    score: float  # 6: by chance in one of a million windows, if it were as frequent as before, give or take `spread`


class Rising:
    """Follows the items of one stream through panes of time, and tells which of them rise in a window of several.

    A window is the last `width` panes; what is usual is what came before it, of which each pane counts half after
    `half_life` more. `spread` is how much the rate of an item may always change by itself, relative to it. At most
    `capacity` items are remembered, the most frequent; all others are taken to be as frequent as the first of those
    that were forgotten, so that nothing rises for having been forgotten. While nothing is known, nothing rises.

    Counts are of records, each of which has an item once at most, so that a busier hour is no rise.

    >>> usual = Rising(width=1, half_life=24)
    >>> for pane in range(20):
    ...     _ = usual.step(pane, {"rain": 10}, records=1000)
    >>> for rise in usual.step(20, {"rain": 21, "goal": 9}, records=2000):
    ...     print(rise.item, rise.count, round(rise.expected), round(rise.score, 1))
    goal 9 0 9.1
    rain 21 20 0.4
    """

    def __init__(
        self, *, width: int = 10, half_life: float = 60.0, spread: float = 0.2, capacity: int = 10_000
    ) -> None:
        if width < 1 or capacity < 1:
            raise ValueError(f"width and capacity must be at least 1, got {width} panes and {capacity} items")
        if not (half_life > 0 and spread > 0):
            raise ValueError(f"half_life and spread must be above 0, got {half_life} panes and {spread}")
        self._width, self._half_life, self._surest, self._capacity = width, half_life, spread**-2, capacity
        self._recent: deque[tuple[int, int, dict[str, int]]] = deque()  # of the window: pane, records, counts
        self._window = Counter[str]()  # the sum of these
        # The past, each pane with the weight that it gains on `_origin`: what is older never has to be made less.
        self._origin: int | None = None
        self._records = 0.0
        self._counts: dict[str, float] = {}
        self._forgotten = 0.0  # the highest count of what is no longer remembered

    def step(self, pane: int, counts: Mapping[str, int], records: int, *, least: float = 0.0) -> list[Rise]:
        """Takes the next pane that has records, and tells the items of the window that ends with it.

        The highest score comes first, and what scores less than `least` is left out. Panes are numbered in order of
        time; those without records may be left out. Raises ValueError for a pane that is not after the one before.
        """
        if self._recent and pane <= self._recent[-1][0]:
            raise ValueError(f"panes must come in order of time, got {pane} after {self._recent[-1][0]}")
        self._recent.append((pane, records, dict(counts)))
        self._window.update(counts)
        while self._recent[0][0] <= pane - self._width:
            self._remember(*self._recent.popleft())
        return self._told(sum(of_pane for _, of_pane, _ in self._recent), self._weight(pane), least)

    def to_bytes(self) -> bytes:
        """All that is known, to go on with later: JSON, of items that are text."""
        past = [self._origin, self._records, self._forgotten, self._counts]
        return orjson.dumps([list(self._recent), past])

    def restore(self, data: bytes) -> Self:
        """Goes on where another one with the same parameters has told `to_bytes`."""
        recent, (self._origin, self._records, self._forgotten, self._counts) = orjson.loads(data)
        self._recent = deque((pane, records, counts) for pane, records, counts in recent)
        self._window = Counter()
        for _, _, counts in recent:
            self._window.update(counts)
        return self

    def _told(self, records: int, weight: float, least: float) -> list[Rise]:
        items, past_records = list(self._window), self._records / weight
        counts = np.fromiter(self._window.values(), np.float64, len(items))
        past = np.array([self._counts.get(item, self._forgotten) for item in items]) / weight + _PRIOR
        scores = surprise(counts, past, records, past_records, surest=self._surest)
        expected = past * records / past_records if past_records else counts
        rises = [
            Rise(items[place], int(counts[place]), float(expected[place]), float(scores[place]))
            for place in np.flatnonzero(scores >= least)
        ]
        return sorted(rises, key=lambda rise: (-rise.score, -rise.count, rise.item))

    def _remember(self, pane: int, records: int, counts: Mapping[str, int]) -> None:
        """A pane leaves the window and becomes the past."""
        weight = self._weight(pane)
        self._records += records * weight
        for item, count in counts.items():
            self._counts[item] = self._counts.get(item, self._forgotten) + count * weight
            self._window[item] -= count
            if not self._window[item]:
                del self._window[item]
        if len(self._counts) > 2 * self._capacity:
            self._forget()

    def _weight(self, pane: int) -> float:
        self._origin = pane if self._origin is None else self._origin
        if (pane - self._origin) / self._half_life > _DOUBLINGS:
            self._begin_anew(self._origin, pane)
        return float(2.0 ** ((pane - self._origin) / self._half_life))

    def _begin_anew(self, before: int, pane: int) -> None:
        """The weights of the past are told from a later pane, before they grow out of all numbers."""
        gained = 0.5 ** ((pane - before) / self._half_life)
        self._origin = pane
        self._records *= gained
        self._forgotten *= gained
        self._counts = {item: count * gained for item, count in self._counts.items()}

    def _forget(self) -> None:
        kept = sorted(self._counts.items(), key=lambda pair: (-pair[1], pair[0]))
        self._forgotten = max(self._forgotten, kept[self._capacity][1])
        self._counts = dict(kept[: self._capacity])


def surprise(
    counts: NDArray[np.float64], past: NDArray[np.float64], records: float, past_records: float, *, surest: float
) -> NDArray[np.float64]:
    """Minus log10 of the chance of such counts, or higher ones, in `records`, after `past` of them in `past_records`.

    `surest` bounds what the past is worth, as a number of records that had the item: its inverse root is the spread of
    rates that is always possible.
    """
    worth = np.minimum(past, surest)
    exposure = past_records * worth / past
    share = records / (records + exposure)
    with np.errstate(under="ignore", divide="ignore"):
        scores = -np.log10(betainc(np.maximum(counts, 1e-9), worth, share))
    told: NDArray[np.float64] = np.clip(scores, 0.0, _HIGHEST)
    return told

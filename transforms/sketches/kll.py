"""Which value stands at rank q, to an error of rank, whatever the values are: the sketch of Karnin, Lang and Liberty.

Source: Karnin, Lang and Liberty, Optimal quantile approximation in streams (2016). Capacities of levels fall by 2/3 as
there, to 8 at least as in Apache DataSketches, whose measured error at 99 % confidence holds for this one too.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from itertools import zip_longest
from statistics import NormalDist
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches import kll_images
from transforms.sketches.columns import float_column
from transforms.sketches.estimate import Estimate
from transforms.sketches.kll_images import KllImage
from transforms.sketches.ranks import place_of, require_comparable
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_LEAST = 8  # values that a level holds
_BLOCK = 16_384  # values sorted at once
_CONFIDENCE = 0.99
_HEADER = struct.Struct("<Bdd")  # levels, least and greatest value; then the lengths of the levels, and their values
_WORD = 2**64 - 1


class Kll(Sketch):
    """Quantiles of any numbers from a few hundred of them, within a stated share of all ranks.

    A rank is off by at most `rank_error` of the count in 99 of 100 sketches: 1.33 % for k = 200, which keeps about 600
    values (5 KB) however many come. Up to k values, and at both extremes, it is exact. Rank q means the smallest value
    with at least q of all values at or below it. Infinities have their rank; NaN is refused with ValueError; whole
    numbers beyond 2^53 are rounded.

    The coins of the paper come from the seed and from the values tossed for: the same batches in the same order give
    the same bytes in every process, and shards with one seed still err independently. Another order or another tree of
    merges gives other bytes within the same bound.

    >>> latencies = Kll(k=200)
    >>> latencies.add_many(range(100_000))
    >>> abs(latencies.quantile(0.5).value - 50_000) < 1_330
    True
    >>> latencies.quantile(1.0).value
    99999.0
    """

    KIND = "kll"

    def __init__(self, k: int = 200, seed: int = 0) -> None:
        if not _LEAST <= k <= 65_535:
            raise ValueError(f"k must be from {_LEAST} to 65535 values, got {k}; 200 errs by 1.33 % of the ranks")
        if not 0 <= seed <= _WORD:
            raise ValueError(f"seed must be from 0 to 2^64 - 1, got {seed}")
        self._k = k
        self._seed = seed
        self._levels: list[NDArray[np.float64]] = [np.zeros(0)]  # a value in level h stands for 2^h
        self._min = math.inf
        self._max = -math.inf

    @classmethod
    def for_error(cls, error: float, confidence: float = _CONFIDENCE, seed: int = 0) -> Self:
        """The smallest sketch whose ranks are off by at most `error` of the count, with this confidence."""
        if not (0.0 < error < 1.0 and 0.0 < confidence < 1.0):
            raise ValueError(
                f"error and confidence must lie between 0 and 1, got {error} and {confidence}; use 0.01 and 0.99"
            )
        at_99 = error * _spread(_CONFIDENCE) / _spread(confidence)
        return cls(max(_LEAST, math.ceil((2.296 / at_99) ** (1 / 0.9723))), seed)

    @property
    def parameters(self) -> Parameters:
        return {"k": self._k, "seed": self._seed}

    @property
    def count(self) -> int:
        """How many values."""
        return sum(level.size << height for height, level in enumerate(self._levels))

    @property
    def rank_error(self) -> float:
        """How far a rank may be off, as a share of the count, in 99 of 100 sketches; 0 while every value is kept."""
        return 2.296 / self._k**0.9723 if len(self._levels) > 1 else 0.0

    def quantile(self, q: float) -> Estimate:
        """The value at rank q, from 0 to 1; raises ValueError where there is none."""
        place_of(q, self.count)
        return self.quantiles(q)[q]

    def quantiles(self, *qs: float) -> dict[float, Estimate]:
        """The values at several ranks, for the cost of one; none where there is no value."""
        count = self.count
        if not count:
            return {}
        if len(self._levels) == 1:  # every value is kept
            kept = np.sort(self._levels[0]).tolist()
            return {q: Estimate.exact(kept[place_of(q, count) - 1]) for q in qs}
        values = np.concatenate(self._levels)
        weights = np.repeat(1 << np.arange(len(self._levels)), [level.size for level in self._levels])
        order = values.argsort(kind="stable")
        values, ranks = values[order], weights[order].cumsum()
        margin = self.rank_error * count

        def at(place: float) -> float:
            """The smallest kept value that with those below it stands for as many values."""
            if place <= 1.0 or place >= count:
                return self._min if place <= 1.0 else self._max
            return float(values[ranks.searchsorted(place)])

        answers = {}
        for q in qs:
            place = place_of(q, count)
            low, value, high = at(place - margin), at(float(place)), at(place + margin)
            answers[q] = Estimate(value, low, high, _CONFIDENCE if low < high else 1.0)
        return answers

    def rank(self, x: float) -> Estimate:
        """How many values are at most x."""
        require_comparable(x)
        count = self.count
        if x < self._min or x >= self._max:
            return Estimate.exact(0 if x < self._min else count)
        found = sum(int(np.count_nonzero(level <= x)) << height for height, level in enumerate(self._levels))
        margin = self.rank_error * count
        return Estimate(found, max(found - margin, 0), min(found + margin, count), _CONFIDENCE if margin else 1.0)

    def add_many(self, values: Any) -> None:
        """Adds numbers; raises ValueError on null and NaN, and adds nothing then."""
        column = float_column(values)
        for start in range(0, column.size, _BLOCK):
            block = column[start : start + _BLOCK] + 0.0  # a copy, in which -0.0 is 0.0
            self._min, self._max = min(self._min, float(block.min())), max(self._max, float(block.max()))
            self._levels[0] = np.concatenate([self._levels[0], block])
            self._compress()

    def merge(self, other: Kll) -> None:
        """Adds all that other has seen; other stays as it is."""
        self._require_alike(other)
        pairs = zip_longest(self._levels, other._levels, fillvalue=np.zeros(0))
        self._levels = [np.concatenate(pair) for pair in pairs]
        self._min, self._max = min(self._min, other._min), max(self._max, other._max)
        self._compress()

    def memory(self) -> int:
        return 16 + sum(level.nbytes for level in self._levels)

    def to_datasketches(self) -> bytes:
        """An image of doubles for Apache DataSketches, Spark and others, which answer from it and merge it with theirs.

        They also merge sketches of unlike k, and then err as the smaller k does; ours refuse to. Spark reads it by the
        functions that end in _double; those for other types answer from it too, and wrongly.

        >>> sketch = Kll(k=100)
        >>> sketch.add_many(range(5000))
        >>> Kll.from_datasketches(sketch.to_datasketches()) == sketch
        True
        """
        return kll_images.to_datasketches(KllImage(self._k, self._min, self._max, self._levels))

    @classmethod
    def from_datasketches(cls, data: bytes, *, items: str = "doubles", seed: int = 0) -> Self:
        """The sketch in an image of Apache DataSketches; raises ValueError for anything else.

        The image does not say what it holds: `items` does, doubles, floats, longs or ints. One that has taken in a
        sketch of a smaller k comes as a sketch of that k, since it errs as such. `seed` is for coins yet to be tossed.
        """
        image = kll_images.from_datasketches(data, items)
        sketch = cls(image.k, seed)
        sketch._levels, sketch._min, sketch._max = image.levels, image.least, image.greatest
        sketch._compress()
        return sketch

    def _compress(self) -> None:
        """Compacts the lowest overfull level, until all fit together."""
        while True:
            capacities = _capacities(self._k, len(self._levels))
            if sum(level.size for level in self._levels) <= sum(capacities):
                return
            overfull = (level.size > capacity for level, capacity in zip(self._levels, capacities, strict=True))
            self._compact(next(height for height, over in enumerate(overfull) if over))

    def _compact(self, height: int) -> None:
        """Every other value of a level goes up and stands for two; which ones, a coin decides."""
        # Above the ground, levels are made of a few sorted runs, which a stable sort only merges.
        level = np.sort(self._levels[height], kind="stable" if height else None)
        pairs = level.size // 2 * 2
        if height + 1 == len(self._levels):
            self._levels.append(np.zeros(0))
        self._levels[height + 1] = np.concatenate(
            [self._levels[height + 1], level[self._coin(level, height) : pairs : 2]]
        )
        self._levels[height] = level[pairs:].copy()

    def _coin(self, level: NDArray[np.float64], height: int) -> int:
        """Heads or tails, by the finaliser of SplitMix64 over the seed and the values."""
        word = self._seed + int(level.view(np.uint64).sum()) + (height + 1) * 0x9E3779B97F4A7C15 & _WORD
        word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
        word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
        return (word ^ word >> 31) & 1

    def _payload(self) -> bytes:
        lengths = np.array([level.size for level in self._levels], "<u4")
        values = np.concatenate([np.sort(level) for level in self._levels]).astype("<f8")
        return _HEADER.pack(lengths.size, self._min, self._max) + lengths.tobytes() + values.tobytes()

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        sketch = cls(int(parameters["k"]), int(parameters["seed"]))
        height, sketch._min, sketch._max = _HEADER.unpack_from(payload)
        if not 1 <= height <= 60:
            raise ValueError(f"a sketch must have from 1 to 60 levels, got {height}")
        lengths = np.frombuffer(payload, "<u4", height, _HEADER.size).astype(np.int64)
        if len(payload) != _HEADER.size + 4 * height + 8 * lengths.sum():
            raise ValueError(f"{lengths.sum()} values in {height} levels must not be cut or extended")
        values = np.frombuffer(payload, "<f8", offset=_HEADER.size + 4 * height).astype(np.float64)
        sketch._levels = np.split(values, lengths.cumsum()[:-1])
        if values.size and not (sketch._min <= values.min() and values.max() <= sketch._max):
            raise ValueError(f"values must lie between their extremes, {sketch._min} and {sketch._max}")
        if sketch.count >= 2**63:
            raise ValueError("a sketch must hold fewer than 2^63 values")
        return sketch


@lru_cache
def _capacities(k: int, levels: int) -> tuple[int, ...]:
    """How many values each level may hold: k the highest, and 2/3 of it each one below, rounded up."""
    depths = range(levels - 1, -1, -1)
    return tuple(max(_LEAST, -(-k * 2**depth // 3**depth)) for depth in depths)


def _spread(confidence: float) -> float:
    """Standard deviations of a normal error that hold it on both sides."""
    return NormalDist().inv_cdf((1.0 + confidence) / 2.0)

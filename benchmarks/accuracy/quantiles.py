"""Which value at rank q: three sketches of order, and DataSketches' KLL on the same values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from typing import Any

import numpy as np
from datasketches import kll_doubles_sketch

from benchmarks.accuracy.study import Column, Reading, Study, parts
from transforms.sketches import DyadicQuantiles, Kll, LogHistogram

_K = 200
_SHARDS = 16
_CELLS = 60_000  # a minute in milliseconds
_ASKED = np.arange(1, 20) / 20


def _kll(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for ranks of evenly spread values, of one sketch and of sixteen merged."""
    values = chance.random(sizes[-1])
    ours, theirs = Kll(_K), kll_doubles_sketch(_K)
    for n, part in parts(values, sizes):
        ours.add_many(part)
        theirs.update(part)
        shards = np.array_split(values[:n], _SHARDS)
        merged = reduce(_merged, [_filled(Kll(_K), Kll.add_many, shard) for shard in shards])
        their_shards = [_filled(kll_doubles_sketch(_K), kll_doubles_sketch.update, shard) for shard in shards]
        theirs_merged = reduce(_merged, their_shards)
        truth = np.searchsorted(np.sort(values[:n]), _ASKED, "right") / n
        yield (
            n,
            {
                "ours": _our_ranks(ours, truth),
                "ours, 16 merged": _our_ranks(merged, truth),
                "DataSketches": _their_ranks(theirs, truth),
                "DataSketches, 16 merged": _their_ranks(theirs_merged, truth),
            },
        )


def _filled(sketch: Any, add: Callable[[Any, Column], None], values: Column) -> Any:
    add(sketch, values)
    return sketch


def _merged(left: Any, right: Any) -> Any:
    left.merge(right)
    return left


def _our_ranks(sketch: Kll | DyadicQuantiles, truth: Column, scale: float = 1.0) -> Reading:
    ranks = np.array([sketch.rank(float(x)).value for x in _ASKED * scale])
    return Reading(ranks / sketch.count - truth, sketch.memory(), len(sketch.to_bytes()))


def _their_ranks(sketch: kll_doubles_sketch, truth: Column) -> Reading:
    ranks = np.array([sketch.get_rank(float(x), True) for x in _ASKED])
    return Reading(ranks - truth, None, len(sketch.serialize()))


def _dyadic(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for ranks of whole numbers, evenly spread over the domain, so that most levels are crowded."""
    values = chance.integers(0, _CELLS, sizes[-1])
    ours = DyadicQuantiles(0, _CELLS)
    for n, part in parts(values, sizes):
        ours.add_many(part)
        truth = np.searchsorted(np.sort(values[:n]), _ASKED * _CELLS, "right") / n
        yield n, {"ours": _our_ranks(ours, truth, _CELLS)}


def _log_histogram(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Asks for quantiles of log-normal values, which span some eight powers of ten."""
    values = chance.lognormal(0.0, 2.0, sizes[-1])
    ours = LogHistogram(0.01)
    for n, part in parts(values, sizes):
        ours.add_many(part)
        truth = np.sort(values[:n])[np.ceil(_ASKED * n - 1e-9).astype(int) - 1]
        answers = np.array([ours.quantile(float(q)).value for q in _ASKED])
        yield n, {"ours": Reading(answers / truth - 1, ours.memory(), len(ours.to_bytes()))}


STUDIES = [
    Study("Kll", f"k = {_K}", "of a rank, of all values", _kll, 5 * 10**7, 500),
    Study(
        "DyadicQuantiles", f"{_CELLS:,} cells, epsilon = delta = 0.01", "of a rank, of all values", _dyadic, 10**7, 100
    ),
    Study("LogHistogram", "relative error 0.01", "of the value, relative", _log_histogram, 5 * 10**7, 300),
]

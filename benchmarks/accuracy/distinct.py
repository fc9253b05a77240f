"""How many different: HyperLogLog beside DataSketches' HLL_8, on the same registers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from datasketches import hll_sketch, hll_union, tgt_hll_type

from benchmarks.accuracy.study import Column, Reading, Study, parts
from transforms.sketches import DataSketchesHasher, HyperLogLog

_PRECISION = 12


def _trial(chance: np.random.Generator, sizes: tuple[int, ...]) -> Iterator[tuple[int, dict[str, Reading]]]:
    """Whole numbers of 64 bits; so few that are equal by chance that none is expected."""
    items = chance.integers(-(2**63), 2**63, sizes[-1])
    ours, alike = HyperLogLog(_PRECISION), HyperLogLog(_PRECISION, hasher=DataSketchesHasher())
    once, *halves = (hll_sketch(_PRECISION, tgt_hll_type.HLL_8) for _ in range(3))
    for n, part in parts(items, sizes):
        for sketch in (ours, alike):
            sketch.add_many(part)
        for half, theirs in zip((part, part[::2], part[1::2]), (once, *halves), strict=True):
            _update(theirs, half)
        union = hll_union(_PRECISION)
        for theirs in halves:
            union.update(theirs)
        united = union.get_result(tgt_hll_type.HLL_8)
        yield (
            n,
            {
                "ours": _ours(ours, n),
                "ours, hashed as DataSketches": _ours(alike, n),
                "DataSketches, after union": _theirs(united, n),
                "DataSketches, one pass (HIP)": _theirs(once, n),
            },
        )


def _update(sketch: hll_sketch, items: Column) -> None:
    for item in items.tolist():
        sketch.update(item)


def _ours(sketch: HyperLogLog, n: int) -> Reading:
    return Reading(np.array([sketch.estimate().value / n - 1]), sketch.memory(), len(sketch.to_bytes()))


def _theirs(sketch: hll_sketch, n: int) -> Reading:
    return Reading(np.array([sketch.get_estimate() / n - 1]), None, len(sketch.serialize_compact()))


STUDIES = [
    Study("HyperLogLog", f"precision {_PRECISION}", "of the count, relative", _trial),
]

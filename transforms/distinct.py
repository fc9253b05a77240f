"""How many different items: overall or for each key, in fixed memory, with a stated error."""

from __future__ import annotations

from functools import partial

from transforms.combining import Output, SketchCombineFn, globally, per_key, sketching
from transforms.sketches import DEFAULT, Estimate, Hasher
from transforms.sketches.hyperloglog import HyperLogLog
from transforms.sketches.question import Question


def distinct_count(
    error: float = 0.02, confidence: float = 0.95, *, hasher: Hasher = DEFAULT, output: Output = "answer"
) -> SketchCombineFn[HyperLogLog, Estimate]:
    """Items of any kind that hashes -> Estimate of how many are different, within a relative error, or the HyperLogLog.

    Small counts are exact. Raises ValueError for an error that no HyperLogLog reaches.
    """
    make = partial(HyperLogLog.for_error, error, confidence, hasher=hasher)
    return sketching(make, Question("estimate", (confidence,)), output)


class Distinct:
    """How many different items a collection holds, as `beam.combiners.Count` says how many in all."""

    Globally = staticmethod(globally(distinct_count))
    PerKey = staticmethod(per_key(distinct_count))

"""How often each item occurs: exactly where there are few different ones, by a Count-Min where there are many."""

from __future__ import annotations

from functools import partial
from typing import Any

import apache_beam as beam

from transforms.combining import Output, SketchCombineFn, globally, per_key, sketching
from transforms.sketches import DEFAULT, Estimate, Hasher
from transforms.sketches.count_min import CountMin


class Frequencies(beam.PTransform):
    """Counts each value, exactly: PCollection[T] -> PCollection[dict[T, int]], one dict, empty where nothing came."""

    def expand(self, values: beam.PCollection) -> beam.PCollection:
        return values | "Count" >> beam.combiners.Count.PerElement() | "Gather" >> beam.combiners.ToDict()


def frequency(
    *items: Any, error: float = 0.001, confidence: float = 0.99, hasher: Hasher = DEFAULT, output: Output = "answer"
) -> SketchCombineFn[CountMin, dict[Any, Estimate]]:
    """Items of any kind that hashes -> {item: Estimate of its count} for the items named, or the CountMin.

    A count is never too low, and too high by at most `error` of all counts at that confidence. Ask for the sketch
    where the items are not known beforehand: `count(item)` answers for any of them later.
    """
    make = partial(CountMin.for_error, error, confidence, hasher=hasher)
    return sketching(make, partial(_counts, items=items), output)


class Frequency:
    """How often items occur in a collection."""

    Globally = staticmethod(globally(frequency))
    PerKey = staticmethod(per_key(frequency))


def _counts(sketch: CountMin, items: tuple[Any, ...]) -> dict[Any, Estimate]:
    return {item: sketch.count(item) for item in items}

"""How often each value occurs, exactly: for few different values; a sketch serves where there are many."""

from __future__ import annotations

import apache_beam as beam


class Frequencies(beam.PTransform):
    """Counts each value: PCollection[T] -> PCollection[dict[T, int]], one dict, empty where nothing came."""

    def expand(self, values: beam.PCollection) -> beam.PCollection:
        return values | "Count" >> beam.combiners.Count.PerElement() | "Gather" >> beam.combiners.ToDict()

"""Which fields are missing, and in how many rows: a field that no row has is most likely misspelt."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import apache_beam as beam
import pyarrow as pa

from transforms.schemas import register


@register
@dataclass(frozen=True, slots=True)
class FieldCount:
    """In how many of `rows` a field was missing, or null."""

    field: str
    rows: int
    missing: int


class CountMissing(beam.PTransform):
    """Counts the rows without a value, of each column: PCollection[RecordBatch] -> PCollection[FieldCount]."""

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        return (
            batches
            | "CountNulls" >> beam.FlatMap(_nulls).with_output_types(tuple[str, tuple[int, int]])
            | "Sum" >> beam.CombinePerKey(beam.combiners.TupleCombineFn(sum, sum))
            | "Describe" >> beam.MapTuple(_described).with_output_types(FieldCount)
        )


def _nulls(batch: pa.RecordBatch) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        yield name, (batch.num_rows, column.null_count)


def _described(field: str, counts: tuple[int, int]) -> FieldCount:
    return FieldCount(field, *counts)

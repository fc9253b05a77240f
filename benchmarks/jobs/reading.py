"""Batches of events out of a Parquet file, as a Beam source."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq

_ROWS = 65_536


class ReadBatches(beam.PTransform):
    """Batches of some columns: the first `events` rows of a file."""

    def __init__(self, path: Path, columns: Sequence[str], events: int) -> None:
        super().__init__()
        self._path = path
        self._columns = list(columns)
        self._events = events

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        return pipeline | beam.Create([str(self._path)]) | beam.FlatMap(self._read).with_output_types(pa.RecordBatch)

    def _read(self, path: str) -> Iterator[pa.RecordBatch]:
        left = self._events
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_ROWS, columns=self._columns):
                if left <= 0:
                    return
                yield batch.slice(0, left)
                left -= batch.num_rows

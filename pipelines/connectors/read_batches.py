"""Reads Arrow batches of some columns out of any files: Parquet as it lies there, of all else some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput

from pipelines.connectors import read_files
from pipelines.connectors.bounds import open_parquet
from pipelines.connectors.decoding import Row, Split, decode_batch, describe
from pipelines.connectors.fields import require_fields
from pipelines.connectors.formats import suffix_of
from transforms.formatting import to_json
from transforms.progress import advance
from transforms.schemas import Reject
from transforms.tables import Field, columns_of

_ROWS = 65_536
_ROWS_DECODED = 10_000  # that become a batch together,
_BYTES_DECODED = 8 * 2**20  # unless they are long


class ReadBatches(beam.PTransform):
    """Batches of the columns of `fields`: `.records`, `.rejects`, `.read`, as `read` gives them of records.

    A row that does not fit is a reject. Of Parquet a whole file whose columns do not fit is one; ValueError where they
    do not fit in the first file with a schema.
    """

    def __init__(self, uri: str, fields: Sequence[Field]) -> None:
        super().__init__()
        self._splits = read_files.find_splits(uri)
        self._fields = list(fields)
        require_fields(self._splits, self._fields)

    def expand(self, pipeline: beam.Pipeline) -> beam.pvalue.DoOutputsTuple:
        return (
            pipeline
            | "Splits" >> beam.Create(self._splits)
            | "Spread" >> beam.Reshuffle()
            | "ReadBatches"
            >> beam.ParDo(_ReadBatches(self._fields))
            .with_output_types(pa.RecordBatch, rejects=Reject, read=int)
            .with_outputs("rejects", "read", main="records")
        )


class _ReadBatches(beam.DoFn):
    def __init__(self, fields: list[Field]) -> None:
        self._fields = fields

    def process(self, split: Split) -> Iterator[Any]:
        return self._parquet(split) if suffix_of(split.source) == ".parquet" else self._rows(split)

    def _rows(self, split: Split) -> Iterator[Any]:
        waiting: list[Row] = []
        position, size, read = split.start, 0, 0
        try:
            for position, payload in read_files.rows_of(split):
                waiting.append(Row(payload, split.source, position))
                size += len(payload)
                read += 1
                if len(waiting) == _ROWS_DECODED or size > _BYTES_DECODED:
                    yield from self._decoded(waiting)
                    waiting, size = [], 0
        except Exception as error:  # noqa: BLE001  whatever a damaged file makes a library raise
            problem = f"cannot be read beyond this point: {describe(error)}"
            yield TaggedOutput("rejects", Reject(b"", "Read", problem, split.source, position))
            read += 1
        yield from self._decoded(waiting)
        yield TaggedOutput("read", read)

    def _decoded(self, rows: list[Row]) -> Iterator[Any]:
        batch, rejects = decode_batch(rows, self._fields)
        advance("Read", len(rows))
        if batch.num_rows:
            yield batch
        for reject in rejects:
            yield TaggedOutput("rejects", reject)

    def _parquet(self, split: Split) -> Iterator[Any]:
        position = read = 0
        try:
            with FileSystems.open(split.source, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
                file = open_parquet(stream)
                needed = {name for field in self._fields for name in (field.path, field.path.split(".")[0])}
                columns = [name for name in file.schema_arrow.names if name in needed]
                for batch in file.iter_batches(_ROWS, columns=columns):
                    kept, left_out = columns_of(batch, self._fields)
                    yield kept
                    for row in left_out:
                        raw = to_json(batch.slice(row, 1).to_pylist()[0])
                        problem = "a row must have a time, and this one has none"
                        yield TaggedOutput("rejects", Reject(raw, "Read", problem, split.source, position + row))
                    position += batch.num_rows
                    read += batch.num_rows
                    advance("Read", batch.num_rows)
        except Exception as error:  # noqa: BLE001  whatever a damaged file makes a library raise
            problem = f"cannot be read beyond this point: {describe(error)}"
            yield TaggedOutput("rejects", Reject(b"", "Read", problem, split.source, position))
            read += 1
        yield TaggedOutput("read", read)

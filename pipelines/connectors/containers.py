"""Files that hold typed rows and their schema: Avro and Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.connectors.avro_blocks import read_rows
from pipelines.connectors.bounds import open_parquet
from transforms.schemas import RecordCoder, arrow_schema, avro_schema, is_record_type, to_row

_ROWS_A_BLOCK = 1000
SYNC_MARKER = b"streamsketch:avr"  # fixed, so that the same records make the same file


class _Typed:
    """What both have in common: they write records of one type, and a position is the number of a row."""

    splittable = False

    def __init__(self, element_type: Any = None) -> None:
        self._element_type = element_type

    @property
    def _record_type(self) -> Any:
        if not is_record_type(self._element_type):
            raise ValueError(
                f"{type(self).__name__} files need records with a schema, got elements of {self._element_type}: "
                "write them as .jsonl, or give the step before an output type that is a record"
            )
        return self._element_type

    def encode(self, element: Any) -> bytes:
        return RecordCoder(self._record_type).encode(element)

    def _decode(self, rows: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        coder = RecordCoder(self._record_type)
        return (to_row(coder.decode(row)) for row in rows)


class Avro(_Typed):
    """Avro object container files, deflated."""

    def read(self, stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
        del start, end
        for position, row in enumerate(read_rows(stream)):
            if not isinstance(row, dict):
                raise ValueError(f"expected an Avro file of records, got one of {type(row).__name__}")
            yield position, row

    def write(self, stream: BinaryIO, rows: Iterable[bytes]) -> None:
        schema = avro_schema(self._record_type)
        fastavro.writer(stream, schema, self._decode(rows), codec="deflate", sync_marker=SYNC_MARKER)


class Parquet(_Typed):
    """Parquet files, with Zstandard."""

    def read(self, stream: BinaryIO, start: int, end: int | None) -> Iterator[tuple[int, Mapping[str, Any]]]:
        del start, end
        position = 0
        for batch in open_parquet(stream).iter_batches(batch_size=_ROWS_A_BLOCK):
            for row in batch.to_pylist():
                yield position, row
                position += 1

    def write(self, stream: BinaryIO, rows: Iterable[bytes]) -> None:
        table = pa.Table.from_pylist(list(self._decode(rows)), schema=arrow_schema(self._record_type))
        pq.write_table(table, stream, compression="zstd")

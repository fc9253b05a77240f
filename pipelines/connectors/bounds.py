"""How much larger than itself a file may become: what goes beyond that is a bomb, or is read as one."""

from __future__ import annotations

import gzip
import io
from typing import Any, BinaryIO

import pyarrow.parquet as pq

_TIMES = 250  # logs are seldom more than a hundred times as large as their gzip
_ANYWAY = 64 * 2**20  # bytes that whatever may become
_ROWS_ANYWAY = 1_000_000
_ROWS_A_BYTE = 100


def _require(what: str, became: int, size: int) -> None:
    if became > max(_ANYWAY, _TIMES * size):
        raise ValueError(
            f"{what} must not become more than {_TIMES} times its size, got {became:,} bytes of {size:,}: "
            "where that is right, decompress it before"
        )


class Gunzipped(io.RawIOBase):
    """What a gzip stream holds; raises ValueError where that is out of all proportion."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__()
        self._stream = stream
        self._content = gzip.GzipFile(fileobj=stream)
        self._became = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        size = self._content.readinto(buffer)
        self._became += size
        if self._became > _ANYWAY:
            _require("a gzip file", self._became, self._stream.tell())
        return size


def open_parquet(stream: BinaryIO) -> pq.ParquetFile:
    """A Parquet file; raises ValueError where its rows or columns are out of all proportion."""
    size = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    file = pq.ParquetFile(stream)
    about = file.metadata
    if about.num_rows > max(_ROWS_ANYWAY, _ROWS_A_BYTE * size):
        raise ValueError(
            f"a file of {size:,} bytes must have {_ROWS_A_BYTE} rows a byte at most, got {about.num_rows:,}"
        )
    for group in map(about.row_group, range(about.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            _require(
                f"the column {column.path_in_schema}", column.total_uncompressed_size, column.total_compressed_size
            )
    return file

"""Answers into a folder of Parquet files, as a Beam sink."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq


class WriteRows(beam.DoFn):
    """Rows of answers, as tuples; a file for each bundle. Columns named `start` are the windows', not the rows'."""

    def __init__(self, folder: Path, columns: Sequence[str]) -> None:
        self._folder = folder
        self._columns = list(columns)

    def start_bundle(self) -> None:
        self._rows: list[tuple[Any, ...]] = []

    def process(self, row: tuple[Any, ...], window: Any = beam.DoFn.WindowParam) -> None:
        self._rows.append((window.start.micros, *row) if self._columns[0] == "start" else row)

    def finish_bundle(self) -> None:
        if self._rows:
            columns = [pa.array(column) for column in zip(*self._rows, strict=True)]
            self._folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table(columns, self._columns), self._folder / f"{uuid.uuid4()}.parquet")


class WriteBatches(beam.DoFn):
    """Batches of answers; a file for each bundle."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def start_bundle(self) -> None:
        self._batches: list[pa.RecordBatch] = []

    def process(self, batch: pa.RecordBatch) -> None:
        self._batches.append(batch)

    def finish_bundle(self) -> None:
        if self._batches:
            self._folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.Table.from_batches(self._batches), self._folder / f"{uuid.uuid4()}.parquet")

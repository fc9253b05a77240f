"""The events: one Parquet file, made once, the same for everyone who makes it.

| column | type | what it holds |
|---|---|---|
| time | timestamp[us, UTC] | event time, over ten minutes; rows come in order of arrival, up to two seconds later |
| key, many | int64 | one of 10, and one of 10,000 |
| uneven | int64 | one of 10,000, of which one comes half of the time |
| user | int64 | one of a million |
| word | string | one of 200,000, as frequent as Zipf says (exponent 1.1) |
| latency | float64 | log-normal, median 20 |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

START = 1_772_366_400_000_000  # 2026-03-01 12:00 UTC, in microseconds
_SPAN = 600_000_000
_DELAY = 2_000_000
_WORDS = 200_000
_ROW_GROUP = 1_000_000


def events_file(folder: Path, events: int) -> Path:
    """The file of so many events, which is made where it is not there yet."""
    path = folder / f"events-{events}.parquet"
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        with pq.ParquetWriter(unfinished, _rows(0, 0, events).schema) as writer:
            for first in range(0, events, _ROW_GROUP):
                writer.write_batch(_rows(first, min(_ROW_GROUP, events - first), events))
        unfinished.rename(path)
    return path


def _rows(first: int, number: int, events: int) -> pa.RecordBatch:
    """Some of the rows; each row group has a generator of its own."""
    chance = np.random.default_rng([1, first])
    arrival = (first + np.sort(chance.random(number)) * number) / events * _SPAN
    times = START + np.maximum(arrival - chance.random(number) * _DELAY, 0).astype(np.int64)
    weights = np.cumsum(np.arange(1, _WORDS + 1) ** -1.1)
    ranks = np.searchsorted(weights, chance.random(number) * weights[-1])
    return pa.record_batch(
        {
            "time": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
            "key": chance.integers(0, 10, number),
            "many": chance.integers(0, 10_000, number),
            "uneven": np.where(chance.random(number) < 0.5, 0, chance.integers(1, 10_000, number)),
            "user": chance.integers(0, 1_000_000, number),
            "word": pa.array([f"word{rank}" for rank in ranks.tolist()], pa.string()),
            "latency": chance.lognormal(3.0, 1.0, number),
        }
    )

"""Every pipeline's last lines: its rejects and its ledger are written beside its results, and read back at the end.

A ledger is JSON: a line for all records, and where a pipeline counts by window, a line for each window in order of
time, with `window_start` and `window_end`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from rich.console import Console

from pipelines.connectors import write
from pipelines.options import JobOptions
from pipelines.results import table
from transforms.accounting import Account, AccountByWindow, CountWritten, Ledger, WindowLedger
from transforms.schemas import micros

_SHOWN = 10  # windows at most


def write_ledger(
    options: JobOptions,
    source: beam.pvalue.DoOutputsTuple,
    windows: Mapping[str, beam.PCollection] | None = None,
    **counts: beam.PCollection,
) -> None:
    """Writes the rejects of a source, and the ledger of what it read.

    `counts` say where the rest went, as ints. `windows` say the same as Tallies, what was read as well; records whose
    event time could not be read are in no window.
    """
    rejects = source.rejects | "WriteRejects" >> write(options.rejects)
    counts |= {"read": source.read, "rejected": rejects | "CountRejects" >> CountWritten()}
    ledgers = counts | "Account" >> Account()
    if windows is not None:
        of_windows = windows | "AccountByWindow" >> AccountByWindow()
        ledgers = (ledgers, of_windows) | "WithWindows" >> beam.Flatten() | "Line" >> beam.Map(_line)
    _ = ledgers | "WriteLedger" >> write(options.ledger)


def _line(ledger: Ledger) -> TimestampedValue:
    """A ledger as JSON has it, at the time that puts it into its place: windows in order, after all records."""
    if not isinstance(ledger, WindowLedger):
        return TimestampedValue(ledger.counts(), MIN_TIMESTAMP)
    start = ledger.window_start
    bounds = {"window_start": start, "window_end": ledger.window_end}
    return TimestampedValue(bounds | ledger.counts(), Timestamp(micros=micros(start)) if start else MIN_TIMESTAMP)


def read_ledger(path: str) -> tuple[Ledger, list[WindowLedger]]:
    """What `write_ledger` wrote to a file: the ledger of all records, and those of windows."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        in_all, *windows = map(orjson.loads, stream.read().splitlines())
    return Ledger(**in_all), [WindowLedger(**row | {name: _time(row[name]) for name in _BOUNDS}) for row in windows]


_BOUNDS = ("window_start", "window_end")


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def show_windows(name: str, windows: list[WindowLedger], path: str, console: Console) -> None:
    """A table of the windows of which not all records were used; the file at `path` has them all."""
    telling = [window for window in windows if window.read != window.used]
    if not telling:
        return
    more = f"; the last {_SHOWN}, all are in {path}" if len(telling) > _SHOWN else ""
    say = f"{name}: {len(telling):,} of {len(windows):,} windows did not use all that they read{more}"
    console.print(say, highlight=False, soft_wrap=True)
    counts = [count for count in Ledger().counts() if any(getattr(window, count) for window in telling)]
    rows: list[tuple[Any, ...]] = [
        (
            f"{window.window_start:%Y-%m-%d %H:%M:%S}" if window.window_start else "all",
            *map(window.counts().get, counts),
        )
        for window in telling[-_SHOWN:]
    ]
    console.print(table("", "from (UTC)", *counts, rows=rows))

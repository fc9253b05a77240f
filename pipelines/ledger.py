"""Every pipeline's last lines: its rejects and its ledger are written beside its results, and read back at the end.

A ledger is JSON: a line for all records, and where a pipeline counts by window, a line for each window in order of
time, with `window_start` and `window_end`. That of a stream grows while it runs: it is a directory, of which the lines
for all records, and for one window, are pieces to be summed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import orjson
import pyarrow as pa
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import MIN_TIMESTAMP, Timestamp
from rich.console import Console

from pipelines.connectors import write
from pipelines.connectors.read_files import matches
from pipelines.options import JobOptions
from pipelines.results import table
from transforms.accounting import Account, AccountByWindow, CountWritten, Ledger, WindowLedger
from transforms.schemas import micros, to_row
from transforms.tallies import Aside, Tally
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import Calendar, Fixed, Sliding, Window

_SHOWN = 10  # windows at most


def write_ledger(
    options: JobOptions,
    source: beam.pvalue.DoOutputsTuple,
    windows: Mapping[str, beam.PCollection] | None = None,
    policy: WindowPolicy | None = None,
    **counts: beam.PCollection,
) -> None:
    """Writes the rejects of a source, and the ledger of what it read.

    `windows` say as Tallies where records went, and what was read as well; records whose event time could not be read
    are in no window. `counts` say it as ints; what they leave out is the sum of the tallies. Over a stream, `policy`
    is that of the windows: their ledgers are written when they are.
    """
    told = None if source.read.is_bounded else told_with(policy)
    rejects = source.rejects
    if told:
        rejects = rejects | "RejectsTold" >> ApplyWindow(told)
    rejects = rejects | "WriteRejects" >> write(options.rejects, once=False)
    for name, tallies in (windows or {}).items():
        if name not in {"read", *counts}:
            counts[name] = tallies | f"All{name.capitalize()}" >> beam.Map(_records).with_output_types(int)
    if told:  # systems deliver again
        again = [source.duplicates, *([counts["duplicate"]] if "duplicate" in counts else [])]
        counts["duplicate"] = again | "Duplicates" >> beam.Flatten()
    counts |= {"read": source.read, "rejected": rejects | "CountRejects" >> CountWritten()}
    ledgers = counts | "Account" >> Account(told)
    if windows is not None:
        of_windows = windows | "AccountByWindow" >> AccountByWindow(told)
        if told:
            _ = of_windows | "LineOfWindow" >> beam.Map(_row) | "WriteWindows" >> write(options.ledger)
        else:
            ledgers = (ledgers, of_windows) | "WithWindows" >> beam.Flatten() | "Line" >> beam.Map(_line)
    if told:
        ledgers = ledgers | "LineOfAll" >> beam.Map(_row)
    _ = ledgers | "WriteLedger" >> write(options.ledger, once=False)


def write_aside(name: str, uri: str, aside: beam.PCollection, policy: WindowPolicy) -> None:
    """Writes what a Gate put aside, with the windows that it missed, when the ledgers that count it are written."""
    describe = beam.FlatMap(_rows) if aside.element_type == pa.RecordBatch else beam.Map(_describe)
    rows = aside | f"Describe{name}" >> describe.with_output_types(dict[str, Any])
    _ = rows | f"{name}Told" >> ApplyWindow(told_with(policy)) | f"Write{name}" >> write(uri)


def _rows(aside: pa.RecordBatch) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = aside.to_pylist()
    return rows


def _describe(aside: tuple[Any, Aside]) -> dict[str, Any]:
    record, why = aside
    return {**to_row(record), **to_row(why)}


def told_with(policy: WindowPolicy | None) -> WindowPolicy:
    """When ledgers over a stream are told: when a window is, or each minute where nobody knows when that will be."""
    policy = policy or WindowPolicy()
    match policy.window:
        case Fixed() | Calendar() as window:
            told: Window = window
        case Sliding(_, period):
            told = Fixed(period)
        case _:
            told = Fixed(60)
    return WindowPolicy(told, allowed_lateness=policy.allowed_lateness)


def _records(tally: Tally) -> int:
    return tally.records


def _line(ledger: Ledger) -> TimestampedValue:
    """A ledger as JSON has it, at the time that puts it into its place: windows in order, after all records."""
    start = ledger.window_start if isinstance(ledger, WindowLedger) else None
    return TimestampedValue(_row(ledger), Timestamp(micros=micros(start)) if start else MIN_TIMESTAMP)


def _row(ledger: Ledger) -> dict[str, Any]:
    if not isinstance(ledger, WindowLedger):
        return ledger.counts()
    return {"window_start": ledger.window_start, "window_end": ledger.window_end} | ledger.counts()


def read_ledger(path: str, *before: str) -> tuple[Ledger, list[WindowLedger]]:
    """What `write_ledger` wrote, pieces summed: the ledger of all records, and those of windows in order of time.

    Where a run went on with the windows of others, the ledgers of the runs before have windows, too.
    """
    in_all = Ledger()
    windows: dict[tuple[datetime | None, datetime | None], Ledger] = {}
    for place in (*before, path):
        for row in read_rows(place):
            if "window_start" in row:
                bounds = _time(row.pop("window_start")), _time(row.pop("window_end"))
                windows[bounds] = windows.get(bounds, Ledger()) + Ledger(**row)
            elif place == path:
                in_all += Ledger(**row)
    ordered = sorted(windows.items(), key=lambda window: window[0][0] or _FIRST)
    return in_all, [
        WindowLedger(**ledger.counts(), window_start=start, window_end=end) for (start, end), ledger in ordered
    ]


def read_rows(path: str) -> Iterator[dict[str, Any]]:
    """The lines of a file of JSON, or of all files of a directory."""
    files = matches(path)
    if not files and not path.endswith("/"):  # a stream that ends before its first record leaves no piece
        raise FileNotFoundError(f"there is no ledger {path!r}")
    for file in files:
        with FileSystems.open(file.path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
            yield from map(orjson.loads, stream.read().splitlines())


_FIRST = datetime.min.replace(tzinfo=UTC)


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

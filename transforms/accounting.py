"""The ledger: what came in is what was used, filtered, rejected or put aside, in all and for each window.

Beam's metrics repeat after a replay; these counts are data like any other, so they are right on every runner.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from functools import reduce
from operator import add

import apache_beam as beam
import pyarrow as pa

from transforms.schemas import RecordCoder, WrittenFile, register
from transforms.tallies import Tally, bound_of
from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy
from transforms.windows import AllTime

_LOGGER = logging.getLogger(__name__)


@register
@dataclass(frozen=True, slots=True)
class Ledger:
    """Where every input record went: read = used + filtered + rejected + late + future + duplicate.

    >>> print(Ledger(read=10, used=7, filtered=2, rejected=1))
    10 read = 7 used + 2 filtered + 1 rejected
    >>> print(Ledger(read=10, used=7) + Ledger(used=2))
    10 read, but 9 used: 1 MISSING
    """

    read: int = 0
    used: int = 0
    filtered: int = 0
    rejected: int = 0
    late: int = 0
    future: int = 0
    duplicate: int = 0

    @property
    def missing(self) -> int:
        """Records that came in and are nowhere; negative where some were counted twice. Anything but 0 is a fault."""
        return self.read - sum(count for name, count in self.counts().items() if name != "read")

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        return {name: getattr(self, name) for name in _COUNTS}

    def __add__(self, other: Ledger) -> Ledger:
        return Ledger(**{name: count + getattr(other, name) for name, count in self.counts().items()})

    def __str__(self) -> str:
        went = " + ".join(f"{n:,} {name}" for name, n in self.counts().items() if n and name != "read") or "0 used"
        if not self.missing:
            return f"{self.read:,} read = {went}"
        return f"{self.read:,} read, but {went}: {abs(self.missing):,} {'MISSING' if self.missing > 0 else 'TOO MANY'}"


_COUNTS = tuple(field.name for field in fields(Ledger))


@register
@dataclass(frozen=True, slots=True)
class WindowLedger(Ledger):
    """The ledger of the records whose event times lie in one window; without bounds where time is not cut."""

    window_start: datetime | None = None
    window_end: datetime | None = None


class CountRecords(beam.PTransform):
    """How many records a collection holds, for Account: PCollection[T] -> PCollection[int]."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return records | ForgetTime() | "Count" >> beam.combiners.Count.Globally()


class CountRows(beam.PTransform):
    """How many rows record batches hold, for Account: PCollection[RecordBatch] -> PCollection[int]."""

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        return batches | "Rows" >> beam.Map(_rows).with_output_types(int)


def _rows(batch: pa.RecordBatch) -> int:
    rows: int = batch.num_rows
    return rows


class CountWritten(beam.PTransform):
    """How many records each file of a sink holds, for Account: PCollection[WrittenFile] -> PCollection[int]."""

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return files | "Records" >> beam.Map(_records).with_output_types(int)


class Account(beam.PTransform):
    """Makes one Ledger of named counts: {"read": PCollection[int], "used": …} -> PCollection[Ledger].

    Counts may come in any number of pieces. A ledger that does not balance is logged as an error, on every runner. Over
    a stream there is a ledger for each window of `told` in which something was counted, as AccountByWindow has them,
    and their sum balances.
    """

    def __init__(self, told: WindowPolicy | None = None) -> None:
        super().__init__()
        self._told = told or WindowPolicy("all")

    def expand(self, counts: Mapping[str, beam.PCollection]) -> beam.PCollection:
        bounded = _ends_or_is_told(counts, self._told)
        named = [
            collection
            | f"{name.capitalize()}InAll" >> (ForgetTime() if bounded else ApplyWindow(self._told))
            | f"Name{name.capitalize()}" >> beam.Map(_in_all, name).with_output_types(Ledger)
            for name, collection in counts.items()
        ]
        add = beam.CombineGlobally(_AddLedgers())
        return (
            named
            | "Together" >> beam.Flatten()
            | "Sum" >> (add if bounded else add.without_defaults())
            | "Balance" >> beam.Map(_balance, bounded).with_output_types(Ledger)
        )


class AccountByWindow(beam.PTransform):
    """Makes a Ledger for each window of named tallies: {"read": PCollection[Tally], …} -> PCollection[WindowLedger].

    Over bounded input each window has one ledger, and one that does not balance is logged as an error. Over a stream
    it has a ledger for each window of `told` in which something was counted, and their sum is the window's: a record
    is read before it is used, and may be late long after its window is over. `told` must wait for late records at least
    as long as the windows of the records do.
    """

    def __init__(self, told: WindowPolicy | None = None) -> None:
        super().__init__()
        self._told = told or WindowPolicy("all")

    def expand(self, tallies: Mapping[str, beam.PCollection]) -> beam.PCollection:
        bounded = _ends_or_is_told(tallies, self._told)
        named = [
            collection
            | f"{name.capitalize()}Told" >> ApplyWindow(self._told)
            | f"Name{name.capitalize()}" >> beam.Map(_of_window, name).with_output_types(tuple[tuple[int, int], Ledger])
            for name, collection in tallies.items()
        ]
        return (
            named
            | "Together" >> beam.Flatten()
            | "Sum" >> beam.CombinePerKey(_AddLedgers())
            | "Balance" >> beam.Map(_window_ledger, bounded).with_output_types(WindowLedger)
        )


def _ends_or_is_told(counted: Mapping[str, beam.PCollection], told: WindowPolicy) -> bool:
    """Whether what is counted has an end; ValueError where it has none, and nothing says when a ledger is told."""
    bounded = all(collection.is_bounded for collection in counted.values())
    if not bounded and isinstance(told.window, AllTime):
        raise ValueError(
            "over a stream a ledger must say when it is told, got no `told` window: "
            "give one, for example told=WindowPolicy('1m', allowed_lateness='10m')"
        )
    return bounded


class _AddLedgers(beam.CombineFn):
    def create_accumulator(self) -> Ledger:
        return Ledger()

    def add_input(self, accumulator: Ledger, ledger: Ledger) -> Ledger:
        return accumulator + ledger

    def merge_accumulators(self, accumulators: Iterable[Ledger]) -> Ledger:
        return reduce(add, accumulators, Ledger())

    def extract_output(self, accumulator: Ledger) -> Ledger:
        return accumulator

    def get_accumulator_coder(self) -> beam.coders.Coder:
        return RecordCoder(Ledger)


def _records(file: WrittenFile) -> int:
    return file.records


def _in_all(count: int, name: str) -> Ledger:
    return Ledger(**{name: count})


def _of_window(tally: Tally, name: str) -> tuple[tuple[int, int], Ledger]:
    return (tally.start, tally.end), Ledger(**{name: tally.records})


def _window_ledger(of_window: tuple[tuple[int, int], Ledger], complete: bool) -> WindowLedger:
    bounds, ledger = of_window
    start, end = map(bound_of, bounds)
    if complete and ledger.missing:
        _LOGGER.error("the ledger of the window from %s to %s does not balance: %s", start, end, ledger)
    return WindowLedger(**ledger.counts(), window_start=start, window_end=end)


def _balance(ledger: Ledger, complete: bool) -> Ledger:
    if complete and ledger.missing:
        _LOGGER.error("the ledger does not balance: %s", ledger)
    return ledger

"""The ledger: what came in is what was used, filtered or rejected, counted in the data itself.

Beam's metrics repeat after a replay; these counts are data like any other, so they are right on every runner.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, fields

import apache_beam as beam

from transforms.schemas import WrittenFile, register
from transforms.windowing import ForgetTime

_LOGGER = logging.getLogger(__name__)


@register
@dataclass(frozen=True, slots=True)
class Ledger:
    """Where every input record went: read = used + filtered + rejected + late + future + duplicate.

    >>> print(Ledger(read=10, used=7, filtered=2, rejected=1))
    10 read = 7 used + 2 filtered + 1 rejected
    >>> print(Ledger(read=10, used=9))
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
        return self.read - sum(count for name, count in self._counts() if name != "read")

    def _counts(self) -> list[tuple[str, int]]:
        return [(field.name, getattr(self, field.name)) for field in fields(self)]

    def __str__(self) -> str:
        went = " + ".join(f"{count:,} {name}" for name, count in self._counts()[1:] if count) or "0 used"
        if not self.missing:
            return f"{self.read:,} read = {went}"
        return f"{self.read:,} read, but {went}: {abs(self.missing):,} {'MISSING' if self.missing > 0 else 'TOO MANY'}"


class CountRecords(beam.PTransform):
    """How many records a collection holds, for Account: PCollection[T] -> PCollection[int]."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return records | ForgetTime() | "Count" >> beam.combiners.Count.Globally()


class CountWritten(beam.PTransform):
    """How many records each file of a sink holds, for Account: PCollection[WrittenFile] -> PCollection[int]."""

    def expand(self, files: beam.PCollection) -> beam.PCollection:
        return files | "Records" >> beam.Map(_records).with_output_types(int)


class Account(beam.PTransform):
    """Makes one Ledger of named counts: {"read": PCollection[int], "used": …} -> PCollection[Ledger].

    Counts may come in any number of pieces. A ledger that does not balance is logged as an error, on every runner.
    """

    def expand(self, counts: Mapping[str, beam.PCollection]) -> beam.PCollection:
        named = [
            collection
            | f"{name.capitalize()}InAll" >> ForgetTime()
            | f"Name{name.capitalize()}" >> beam.Map(_named, name).with_output_types(tuple[str, int])
            for name, collection in counts.items()
        ]
        return (
            named
            | "Together" >> beam.Flatten()
            | "Sum" >> beam.CombinePerKey(sum)
            | "Gather" >> beam.combiners.ToDict()
            | "Balance" >> beam.Map(_balance).with_output_types(Ledger)
        )


def _records(file: WrittenFile) -> int:
    return file.records


def _named(count: int, name: str) -> tuple[str, int]:
    return name, count


def _balance(counts: dict[str, int]) -> Ledger:
    ledger = Ledger(**counts)
    if ledger.missing:
        _LOGGER.error("the ledger does not balance: %s", ledger)
    return ledger

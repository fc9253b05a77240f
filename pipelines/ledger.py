"""Every pipeline's last lines: its rejects and its ledger are written beside its results."""

from __future__ import annotations

import apache_beam as beam

from pipelines.connectors import write
from pipelines.options import JobOptions
from transforms.accounting import Account, CountWritten


def write_ledger(options: JobOptions, source: beam.pvalue.DoOutputsTuple, **counts: beam.PCollection) -> None:
    """Writes the rejects of a source, and the ledger of what it read; `counts` say where the rest went, as ints."""
    rejects = source.rejects | "WriteRejects" >> write(options.rejects)
    counts |= {"read": source.read, "rejected": rejects | "CountRejects" >> CountWritten()}
    _ = counts | "Account" >> Account() | "WriteLedger" >> write(options.ledger)

"""Fields without a value are never silent: counted beside the ledger, and told at the end with what may be meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import apache_beam as beam
from rich.console import Console

from pipelines.connectors import write
from pipelines.connectors.fields import advice
from pipelines.ledger import read_rows, told_with
from pipelines.results import share, table
from transforms.missing import CountMissing, FieldCount
from transforms.windowing import ApplyWindow, WindowPolicy


def fields_beside(ledger: str) -> str:
    """Where counts of fields go, beside a ledger.

    >>> fields_beside("a.ledger.json"), fields_beside("a.ledger/20260301T120000Z/"), fields_beside("stderr:")
    ('a.ledger.fields.jsonl', 'a.ledger/20260301T120000Z.fields/', 'stderr:')
    """
    if ledger.endswith(":"):
        return ledger
    if ledger.endswith("/"):
        return f"{ledger.rstrip('/')}.fields/"
    return f"{ledger.removesuffix('.json')}.fields.jsonl"


def write_fields(uri: str, rows: beam.PCollection, policy: WindowPolicy) -> None:
    """Counts in how many rows of batches each column has no value; over a stream, when windows of `policy` are told."""
    if not rows.is_bounded:
        rows = rows | "FieldsTold" >> ApplyWindow(told_with(policy))
    _ = rows | "CountMissing" >> CountMissing() | "WriteFields" >> write(uri)


def read_fields(uri: str) -> list[FieldCount]:
    """What `write_fields` wrote, pieces summed."""
    counts: dict[str, FieldCount] = {}
    for row in read_rows(uri):
        piece = FieldCount(**row)
        before = counts.get(piece.field, FieldCount(piece.field, 0, 0))
        counts[piece.field] = FieldCount(piece.field, before.rows + piece.rows, before.missing + piece.missing)
    return sorted(counts.values(), key=lambda of: of.field)


def tell_fields(name: str, counts: Iterable[FieldCount], known: Callable[[], list[str]], console: Console) -> None:
    """A table of the fields that lack values, and for each that nobody has, what of the `known` ones may be meant."""
    missing = [of for of in counts if of.missing]
    if missing:
        rows = [(of.field, of.missing, share(of.missing, of.rows)) for of in missing]
        console.print(table("Fields without a value", "field", "rows", "share", rows=rows))
    for of in missing:
        if of.missing == of.rows:
            say = f"{name}: no row has a field {of.field}; {advice(of.field, known())}"
            console.print(say, highlight=False, soft_wrap=True)

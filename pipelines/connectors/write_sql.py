"""Writes records into a table of SQLite or PostgreSQL, each as one row however often it comes."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.utils.windowed_value import WindowedValue

from pipelines.connectors.back_pressure import writing
from pipelines.connectors.feeds import Unreachable
from pipelines.connectors.write_store import require_reach
from pipelines.connectors.written import Written
from rollups.databases import Database, connect
from rollups.errors import DamagedError, StoreError
from transforms.formatting import to_json
from transforms.schemas import WrittenFile, arrow_schema, is_record_type

_TOGETHER = 10_000  # rows of one transaction at most
_WAITS = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before the database is tried again

# An Arrow type, as SQLite and as PostgreSQL call it; what repeats is JSON.
_TYPES: dict[pa.DataType, tuple[str, str]] = {
    pa.string(): ("TEXT", "text"),
    pa.binary(): ("BLOB", "bytea"),
    pa.int64(): ("INTEGER", "bigint"),
    pa.float64(): ("REAL", "double precision"),
    pa.bool_(): ("BOOLEAN", "boolean"),
    pa.timestamp("us", tz="UTC"): ("TEXT", "timestamp with time zone"),
}
_JSON = ("TEXT", "jsonb")


@dataclass(frozen=True)
class Target:
    """A table of a database, and which records are one row of it."""

    database: str  # sqlite:PATH or postgresql://user@host/name
    table: str
    key: tuple[str, ...] = ()
    newest: str | None = None
    create: bool = True

    @property
    def sqlite(self) -> bool:
        """Whether it is a file of SQLite; otherwise it is a server of PostgreSQL."""
        return self.database.startswith("sqlite:")

    @property
    def place(self) -> str:
        """What a person calls it."""
        return f"{self.database.partition('?')[0]}?table={self.table}"

    def columns(self, record_type: Any) -> dict[str, str]:
        """The columns of records and their types; ValueError where the key is none of them."""
        schema = arrow_schema(record_type)
        if unknown := [name for name in (*self.key, self.newest) if name and name not in schema.names]:
            raise ValueError(f"{unknown[0]!r} is no field of {record_type.__name__}: it has {', '.join(schema.names)}")
        if self.newest and schema.field(self.newest).nullable:
            raise ValueError(f"newest={self.newest} must be a field that no record is without")
        kind = 0 if self.sqlite else 1
        return {field.name: _TYPES.get(field.type, _JSON)[kind] for field in schema} | {
            "record_id": _TYPES[pa.string()][kind]
        }

    def upsert(self, columns: list[str]) -> str:
        """The statement for one row of these columns."""
        quoted = [f'"{name}"' for name in columns]
        insert = f'INSERT INTO "{self.table}" ({", ".join(quoted)}) VALUES ({", ".join("?" * len(quoted))})'  # noqa: S608
        changing = [f'"{name}" = excluded."{name}"' for name in columns if name not in {"record_id", *self.key}]
        if not self.key or not changing:
            return f"{insert} ON CONFLICT (record_id) DO NOTHING"
        only = f' WHERE excluded."{self.newest}" >= "{self.table}"."{self.newest}"' if self.newest else ""
        return f"{insert} ON CONFLICT (record_id) DO UPDATE SET {', '.join(changing)}{only}"


class WriteSql(beam.PTransform):
    """Writes each record as a row of a table: PCollection[R] -> PCollection[WrittenFile], a table and how many.

    A record that is written again by a repeated bundle changes nothing. A bundle is one transaction, or several where
    it has more than 10,000 records; where the database is away, it is tried again for fifteen seconds, and then the
    bundle fails, and is tried again by the runner. SQLite takes times as text in UTC and has NULL for NaN; PostgreSQL
    has no character NUL, and gets its symbol in its place.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        record_type = records.element_type
        if not is_record_type(record_type):
            raise ValueError(
                f"a table needs records with a schema, got elements of {record_type}: write them as .jsonl, "
                "or give the step before an output type that is a record"
            )
        require_reach(self._target.database.removeprefix("sqlite:"), records.pipeline)
        columns = self._target.columns(record_type)
        _prepare(self._target, columns)
        return records | "Upsert" >> beam.ParDo(_Upsert(self._target, list(columns))).with_output_types(WrittenFile)


def _prepare(target: Target, columns: dict[str, str]) -> None:
    """Makes the table, or sees that the one that is there takes the records; ValueError names what differs."""
    try:
        database = connect(target.database, create=target.create)
    except FileNotFoundError as error:
        raise ValueError(f"there is no {target.database}: make it, or leave out create=no") from error
    except (StoreError, ImportError) as error:
        raise Unreachable(str(error)) from error
    with contextlib.closing(database), database.writing(f"table {target.table}"):
        found = {name: kind.lower() for name, kind in database.columns(target.table).items()}
        if not found and target.create:
            listed = ", ".join(f'"{name}" {kind}' for name, kind in columns.items())
            database.execute(f'CREATE TABLE "{target.table}" ({listed}, PRIMARY KEY (record_id))')
            return
        if not found:
            raise ValueError(f"there is no table {target.table} in {target.database}: make it, or leave out create=no")
        for name, kind in columns.items():
            loose = target.sqlite and name in found  # a column of SQLite takes whatever comes
            if found.get(name) != kind.lower() and not loose:
                raise ValueError(
                    f"{target.place} must have the column {name} of type {kind}, got {found.get(name, 'none')}: "
                    "change the table, or name another"
                )
        if database.key(target.table) != ["record_id"]:
            raise ValueError(f"{target.place} must have the primary key record_id: change the table, or name another")


class _Upsert(beam.DoFn):
    def __init__(self, target: Target, columns: list[str]) -> None:
        self._target = target
        self._fields = columns[:-1]
        self._statement = target.upsert(columns)
        self._value = _for_sqlite if target.sqlite else _for_postgres
        self._database: Database | None = None

    def start_bundle(self) -> None:
        self._written = Written(self._target.place)
        self._rows: list[tuple[Any, ...]] = []

    def process(self, record: Any, window: Any = beam.DoFn.WindowParam) -> None:
        told = to_json([getattr(record, name) for name in self._target.key or self._fields])
        record_id = hashlib.blake2b(told, digest_size=16).hexdigest()
        self._rows.append((*(self._value(getattr(record, name)) for name in self._fields), record_id))
        self._written.add(window)
        if len(self._rows) >= _TOGETHER:
            self._write()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        self._write()
        yield from self._written.told()

    def _write(self) -> None:
        with writing(self._written.until):
            for wait in (*_WAITS, None):
                try:
                    self._try()
                    break
                except StoreError as error:
                    self.teardown()
                    if wait is None or isinstance(error, DamagedError):
                        raise
                    time.sleep(wait)
        self._rows = []

    def _try(self) -> None:
        if not self._rows:
            return
        if self._database is None:
            self._database = connect(self._target.database)
        with self._database.writing(f"table {self._target.table}"):
            self._database.execute_many(self._statement, self._rows)

    def teardown(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _for_sqlite(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return to_json(value).decode() if isinstance(value, tuple) else value


def _for_postgres(value: Any) -> Any:
    if isinstance(value, tuple):
        return to_json([_for_postgres(item) for item in value]).decode()
    return value.replace("\0", "\u2400") if isinstance(value, str) else value

"""The tables of a store, for any SQL tool to read; `docs/rollups.md` tells them column by column.

passport   what the store is: version of the schema, size of a window, names and types of keys
measures   what is measured: name, question, an empty sketch with its parameters
keys       the values of the key columns, each combination once
leaves     for each window, key, measure and contribution: records, the answer, the sealed sketch
nodes      the same for spans of 2, 4, 8, … windows, merged: made again from leaves at any time
stale      spans whose nodes are to be made again
kept       from which window on spans of a level are kept, where older ones are not
answers    a view for people: leaves without sketches, beside the begin and end of windows, keys and names
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rollups.databases import Database
from rollups.errors import DamagedError, StoreError

VERSION = 2
KEY_TYPES = {"text": "TEXT", "integer": "BIGINT", "real": "DOUBLE PRECISION", "boolean": "BOOLEAN"}
_ANSWERS = {
    *("window_start", "window_end", "measure", "contribution"),
    *("closed", "records", "value", "low", "high", "answer"),
}


def create_tables(database: Database, window: int, by: Mapping[str, str]) -> None:
    """Makes the tables of a store of windows of so many microseconds, whose keys have types of KEY_TYPES."""
    for step in (_tables, *_STEPS.values()):
        for statement in step(database, window, by):
            database.execute(statement)


def _tables(database: Database, _: int, by: Mapping[str, str]) -> Iterator[str]:
    """Those of version 1, which others come upon."""
    keys = "".join(f", {quoted(name)} {KEY_TYPES[kind]}" for name, kind in by.items())
    answer = f"records BIGINT NOT NULL, value {database.REAL}, low {database.REAL}, high {database.REAL}, answer TEXT"
    yield "CREATE TABLE passport (name TEXT PRIMARY KEY, value TEXT NOT NULL)"
    yield (
        "CREATE TABLE measures (measure INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, question TEXT NOT NULL, "
        f"empty {database.BYTES} NOT NULL)"
    )
    yield f"CREATE TABLE keys (key_number INTEGER PRIMARY KEY, key_text TEXT NOT NULL UNIQUE{keys})"
    yield "CREATE TABLE contributions (contribution INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)"
    yield (
        "CREATE TABLE leaves (measure INTEGER NOT NULL, place BIGINT NOT NULL, key_number INTEGER NOT NULL, "
        f"contribution INTEGER NOT NULL, closed BOOLEAN NOT NULL, {answer}, sketch {database.BYTES} NOT NULL, "
        "PRIMARY KEY (measure, place, key_number, contribution))"
    )
    yield (
        "CREATE TABLE nodes (measure INTEGER NOT NULL, level INTEGER NOT NULL, place BIGINT NOT NULL, "
        f"key_number INTEGER NOT NULL, sketch {database.BYTES} NOT NULL, "
        "PRIMARY KEY (measure, level, place, key_number))"
    )
    yield "CREATE TABLE stale (level INTEGER NOT NULL, place BIGINT NOT NULL, PRIMARY KEY (level, place))"


def _version_2(database: Database, window: int, by: Mapping[str, str]) -> Iterator[str]:
    yield "CREATE TABLE kept (level INTEGER PRIMARY KEY, first BIGINT NOT NULL)"
    # Open windows are few, and asked for by themselves.
    yield "CREATE INDEX IF NOT EXISTS open_leaves ON leaves (measure, place) WHERE NOT closed"
    begin, end = (database.moment(f"leaves.place + {step}", window) for step in (0, 1))
    keys = "".join(f", keys.{quoted(name)} AS {quoted(shown)}" for name, shown in _shown(by).items())
    yield (
        f"CREATE VIEW answers AS SELECT {begin} AS window_start, {end} AS window_end{keys}, measures.name AS measure, "  # noqa: S608  quoted
        "contributions.name AS contribution, leaves.closed, leaves.records, leaves.value, leaves.low, leaves.high, "
        "leaves.answer FROM leaves JOIN keys ON keys.key_number = leaves.key_number "
        "JOIN measures ON measures.measure = leaves.measure "
        "JOIN contributions ON contributions.contribution = leaves.contribution"
    )


_STEPS: dict[int, Callable[[Database, int, Mapping[str, str]], Iterator[str]]] = {2: _version_2}


def _shown(by: Mapping[str, str]) -> dict[str, str]:
    """The names that key columns have in the view, where others may have the same already.

    >>> _shown({"lang": "text", "value": "real"})
    {'lang': 'lang', 'value': 'key_value'}
    """
    taken, shown = {*_ANSWERS, *map(str.lower, by)}, dict[str, str]()
    for name in by:
        free = name
        while free.lower() in _ANSWERS or (free != name and free.lower() in taken):
            free = f"key_{free}"
        taken.add(free.lower())
        shown[name] = free
    return shown


def quoted(name: str) -> str:
    """A name of a column as SQL has it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def write_passport(database: Database, passport: Mapping[str, Any]) -> None:
    """Sets what the store says of itself."""
    database.execute_many(
        "INSERT INTO passport (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [(name, json.dumps(value)) for name, value in passport.items()],
    )


def read_number(database: Database, name: str) -> int | None:
    """A number that the store says of itself; None where it says nothing."""
    rows = database.execute("SELECT value FROM passport WHERE name = ?", [name])
    return int(rows[0][0]) if rows else None


def read_floors(database: Database) -> dict[int, int]:
    """From which window on spans of a level are kept, for each level of which some are not."""
    return dict(database.execute("SELECT level, first FROM kept"))


def read_passport(database: Database) -> dict[str, Any]:
    """What the store says of itself, after it was brought to this version of the schema if it is of an older one.

    That is one transaction: all of it or nothing. Raises StoreError where there is no store, or one of a newer version.
    """
    if not database.columns("passport"):
        raise StoreError("there must be the tables of a store, and there are none: write one with rollup first")
    passport = _passport(database)
    if passport["version"] < VERSION:
        with database.writing():
            passport = _passport(database)  # another may have been faster
            for version in range(passport["version"] + 1, VERSION + 1):
                for statement in _STEPS[version](database, passport["window"], passport["by"]):
                    database.execute(statement)
            write_passport(database, {"version": VERSION})
    return passport | {"version": VERSION}


def _passport(database: Database) -> dict[str, Any]:
    rows = database.execute("SELECT name, value FROM passport")
    try:
        passport = {name: json.loads(value) for name, value in rows}
    except ValueError as problem:
        raise DamagedError(f"the table passport cannot be read: {problem}: restore the store from a copy") from problem
    version = passport.get("version")
    if version not in range(1, VERSION + 1):
        raise StoreError(
            f"the store must be of schema {VERSION} or older, got {version}: use the streamsketch that wrote it, "
            "or a newer one"
        )
    return passport

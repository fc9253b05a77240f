"""The tables of a store, for any SQL tool to read; `docs/rollups.md` tells them column by column.

passport   what the store is: version of the schema, size of a window, names and types of keys
measures   what is measured: name, question, an empty sketch with its parameters
keys       the values of the key columns, each combination once
leaves     for each window, key, measure and contribution: records, the answer, the sealed sketch
nodes      the same for spans of 2, 4, 8, … windows, merged: made again from leaves at any time
stale      spans whose nodes are to be made again
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from rollups.databases import Database

VERSION = 1
KEY_TYPES = {"text": "TEXT", "integer": "BIGINT", "real": "DOUBLE PRECISION", "boolean": "BOOLEAN"}


class StoreError(ValueError):
    """A store that cannot do what was asked: what is there, and what to do."""


def create_tables(database: Database, by: Mapping[str, str]) -> None:
    """Makes the tables of a store whose keys have these columns, with types of KEY_TYPES."""
    keys = "".join(f", {quoted(name)} {KEY_TYPES[kind]}" for name, kind in by.items())
    answer = f"records BIGINT NOT NULL, value {database.REAL}, low {database.REAL}, high {database.REAL}, answer TEXT"
    for statement in (
        "CREATE TABLE passport (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "CREATE TABLE measures (measure INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, question TEXT NOT NULL, "
        f"empty {database.BYTES} NOT NULL)",
        f"CREATE TABLE keys (key_number INTEGER PRIMARY KEY, key_text TEXT NOT NULL UNIQUE{keys})",
        "CREATE TABLE contributions (contribution INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE leaves (measure INTEGER NOT NULL, place BIGINT NOT NULL, key_number INTEGER NOT NULL, "
        f"contribution INTEGER NOT NULL, closed BOOLEAN NOT NULL, {answer}, sketch {database.BYTES} NOT NULL, "
        "PRIMARY KEY (measure, place, key_number, contribution))",
        "CREATE INDEX open_leaves ON leaves (measure, place) WHERE NOT closed",  # they are few
        "CREATE TABLE nodes (measure INTEGER NOT NULL, level INTEGER NOT NULL, place BIGINT NOT NULL, "
        f"key_number INTEGER NOT NULL, sketch {database.BYTES} NOT NULL, "
        "PRIMARY KEY (measure, level, place, key_number))",
        "CREATE TABLE stale (level INTEGER NOT NULL, place BIGINT NOT NULL, PRIMARY KEY (level, place))",
    ):
        database.execute(statement)


def quoted(name: str) -> str:
    """A name of a column as SQL has it, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


def write_passport(database: Database, passport: Mapping[str, Any]) -> None:
    """Sets what the store says of itself."""
    database.execute_many(
        "INSERT INTO passport (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [(name, json.dumps(value)) for name, value in passport.items()],
    )


def read_passport(database: Database) -> dict[str, Any]:
    """What the store says of itself; StoreError where it is none, or of another version."""
    if not database.has_tables():
        raise StoreError("there must be the tables of a store, and there are none: write one with rollup first")
    passport = {name: json.loads(value) for name, value in database.execute("SELECT name, value FROM passport")}
    if passport.get("version") != VERSION:
        raise StoreError(
            f"the store must be of schema {VERSION}, got {passport.get('version')}: use the streamsketch that wrote it"
        )
    return passport

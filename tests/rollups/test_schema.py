"""A store of an older version is opened as one of this version, whole or not at all; SQL tools read its answers."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rollups import Leaf, Store, StoredMeasure, StoreError
from rollups.databases import Database, connect
from rollups.schema import VERSION
from transforms.sketches import Count, HyperLogLog, Question

DATA = Path(__file__).parent / "data"
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog(10), Question("estimate", (0.95,))),
}


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A store that version 1 wrote, with spans that are stale."""
    return Path(shutil.copy(DATA / "version-1.db", tmp_path / "old.db"))


def tables(path: Path) -> dict[str, Any]:
    """All that is in a file, by name of the table; of others than tables, their definition."""
    with closing(sqlite3.connect(path)) as database:
        named = database.execute("SELECT type, name, sql FROM sqlite_master").fetchall()
        return {
            name: database.execute(f"SELECT * FROM {name}").fetchall() if kind == "table" else sql  # noqa: S608  its own
            for kind, name, sql in named
        }


def test_an_older_store_answers_as_before_and_is_of_this_version_then(old: Path) -> None:
    expected = json.loads((DATA / "version-1.json").read_text(encoding="utf-8"))
    before = tables(old)
    with Store(str(old)) as store:
        assert [row.as_json() for row in store.query(by=("lang", "value"))] == expected
        after = tables(old)
        assert ("version", str(VERSION)) in after["passport"]
        assert {name: after[name] for name in before if name != "passport"} == {
            name: rows for name, rows in before.items() if name != "passport"
        }
        assert store.settle() == 2  # what version 1 had left
        assert [row.as_json() for row in store.query(by=("lang", "value"))] == expected
    with Store(str(old)) as store:
        assert [row.as_json() for row in store.query(by=("lang", "value"))] == expected


def test_an_older_store_is_no_different_from_a_new_one_then(old: Path, tmp_path: Path) -> None:
    with (
        Store(str(old)) as migrated,
        Store.create(
            str(tmp_path / "new.db"), window=migrated.window, by=migrated.by, measures=migrated.measures
        ) as new,
    ):
        schemas = [
            store.database.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name")
            for store in (migrated, new)
        ]
    assert schemas[0] == schemas[1]


def test_a_migration_that_fails_at_any_statement_leaves_the_old_version(
    old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, kind = tables(old), type(connect(str(old)))
    execute, left = kind.execute, 0

    def failing(self: Database, statement: str, values: Any = ()) -> Any:
        nonlocal left
        left -= statement.startswith(("CREATE", "COMMIT"))
        if left < 0:
            raise OSError("no space left")
        return execute(self, statement, values)

    monkeypatch.setattr(kind, "execute", failing)
    failures = 0
    for allowed in range(10):
        left = allowed
        try:
            Store(str(old)).close()
        except OSError:
            failures += 1
            assert tables(old) == before
        else:
            break
    assert failures == 4  # a table, an index, a view, and the commit
    assert tables(old) != before


def test_a_migration_that_is_killed_leaves_the_old_version(old: Path) -> None:
    before = tables(old)
    killed = """
import os, sys
from rollups import Store
from rollups.databases import connect
kind = type(connect(sys.argv[1]))
execute = kind.execute
def dying(self, statement, values=()):
    rows = execute(self, statement, values)
    if statement.startswith("CREATE VIEW"):
        os.kill(os.getpid(), 9)
    return rows
kind.execute = dying
Store(sys.argv[1])
"""
    command = [sys.executable, "-c", killed, str(old)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    assert subprocess.run(command, env=environment, check=False).returncode == -9
    assert tables(old) == before
    with Store(str(old)) as store:
        assert len(store.query(by=("lang",))) == 3


def test_a_newer_store_is_refused_with_the_reason(old: Path) -> None:
    for version in (VERSION + 1, "none"):
        with closing(sqlite3.connect(old)) as database, database:
            database.execute("UPDATE passport SET value = ? WHERE name = 'version'", [json.dumps(version)])
        before = tables(old)
        with pytest.raises(StoreError, match=f"of schema {VERSION} or older, got {version}: use the streamsketch that"):
            Store(str(old))
        assert tables(old) == before


def test_a_store_in_either_database_is_brought_to_this_version(uri: str) -> None:
    with Store.create(uri, window=1_000_000, by={"lang": "text"}, measures=MEASURES) as store:
        store.write("a", [leaf(5, ("en",), 3)])
        for statement in (  # as version 1 has it
            "DROP VIEW answers",
            "DROP TABLE kept",
            "DROP INDEX open_leaves",
            "UPDATE passport SET value = '1' WHERE name = 'version'",
        ):
            store.database.execute(statement)
    with Store(uri) as store:
        assert store.database.execute("SELECT lang, records FROM answers WHERE measure = 'count'") == [("en", 3)]
        assert [row.values["count"] for row in store.query()] == [3]


def leaf(start: int, key: tuple[Any, ...], records: int) -> Leaf:
    count, users = Count(), HyperLogLog(10)
    count.add_many(range(records))
    users.add_many(range(records))
    return Leaf(start * 1_000_000, key, records, {"count": count, "distinct:user": users})


def read(uri: str, statement: str) -> list[Any]:
    """What a program reads that knows nothing of us."""
    if uri.startswith("postgresql:"):
        with psycopg.connect(uri) as connection:
            return connection.execute(statement).fetchall()
    with closing(sqlite3.connect(uri)) as database:
        return database.execute(statement).fetchall()


def moments(uri: str) -> Iterator[datetime]:
    ((begin, end),) = read(uri, "SELECT DISTINCT window_start, window_end FROM answers")
    for moment in (begin, end):
        if isinstance(moment, str):
            assert moment.endswith("Z")
            yield datetime.fromisoformat(moment)
        else:
            yield moment


@pytest.mark.parametrize(
    ("window", "place"), [(10_000_000, 177_236_640), (1_500_000, 7), (250_000, -3), (1, -1), (86_400_000_000, -5)]
)
def test_sql_tools_read_the_begin_and_end_of_windows(uri: str, window: int, place: int) -> None:
    with Store.create(uri, window=window, by={}, measures=MEASURES) as store:
        store.write("a", [leaf(0, (), 1)._replace(start=place * window)])
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    expected = [epoch + timedelta(microseconds=step * window) for step in (place, place + 1)]
    assert list(moments(uri)) == expected


def test_sql_tools_read_answers_by_names_of_keys_and_measures(uri: str) -> None:
    by = {"lang": "text", "value": "integer", "key_value": "real", 'odd "%?"': "boolean"}
    with Store.create(uri, window=1_000_000, by=by, measures=MEASURES) as store:
        store.write("first", [leaf(5, ("en", 1, 0.5, True), 3), leaf(5, (None, None, None, None), 2)])
        store.write("second", [leaf(5, ("en", 1, 0.5, True), 4)._replace(closed=False)])
    rows = read(
        uri,
        'SELECT lang, key_key_value, key_value, "odd ""%?""", contribution, measure, closed, records, value, low, high '
        "FROM answers WHERE lang = 'en' ORDER BY contribution, measure",
    )
    names = {row[4:6]: row for row in rows}
    assert {row[:4] for row in rows} == {("en", 1, 0.5, True)}
    assert sorted(names) == [(of, name) for of in ("first", "second") for name in MEASURES]
    assert names["first", "distinct:user"][6:] == (True, 3, 3.0, 3.0, 3.0)
    assert names["second", "count"][6:] == (False, 4, 4.0, 4.0, 4.0)
    assert read(uri, "SELECT COUNT(*) FROM answers WHERE lang IS NULL") == [(2,)]

"""SQLite and PostgreSQL behind one small interface: statements with `?`, and transactions that exclude each other."""

from __future__ import annotations

import functools
import re
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from rollups.errors import DamagedError, StoreError

Rows: TypeAlias = list[tuple[Any, ...]]

_SECOND = 1_000_000  # microseconds
_NAMED = 500  # values that one statement names
_PATIENCE = 30.0  # seconds that a writer waits for others
_CONNECT = 8  # seconds that a server may take to answer


class Database(ABC):
    """An open database."""

    BYTES: str  # the type of a column of bytes
    REAL: str

    def __init__(self) -> None:
        self._turn = threading.RLock()  # threads take turns, a transaction each

    @abstractmethod
    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        """The rows that a statement gives; what it changes belongs to the transaction that is open."""

    @abstractmethod
    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        """The same statement for each of several rows of values."""

    @abstractmethod
    def writing(self, what: str = "rollups") -> Any:
        """A context: one transaction, all of it or nothing, while nobody else writes the same thing."""

    @abstractmethod
    def reading(self) -> Any:
        """A context in which all that is read is of one moment, whoever writes meanwhile."""

    @abstractmethod
    def moment(self, place: str, window: int) -> str:
        """SQL that gives the begin of a window of so many microseconds as SQL tools have moments."""

    @abstractmethod
    def shrink(self) -> None:
        """Gives back the room of what was deleted."""

    @abstractmethod
    def columns(self, table: str) -> dict[str, str]:
        """The columns of a table and their types, as the database calls them; none where there is no such table."""

    @abstractmethod
    def key(self, table: str) -> list[str]:
        """The columns of the primary key of a table."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of it."""


def connect(uri: str, *, create: bool = False) -> Database:
    """Opens a database: a file for SQLite, or postgresql://user@host/name.

    A password is PostgreSQL's own affair (PGPASSWORD, ~/.pgpass): do not put it into the address. Raises
    FileNotFoundError where there is no such file and none is to be made.
    """
    if uri.startswith(("postgresql://", "postgres://")):
        return _Postgres(uri)
    path = Path(uri.removeprefix("sqlite:"))
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    elif not path.exists():
        raise FileNotFoundError(f"there must be a store at {path}, and there is none: write one with rollup first")
    return _SQLite(path)


def in_parts(values: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Values, as many at a time as one statement names."""
    return (values[first : first + _NAMED] for first in range(0, len(values), _NAMED))


class _SQLite(Database):
    BYTES, REAL = "BLOB", "REAL"

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        with self._told():
            self._connection = sqlite3.connect(path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        try:
            self.execute("PRAGMA journal_mode = WAL")  # readers do not wait for the writer
            self.execute("PRAGMA cache_size = -65536")  # 64 MiB of pages
            self.execute("PRAGMA synchronous = NORMAL")  # a power cut may undo, not damage
        except StoreError:
            self.close()
            raise

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        with self._told():
            return self._connection.execute(statement, values).fetchall()

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._told():
            self._connection.executemany(statement, rows)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors, with the file and what to do."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            if type(error) is sqlite3.DatabaseError:  # of no kind: no database, or one that is damaged
                raise DamagedError(
                    f"{self._path} must be a whole store, and {error}: restore it from a copy, or move it away "
                    "and write it again"
                ) from error
            if isinstance(error, sqlite3.OperationalError):
                raise StoreError(f"{self._path} cannot be used as a store: {error}") from error
            raise

    @contextmanager
    def writing(self, what: str = "rollups") -> Iterator[None]:
        del what  # a file has one writer
        with self._turn:
            self.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.execute("COMMIT")
            except BaseException:
                self._roll_back()
                raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._turn:
            self.execute("BEGIN")
            try:
                yield
            finally:
                self._roll_back()

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # where something has failed badly, that is done already
            self._connection.execute("ROLLBACK")

    def moment(self, place: str, window: int) -> str:
        if window % _SECOND == 0:
            return f"strftime('%Y-%m-%dT%H:%M:%SZ', ({place}) * {window // _SECOND}, 'unixepoch')"
        micros = f"({place}) * {window}"
        rest = f"(({micros}) % {_SECOND} + {_SECOND}) % {_SECOND}"  # at least 0 before 1970, too
        fraction = f"CASE {rest} WHEN 0 THEN '' ELSE printf('.%06d', {rest}) END"
        return f"strftime('%Y-%m-%dT%H:%M:%S', ({micros} - {rest}) / {_SECOND}, 'unixepoch') || {fraction} || 'Z'"

    def shrink(self) -> None:
        self.execute("VACUUM")
        self.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def columns(self, table: str) -> dict[str, str]:
        return dict(self.execute("SELECT name, type FROM pragma_table_info(?)", (table,)))

    def key(self, table: str) -> list[str]:
        return [
            name for (name,) in self.execute("SELECT name FROM pragma_table_info(?) WHERE pk ORDER BY pk", (table,))
        ]

    def close(self) -> None:
        self._connection.close()


class _Postgres(Database):
    BYTES, REAL = "BYTEA", "DOUBLE PRECISION"

    def __init__(self, uri: str) -> None:
        try:
            import psycopg  # noqa: PLC0415  an extra
        except ImportError as error:
            raise ImportError("a store in PostgreSQL needs psycopg: pip install 'streamsketch[postgres]'") from error
        super().__init__()
        self._lost = psycopg.OperationalError
        with self._told():
            self._connection = psycopg.connect(uri, autocommit=True, connect_timeout=_CONNECT)

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Rows:
        with self._told():
            cursor = self._connection.execute(_with_percent(statement), values)
            return cursor.fetchall() if cursor.description else []

    def execute_many(self, statement: str, rows: Iterable[Sequence[Any]]) -> None:
        with self._told(), self._connection.cursor() as cursor:
            cursor.executemany(_with_percent(statement), rows)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What PostgreSQL says where it cannot be reached, which names host and port but no password."""
        try:
            yield
        except self._lost as error:
            raise StoreError(
                f"PostgreSQL must be there, and say yes, got: {str(error).strip()}: see that it runs, that the address "
                "is its own, and that it lets you in (PGPASSWORD, ~/.pgpass)"
            ) from error

    @contextmanager
    def writing(self, what: str = "rollups") -> Iterator[None]:
        with self._turn, self._told(), self._connection.transaction():
            self._connection.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"streamsketch {what}",))
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._turn, self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def moment(self, place: str, window: int) -> str:
        return f"to_timestamp(0) + ({place}) * INTERVAL '{window} microseconds'"

    def shrink(self) -> None:
        for table in ("leaves", "nodes"):
            self.execute(f"VACUUM {table}")

    def columns(self, table: str) -> dict[str, str]:
        rows = self.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(quote_ident(?)) AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
            (table,),
        )
        return dict(rows)

    def key(self, table: str) -> list[str]:
        rows = self.execute(
            "SELECT attname FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY(indkey) "
            "WHERE indrelid = to_regclass(quote_ident(?)) AND indisprimary ORDER BY array_position(indkey, attnum)",
            (table,),
        )
        return [name for (name,) in rows]

    def close(self) -> None:
        self._connection.close()


@functools.lru_cache(1024)
def _with_percent(statement: str) -> str:
    """A statement as psycopg takes it: `%s` for each `?` that is not within quotes, and `%%` for each `%`."""
    return re.sub(
        r"\"[^\"]*\"|'[^']*'|\?", lambda part: "%s" if part[0] == "?" else part[0], statement.replace("%", "%%")
    )

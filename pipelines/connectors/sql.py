"""Tables of SQLite and PostgreSQL, written by upsert.

    sqlite:words.db?table=words&key=word,window_start&newest=count
    postgresql://user@host/name?table=words&key=word,window_start

`key` names the fields that tell one row from another: a record with the same ones replaces the row, or, with `newest`,
does so where the value of that field is not smaller. Without `key` the whole content is the key: equal records are one
row. The table is made where there is none, unless `create=no` says that it must be there; its columns are the fields of
the records, and `record_id`, a digest of the key.

A password is PostgreSQL's own affair (PGPASSWORD, ~/.pgpass); `sslmode=` goes on to it.
"""

from __future__ import annotations

import re

import apache_beam as beam

from pipelines.connectors.addresses import parse_address, yes_or_no
from pipelines.connectors.write_sql import Target, WriteSql

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


def write_to(uri: str) -> beam.PTransform:
    """What writes into the table of an address. Raises ValueError where it names none, or what cannot be."""
    known = {"table": _name, "key": _names, "newest": _name, "create": yes_or_no, "sslmode": _name}
    parts, values = parse_address(uri, known)
    if "table" not in values:
        raise ValueError(f"a table must be named, as {uri.partition('?')[0]}?table=words, got {uri!r}")
    key, newest = values.get("key", ()), values.get("newest")
    if newest and not key:
        raise ValueError(f"newest={newest} chooses among rows of the same key: name it, as key=word,window_start")
    database = parts._replace(query=f"sslmode={values['sslmode']}" if "sslmode" in values else "").geturl()
    if parts.scheme == "sqlite" and (not parts.path or "sslmode" in values):
        raise ValueError(f"SQLite is a file, sqlite:PATH?table=NAME, got {uri!r}")
    return WriteSql(Target(database, values["table"], key, newest, create=values.get("create", True)))


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("a name in SQL is up to 63 letters, digits and _, and does not begin with a digit")
    return text


def _names(text: str) -> tuple[str, ...]:
    return tuple(map(_name, text.split(",")))

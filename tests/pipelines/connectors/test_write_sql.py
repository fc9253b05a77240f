"""Tables of SQLite and PostgreSQL: each record is a row once, whatever comes again, and what cannot be says why."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import psycopg
import pytest
from apache_beam.testing.test_pipeline import TestPipeline

from pipelines.connectors import write
from pipelines.connectors.feeds import Unreachable
from rollups.databases import Database, connect
from transforms.schemas import WordCount, register

NOON = datetime(2014, 7, 1, 12, tzinfo=UTC)


@register
@dataclass(frozen=True)
class Everything:
    """A field of each kind."""

    name: str
    size: int
    share: float
    right: bool
    raw: bytes
    at: datetime
    tags: tuple[str, ...] = ()
    note: str | None = None


@contextlib.contextmanager
def opened(uri: str) -> Iterator[Database]:
    with contextlib.closing(connect(uri)) as database:
        yield database


def written(uri: str, records: list[Any], kind: type[Any]) -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        _ = pipeline | beam.Create(records, reshuffle=False).with_output_types(kind) | write(uri)


def count(word: str, number: int) -> WordCount:
    return WordCount(NOON, NOON, word, number)


def test_each_field_comes_back_as_it_was(database: str) -> None:
    whole = Everything("é\N{PILE OF POO}'\";--", 2**62, 0.1, True, b"\x00\xff", NOON.replace(microsecond=1), ("a", "b"))
    written(f"{database}?table=every_thing", [whole], Everything)
    with opened(database) as found:
        ((name, size, share, right, raw, at, tags, note),) = found.execute(
            'SELECT name, size, share, "right", raw, at, tags, note FROM every_thing'
        )
    assert (name, size, share, right, bytes(raw), note) == (whole.name, 2**62, 0.1, True, b"\x00\xff", None)
    assert at in {whole.at, "2014-07-01T12:00:00.000001Z"}
    assert tags in (["a", "b"], '["a","b"]')


def test_equal_records_are_one_row_and_other_ones_are_more(database: str) -> None:
    uri = f"{database}?table=words"
    written(uri, [count("a", 1), count("a", 1), count("a", 2)], WordCount)
    written(uri, [count("a", 1), count("b", 1)], WordCount)
    with opened(database) as found:
        assert sorted(found.execute("SELECT word, count FROM words")) == [("a", 1), ("a", 2), ("b", 1)]


def test_a_key_has_one_row_which_is_the_last_one_written(database: str) -> None:
    uri = f"{database}?table=words&key=word,window_start"
    written(uri, [count("a", 1), count("b", 5)], WordCount)
    written(uri, [count("a", 3), count("b", 2)], WordCount)
    with opened(database) as found:
        assert sorted(found.execute("SELECT word, count FROM words")) == [("a", 3), ("b", 2)]


def test_the_newest_row_of_a_key_stays_in_whatever_order_they_come(database: str) -> None:
    uri = f"{database}?table=words&key=word&newest=count"
    numbers = random.Random(4).sample(range(1, 500), 60)
    for some in (numbers[:30], numbers[30:], numbers[10:40]):
        written(uri, [count("a", number) for number in some], WordCount)
    with opened(database) as found:
        assert found.execute("SELECT word, count FROM words") == [("a", max(numbers))]


def test_more_records_than_a_transaction_takes_are_all_there(database: str) -> None:
    uri = f"{database}?table=words&key=word"
    written(uri, [count(f"w{number}", number) for number in range(25_000)], WordCount)
    with opened(database) as found:
        assert found.execute("SELECT count(*), sum(count), count(DISTINCT word) FROM words") == [
            (25_000, sum(range(25_000)), 25_000)
        ]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "a table must be named"),
        ("?table=words;drop", "a name in SQL is"),
        ("?table=words&newest=count", "newest=count chooses among rows of the same key"),
        ("?table=words&key=wort", "'wort' is no field of WordCount: it has window_start, "),
        ("?table=words&key=word&newest=window_start", "must be a field that no record is without"),
        ("?table=absent&create=no", "there is no "),
        ("?tabel=words", "has no parameter 'tabel': did you mean table"),
        ("?table=odd", "must have the column count of type "),
        ("?table=bare", "must have the primary key record_id"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_runs(database: str, query: str, says: str) -> None:
    with contextlib.closing(connect(database, create=True)) as made:
        written(f"{database}?table=right", [count("a", 1)], WordCount)
        made.execute('CREATE TABLE bare AS SELECT * FROM "right"')
        made.execute('CREATE TABLE odd AS SELECT window_start, window_end, word FROM "right"')
    with pytest.raises(ValueError, match=says):
        written(f"{database}{query}", [count("a", 1)], WordCount)


def test_what_is_no_record_is_refused(database: str) -> None:
    with pytest.raises(ValueError, match="a table needs records with a schema, got elements of "):
        written(f"{database}?table=words", ["word"], str)


def test_nobody_listens_at_an_address() -> None:
    with pytest.raises(Unreachable, match="PostgreSQL must be there, and say yes"):
        written("postgresql://test@127.0.0.1:1/none?table=words", [count("a", 1)], WordCount)


@pytest.mark.postgres
def test_a_connection_that_is_cut_is_opened_again(postgres: str) -> None:
    """The server ends every connection before each of ten transactions."""

    def cut(record: WordCount) -> WordCount:
        if record.count % 1000 == 0:
            with psycopg.connect(postgres, autocommit=True) as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE pid <> pg_backend_pid() AND query LIKE '%cut_words%'"
                )
        return record

    records = [count(f"w{number}", number) for number in range(10_000)]
    with TestPipeline(runner="BundleBasedDirectRunner") as pipeline:
        _ = (
            pipeline
            | beam.Create(records).with_output_types(WordCount)
            | beam.Map(cut).with_output_types(WordCount)
            | write(f"{postgres}?table=cut_words&key=word")
        )
    with opened(postgres) as found:
        assert found.execute("SELECT count(*), sum(count) FROM cut_words") == [(10_000, sum(range(10_000)))]
        found.execute("DROP TABLE cut_words")


@pytest.mark.postgres
def test_the_character_that_postgresql_lacks_becomes_its_symbol(postgres: str) -> None:
    written(f"{postgres}?table=nul_words", [count("a\0b", 1)], WordCount)
    with opened(postgres) as found:
        assert found.execute("SELECT word FROM nul_words") == [("a\N{SYMBOL FOR NULL}b",)]
        found.execute("DROP TABLE nul_words")

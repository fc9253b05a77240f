"""What is damaged is told by the name of the row or the file; all else answers, and nothing wrong is answered."""

from __future__ import annotations

import random
import shutil
import socket
import sqlite3
from collections import Counter
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rollups import Leaf, Store, StoredMeasure, StoreError
from rollups.errors import DamagedError
from transforms.sketches import Count, HyperLogLog, Question

PAGE = 512
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog(12), Question("estimate", (0.95,))),
}


def write(path: Path) -> None:
    """A small store in small pages, so that many pages are of one kind or another."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"PRAGMA page_size = {PAGE}")
        database.execute("VACUUM")
    chance = random.Random(1)
    with Store.create(str(path), window=1_000_000, by={"lang": "text"}, measures=MEASURES) as store:
        for place in range(1_000_000, 1_000_012):
            for lang in ("en", "ja", "fr"):
                sketches: dict[str, Any] = {name: measure.empty.copy() for name, measure in MEASURES.items()}
                for sketch in sketches.values():
                    sketch.add_many([chance.randrange(10**6) for _ in range(120)])
                store.write("a", [Leaf(place * 1_000_000, (lang,), 120, sketches)])
        store.settle()


def answers(store: Store, **asked: Any) -> dict[tuple[Any, ...], Any]:
    return {(row.group["lang"], row.start): row.as_json() for row in store.query(by=("lang",), **asked)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "whole.db"
    write(path)
    return path


def served(path: Path, whole: Path) -> tuple[str, str]:
    """How much of a damaged copy answers, and what is told of the rest; nothing that it answers is wrong."""
    by_window = {"step": timedelta(seconds=1)}
    with Store(str(whole)) as store:
        expected, in_all = answers(store, **by_window), answers(store)
    assert len(expected) == 36
    try:
        with Store(str(path)) as store:
            told, of_all = store.query(by=("lang",), **by_window), answers(store)
    except StoreError as error:
        return "refused", str(error)
    of_windows = {(row.group["lang"], row.start): row.as_json() for row in told}
    assert all(expected[row] == answer for row, answer in of_windows.items())
    assert all(in_all[row] == answer for row, answer in of_all.items())
    assert of_windows == expected or told.damaged
    assert all("leaves, measure" in problem for problem in told.damaged)
    return ("partly" if told.damaged else "wholly"), "".join(told.damaged)


def test_of_a_file_that_was_cut_what_is_left_answers_or_the_file_is_told(whole: Path, tmp_path: Path) -> None:
    content, path, outcomes = whole.read_bytes(), tmp_path / "cut.db", Counter[str]()
    for size in [*range(PAGE, len(content), 5 * PAGE), 40, 100, 700, len(content) - 1]:
        path.write_bytes(content[:size])
        outcome, told = served(path, whole)
        outcomes[outcome] += 1
        assert outcome == "wholly" or "cut.db must be a whole store, and" in told
        assert path.read_bytes() == content[:size]
    assert outcomes["refused"] > 10


def test_a_page_that_is_lost_harms_no_answer_that_does_not_need_it(whole: Path, tmp_path: Path) -> None:
    outcomes, content = Counter[str](), whole.read_bytes()
    for page in range(len(content) // PAGE):
        path = tmp_path / f"page-{page}.db"
        path.write_bytes(content[: page * PAGE] + bytes(PAGE) + content[(page + 1) * PAGE :])
        outcome, told = served(path, whole)
        outcomes[outcome] += 1
        assert outcome != "refused" or path.name in told or "the table passport" in told
    assert outcomes["refused"] < 30  # what all else hangs on
    assert outcomes["partly"] > 50  # a window of some key
    assert outcomes["wholly"] > 100  # spans, for which windows stand in


@pytest.mark.parametrize("table", ["leaves", "nodes"])
def test_a_flipped_bit_anywhere_in_a_sketch_is_found(whole: Path, tmp_path: Path, table: str) -> None:
    chance = random.Random(2)
    path = Path(shutil.copy(whole, tmp_path / "flipped.db"))
    with Store(str(path)) as store:
        expected = answers(store)
        rows = store.database.execute(f"SELECT rowid, sketch, key_number FROM {table} WHERE measure = 2")  # noqa: S608
        for row, image, key in chance.sample(rows, 12):
            for _ in range(3):
                bit = chance.randrange(8 * len(image))
                flipped = bytearray(image)
                flipped[bit // 8] ^= 1 << bit % 8
                change = f"UPDATE {table} SET sketch = ? WHERE rowid = ?"  # noqa: S608
                store.database.execute(change, [bytes(flipped), row])
                if table == "leaves":  # what lies above it is read else
                    store.database.execute(
                        "INSERT INTO stale SELECT DISTINCT level, place FROM nodes WHERE true ON CONFLICT DO NOTHING"
                    )
                told = store.query(by=("lang",))
                served = {(answer.group["lang"], answer.start): answer.as_json() for answer in told}
                if table == "nodes":
                    assert served == expected
                else:
                    assert len(served) == 2
                    assert all(expected[of] == answer for of, answer in served.items())
                    assert len(told.damaged) == 1
                    assert f"key number {key} cannot be read" in told.damaged[0]
                store.database.execute(change, [image, row])
                store.database.execute("DELETE FROM stale")


def test_what_is_no_store_is_told_by_its_name(tmp_path: Path) -> None:
    text, folder, other = tmp_path / "text.db", tmp_path / "folder.db", tmp_path / "other.db"
    text.write_text("not a database, " * 100, encoding="utf-8")
    folder.mkdir()
    with closing(sqlite3.connect(other)) as database, database:
        database.execute("CREATE TABLE leaves (place)")
    with pytest.raises(DamagedError, match=r"text\.db must be a whole store, and file is not a database"):
        Store(str(text))
    with pytest.raises(StoreError, match=r"folder\.db cannot be used as a store: unable to open"):
        Store(str(folder))
    with pytest.raises(StoreError, match="there must be the tables of a store"):
        Store(str(other))
    with pytest.raises(DamagedError, match=r"text\.db must be a whole store"):
        Store.create(str(text), window=1, by={}, measures=MEASURES)
    assert text.read_text(encoding="utf-8") == "not a database, " * 100


def test_what_the_store_says_of_itself_is_named_where_it_is_damaged(whole: Path, tmp_path: Path) -> None:
    for change, told in (
        ("UPDATE passport SET value = '{' WHERE name = 'by'", "the table passport cannot be read"),
        ("UPDATE measures SET empty = x'00' WHERE measure = 2", "the row measures, measure 2 cannot be read"),
        ("UPDATE measures SET question = '[' WHERE measure = 1", "the row measures, measure 1 cannot be read"),
    ):
        path = Path(shutil.copy(whole, tmp_path / "said.db"))
        with closing(sqlite3.connect(path)) as database, database:
            database.execute(change)
        with pytest.raises(DamagedError, match=told):
            Store(str(path))


def test_a_postgresql_that_is_not_there_is_told_without_the_password() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # a port on which nobody listens
        address = f"postgresql://ana:secret@127.0.0.1:{free.getsockname()[1]}/rollups"
        with pytest.raises(StoreError, match=r"PostgreSQL must be there.*127\.0\.0\.1") as refused:
            Store(address)
    assert "secret" not in str(refused.value)


@pytest.mark.postgres
def test_a_postgresql_that_refuses_or_ends_is_told(postgres: str) -> None:
    with pytest.raises(StoreError, match='database "nowhere" does not exist'):
        Store(postgres.replace("/postgres", "/nowhere"))
    with pytest.raises(StoreError, match="there must be the tables of a store"):
        Store(postgres)

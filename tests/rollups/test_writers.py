"""Several processes write into one store at once, and read it meanwhile: nothing is lost, nothing is seen by halves."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from rollups import Leaf, Store, StoredMeasure, StoreError, databases
from transforms.sketches import Count, Question

MEASURES = {name: StoredMeasure(Count(), Question("count")) for name in ("count", "again")}
BUNDLES, WINDOWS, KEYS = 20, 10, 20


def leaves(first: int, writer: int) -> list[Leaf]:
    """Of each key in each window one record; all writers share half of the keys."""
    count = Count()
    count.add(1)
    keys = [*range(KEYS), *range(100 * writer, 100 * writer + KEYS)]
    return [
        Leaf((first + n) * 1_000_000, (key,), 1, dict.fromkeys(MEASURES, count)) for n in range(WINDOWS) for key in keys
    ]


def write(uri: str, writer: int, begin: Path) -> None:
    with Store(uri) as store:
        while not begin.exists():
            time.sleep(0.01)
        for bundle in range(BUNDLES):
            written = store.write(f"writer {writer}", leaves(bundle * WINDOWS, writer))
            assert written.leaves == WINDOWS * KEYS * 2
            if bundle % 5 == writer:
                store.settle()


def test_nothing_that_several_processes_write_is_lost(uri: str, tmp_path: Path) -> None:
    begin = tmp_path / "begin"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with Store.create(uri, window=1_000_000, by={"key": "integer"}, measures=MEASURES) as store:
        writers = [
            subprocess.Popen([sys.executable, __file__, uri, str(writer), str(begin)], env=environment)
            for writer in (1, 2, 3)
        ]
        begin.touch()
        seen = [0]
        while any(process.poll() is None for process in writers):
            row = store.query().rows
            if row:
                assert row[0].values["count"] == row[0].values["again"]  # of one moment, whoever writes meanwhile
                assert row[0].values["count"] % (WINDOWS * KEYS * 2) == 0  # bundles, whole or not at all
                seen.append(row[0].values["count"])
        assert [process.returncode for process in writers] == [0, 0, 0]
        assert seen == sorted(seen)
        assert len(set(seen)) > 5
        store.settle()
        answers = store.query(by=("key",))
        assert {row.group["key"]: row.values["count"] for row in answers} == {
            **dict.fromkeys(range(KEYS), 3 * BUNDLES * WINDOWS),
            **{100 * writer + key: BUNDLES * WINDOWS for writer in (1, 2, 3) for key in range(KEYS)},
        }
        assert store.key_count() == 4 * KEYS
        assert store.settle() == 0


def test_a_writer_waits_for_another_and_says_so_if_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rollups.db"
    Store.create(str(path), window=1_000_000, by={"key": "integer"}, measures=MEASURES).close()
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        with Store(str(path)) as store:
            assert len(store.query()) == 0  # readers need not wait
            release = threading.Timer(0.5, other.execute, ["COMMIT"])
            release.start()
            assert store.write("a", leaves(0, 1)).leaves == WINDOWS * KEYS * 2
            release.join()
        other.execute("BEGIN IMMEDIATE")
        monkeypatch.setattr(databases, "_PATIENCE", 0.1)
        with Store(str(path)) as store:
            with pytest.raises(StoreError, match=r"rollups\.db cannot be used as a store: database is locked"):
                store.write("b", leaves(0, 2))
            other.execute("ROLLBACK")
            assert store.write("b", leaves(0, 2)).leaves == WINDOWS * KEYS * 2


def test_threads_that_share_a_store_take_turns(tmp_path: Path) -> None:
    with Store.create(
        str(tmp_path / "rollups.db"), window=1_000_000, by={"key": "integer"}, measures=MEASURES
    ) as store:
        failures: list[BaseException] = []

        def work(writer: int) -> None:
            try:
                for bundle in range(5):
                    store.write(f"writer {writer}", leaves(bundle * WINDOWS, writer))
                    store.query()
            except BaseException as failure:  # noqa: BLE001  told by the test
                failures.append(failure)

        threads = [threading.Thread(target=work, args=[writer]) for writer in (1, 2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not failures
        assert [row.values["count"] for row in store.query()] == [3 * 5 * WINDOWS * KEYS * 2]


if __name__ == "__main__":
    write(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

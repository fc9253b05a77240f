"""A rollup that is killed while it writes, and run again, leaves the store that an undisturbed run leaves."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

NOON = 1_772_366_400_000_000  # microseconds
WINDOWS, KEYS, EVENTS = 300, 100, 60_000


def run(events: Path, store: Path) -> subprocess.Popen[bytes]:
    command = "rollup --event-time time --by page:integer --measure distinct:user --measure sum:bytes --window 1s"
    files = ["--input", str(events), "--store", str(store)]
    return subprocess.Popen(
        [sys.executable, "-m", "pipelines", *command.split(), *files],
        cwd=store.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def leaves(store: Path) -> int:
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
        return int(database.execute("SELECT COUNT(*) FROM leaves").fetchone()[0])
    return 0


def contents(store: Path) -> list[Any]:
    """All that is stored, in terms of windows and keys."""
    with closing(sqlite3.connect(store)) as database:
        return [
            sorted(database.execute(f"SELECT {columns} FROM {table} JOIN keys USING (key_number)"))  # noqa: S608
            for table, columns in (
                ("leaves", "measure, place, key_text, closed, records, value, sketch"),
                ("nodes", "measure, level, place, key_text, sketch"),
            )
        ] + [database.execute("SELECT * FROM stale").fetchall()]


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(1)
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    times = NOON + chance.integers(0, WINDOWS * 1_000_000, EVENTS)
    columns = {
        "time": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
        "page": chance.integers(0, KEYS, EVENTS),
        "user": chance.integers(0, 1000, EVENTS),
        "bytes": chance.integers(0, 10_000, EVENTS),
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.schedules)])
def test_a_run_that_is_killed_while_it_writes_and_run_again_leaves_the_same_store(
    events: Path, tmp_path: Path, kills: int
) -> None:
    undisturbed, killed = tmp_path / "undisturbed.db", tmp_path / "killed.db"
    assert run(events, undisturbed).wait(120) == 0
    whole = leaves(undisturbed)
    assert whole > 3 * 20_000  # leaves of three measures, in several transactions
    chance = np.random.default_rng(kills)
    amid = 0
    for _ in range(kills):
        killed.unlink(missing_ok=True)
        process = run(events, killed)
        wanted = whole * chance.uniform(0.05, 0.9)
        while process.poll() is None and leaves(killed) < wanted:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        amid += 0 < leaves(killed) < whole
        assert run(events, killed).wait(120) == 0
        assert contents(killed) == contents(undisturbed)
    assert amid > kills / 2

"""Plan: what it tells beforehand is what a store then takes."""

from __future__ import annotations

import io
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipelines import launch, plan, rollup
from pipelines.options import UsageError
from rollups import Store
from rollups.planning import most_reads
from rollups.planning import plan as planned_for
from rollups.tree import cover, height
from transforms.sketches import HyperLogLog

KEYS, WINDOWS, VALUES = 5, 128, 30
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEASURES = ("distinct:user@0.05", "top:user=5@0.01", "quantiles:ms=0.5@0.02", "loghist:ms=0.5@0.02", "sum:ms", "max:ms")


def test_the_bytes_that_it_tells_are_those_of_a_store_that_is_written(tmp_path: Path) -> None:
    chance, rows = np.random.default_rng(1), KEYS * WINDOWS * VALUES
    starts = int(NOON.timestamp()) * 1_000_000 + np.repeat(np.arange(WINDOWS), KEYS * VALUES) * 10_000_000
    events = pa.table(
        {
            "at": pa.array(starts, pa.timestamp("us", tz="UTC")),
            "key": np.tile(np.arange(KEYS), rows // KEYS).astype(str),
            "user": [f"{user:012x}" for user in chance.integers(0, 2**48, rows).tolist()],
            "ms": chance.lognormal(3.0, 1.5, rows),
        }
    )
    pq.write_table(events, tmp_path / "events.parquet")
    place = tmp_path / "store.db"
    options = rollup.Options(
        input=str(tmp_path / "events.parquet"), event_time="at", by="key", measure=MEASURES, store=str(place)
    )
    launch.run("rollup", rollup, options, [], Console(quiet=True))
    asked = plan.Options(measure=MEASURES, keys=KEYS, values=VALUES, keep=f"{10 * WINDOWS}s")
    with Store(str(place)) as store:
        planned = planned_for(
            store.measures, keys=KEYS, window=timedelta(seconds=10), keep=timedelta(seconds=10 * WINDOWS), values=VALUES
        )
        for name, measure in planned.measures.items():
            ((told, number),) = store.database.execute(
                "SELECT SUM(LENGTH(sketch)), COUNT(*) FROM leaves WHERE measure = ?", [store.number_of(name)]
            )
            assert number == KEYS * WINDOWS
            assert measure.leaf_bytes == pytest.approx(told / number, rel=0.1), name
    with closing(sqlite3.connect(place)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert planned.windows == WINDOWS
    assert planned.bytes_in_all == pytest.approx(place.stat().st_size, rel=0.1)
    console = Console(record=True, width=200, file=io.StringIO())
    plan.run(asked, [], console)
    assert f"to {plan.size(planned.bytes_in_all)} in 1280s: 128 windows of each key" in console.export_text()


def test_the_reads_that_it_tells_are_the_most_that_any_range_takes() -> None:
    for windows in (1, 2, 3, 4, 5, 21, 22, 30, 37, 46, 64):
        reads = 0
        for first in (0, 1, 13, 64):
            end = first + windows
            top = height(first, end)
            ranges = ((begin, stop) for begin in range(first, end) for stop in range(begin + 1, end + 1))
            reads = max(reads, *(sum(1 for _ in cover(*bounds, top)) for bounds in ranges), 0)
        assert most_reads(windows) == reads


def test_a_table_names_a_sketch_for_each_measure_with_the_error_that_is_asked_for() -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    plan.run(plan.Options(error=0.05, measure=("distinct:user", "distinct:ip@0.02"), keep="1d"), [], console)
    lines = [line.split()[:3] for line in console.export_text().splitlines()]
    for name, error in (("distinct:user", 0.05), ("distinct:ip", 0.02)):
        assert [name, "HyperLogLog", str(HyperLogLog.for_error(error).parameters["precision"])] in lines
    assert ["count", "Count", "39"] in lines


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--keys", "0"], "there must be at least 1 key"),
        (["--values", "0"], "there must be at least 1 key and 1 value"),
        (["--window", "0s"], "must hold windows longer than 0"),
        (["--keep", "soon"], "a duration must be a number and one of"),
        (["--measure", "many:x"], "a measure must begin with one of"),
        (["--error", "0"], "cannot read the measure"),
        (["--direct_num_workers", "2"], "takes no flags of Beam"),
    ],
)
def test_what_cannot_be_planned_is_refused(arguments: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        launch.run_command("plan", plan, arguments)

"""ApplyEffects: what a runner repeats happens once."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.counting import CountByValue
from transforms.effects import ApplyEffects, Effect
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
POLICY = WindowPolicy("10s", allowed_lateness="1m", accumulation="accumulating")


def upsert(effects: Sequence[Effect], *, database: str, crashes: Path) -> None:
    """Commits, and then fails the first two times, as a sink does that dies before it says that it is done."""
    with sqlite3.connect(database, timeout=30) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS counts (row TEXT PRIMARY KEY, word TEXT, count INT, pane INT)")
        connection.execute("CREATE TABLE IF NOT EXISTS told (id TEXT)")
        connection.executemany(
            "INSERT INTO counts VALUES (?, ?, ?, ?) ON CONFLICT (row) DO UPDATE SET count = excluded.count, "
            "pane = excluded.pane WHERE excluded.pane >= pane",
            [(effect.row, effect.key, effect.value, effect.pane.index) for effect in effects],
        )
        connection.executemany("INSERT INTO told VALUES (?)", [(effect.id,) for effect in effects])
    connection.close()
    crashed = len(list(crashes.iterdir()))
    if crashed < 2:
        (crashes / str(crashed)).touch()
        raise RuntimeError("died after the commit")


def arrivals() -> TestStream:
    return (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements(
            [TimestampedValue(word, NOON + time) for word, time in (("to", 1), ("be", 2), ("to", 3), ("be", 12))]
        )
        .advance_watermark_to(NOON + 25)
        .add_elements([TimestampedValue("to", NOON + 4)])
        .advance_watermark_to(NOON + 100)
        .advance_watermark_to_infinity()
    )


def test_a_repeated_bundle_leaves_what_one_run_would(tmp_path: Path) -> None:
    crashes = tmp_path / "crashes"
    crashes.mkdir()
    database = str(tmp_path / "counts.db")
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        counted = pipeline | arrivals() | ApplyWindow(POLICY) | CountByValue()
        _ = counted | ApplyEffects(partial(upsert, database=database, crashes=crashes))
    assert len(list(crashes.iterdir())) == 2
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT word, count, pane FROM counts ORDER BY word, count").fetchall()
        told, different = connection.execute("SELECT COUNT(*), COUNT(DISTINCT id) FROM told").fetchone()
    connection.close()
    assert rows == [("be", 1, 0), ("be", 1, 0), ("to", 3, 1)]  # "be" in two windows
    assert told > different == 4  # what was repeated has the ids that it had


def test_effects_are_counted_and_named_apart(in_process: Any) -> None:
    with in_process() as pipeline:
        words = pipeline | beam.Create([("to", 1), ("be", 2), ("be", 12)])
        stamped = words | beam.MapTuple(lambda word, time: TimestampedValue(word, NOON + time))
        happened = stamped | ApplyWindow(POLICY) | CountByValue() | ApplyEffects(require_names)
        assert_that(happened | beam.WindowInto(beam.window.GlobalWindows()) | beam.CombineGlobally(sum), equal_to([3]))


def require_names(effects: Sequence[Effect]) -> None:
    assert len({effect.id for effect in effects}) == len({effect.row for effect in effects}) == len(effects)
    assert all(len(effect.id) == 32 and effect.id != effect.row for effect in effects)

"""Compact: a store keeps windows for a while and answers about longer spans, from the command line."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.console import Console

from pipelines import compact, launch, query
from pipelines.options import UsageError
from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import Count, Question

MINUTE = 60_000_000
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> str:
    """Two days of minutes, of one record each; with one that was not over when its writer ended, if asked."""
    place, count = str(tmp_path / "store.db"), Count()
    count.add(1)
    measures = {"count": StoredMeasure(Count(), Question("count"))}
    with Store.create(place, window=MINUTE, by={}, measures=measures) as made:
        made.write("a", [Leaf(NOON + n * MINUTE, (), 1, {"count": count}) for n in range(2880)])
    return place


def run(store: str, keep: str, capsys: pytest.CaptureFixture[str]) -> str:
    compact.run(compact.Options(store=store, keep=keep), [], Console())
    return capsys.readouterr().out


def counts(store: str, capsys: pytest.CaptureFixture[str], *asked: str) -> list[int]:
    launch.run_command("query", query, [store, "--format", "json", *asked])
    return [json.loads(line)["count"] for line in capsys.readouterr().out.splitlines()]


def test_old_windows_go_and_longer_spans_answer_as_before(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = run(store, "6h,10m:1d", capsys)
    assert told == f"2,520 rows of windows and 1,260 of longer spans have gone from {store}\n"
    assert counts(store, capsys) == [2880]
    assert counts(store, capsys, "--last", "6h", "--step", "1h") == [60] * 6
    assert counts(store, capsys, "--from", "2026-03-01T16:00:00Z", "--to", "2026-03-02T00:00:00Z") == [480]
    with pytest.raises(UsageError, match="use 2026-03-01T12:00:00Z or 2026-03-01T12:16:00Z"):
        counts(store, capsys, "--from", "2026-03-01T12:07:00Z")
    assert run(store, "6h,10m:1d", capsys).startswith("0 rows of windows and 0 of longer spans")


def test_a_window_that_is_not_over_is_named(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Store(store) as opened:
        opened.write("b", [Leaf(NOON + 60 * MINUTE, (), 0, {"count": Count()}, closed=False)])
    assert "windows from 2026-03-01T13:00:00Z on are kept all the same" in run(store, "1h", capsys)


def test_ages_that_make_no_sense_are_refused_with_the_reason(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    for keep, reason in (
        ("90d,1h", "an age of spans must name their length, as 1h:90d, got '1h'"),
        ("90d,1h:7d", "longer spans must be kept for no less time"),
        ("soon", "soon"),
    ):
        with pytest.raises(UsageError, match=reason):
            run(store, keep, capsys)
    with pytest.raises(UsageError, match="write one with rollup first"):
        run("nowhere.db", "7d", capsys)

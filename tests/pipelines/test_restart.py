"""A live run is killed again and again, with windows open and records uncommitted; in all, each record counts once."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.connectors.generate import Generated
from rollups import Store
from tests.pipelines.kills import killed
from transforms.parsing import parse_time

if TYPE_CHECKING:
    from tests.pipelines.conftest import RunLive

pytestmark = pytest.mark.prism

EVENTS = 2000  # a second
WINDOW = timedelta(seconds=4)
OPEN = timedelta(seconds=6)  # at most from an event until its window is final, lateness included


class Truth:
    """What must come of the events of a generator whose late ones are far too late."""

    def __init__(self, limit: int, poison: float) -> None:
        start = int(time.time())
        self.source = Generated(start=float(start), events=EVENTS, limit=limit, late=0.02, poison=poison)
        self.uri = f"generate://?events={EVENTS}&start={start}&limit={limit}&late=0.02&poison={poison}&bound=3s"
        numbers = [number for number in range(limit) if self.source.is_event(number)]
        self.poisoned = limit - len(numbers)
        events = {number: self.source.event(number) for number in numbers}
        newest = {number: self.source.start + number / EVENTS for number in numbers}
        self.late = [of for number, of in events.items() if of["time"] < newest[number] - 20]
        self.in_time = [of for number, of in events.items() if of["time"] >= newest[number] - 20]


def window_of(moment: float) -> datetime:
    """The beginning of the window that holds a moment."""
    return datetime.fromtimestamp(moment // WINDOW.total_seconds() * WINDOW.total_seconds(), UTC)


def run_and_kill(run_live: RunLive, name: str, truth: Truth, state: Path, kills: int, *flags: str) -> str:
    """Runs a pipeline to the end of its input, killed so often on the way; what it said in the end."""
    chance = random.Random(5)
    flags = ("--input", truth.uri, "--state", str(state), "--window", "4s, lateness 2s", *flags)
    for _ in range(kills):
        with run_live(name, *flags) as run:
            assert killed(run, state, chance, open_for=OPEN) >= 1000
    with run_live(name, *flags) as run:
        run.wait_for_the_end()
        return run.said()


def test_files_hold_each_record_once_however_often_it_was_killed(
    tmp_path: Path, run_live: RunLive, rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    truth = Truth(limit=90_000, poison=0)
    out = tmp_path / "counts"
    said = run_and_kill(run_live, "word_count", truth, tmp_path / "state", 4, "--output", f"{out}/")
    assert "does not balance" not in said
    counts = Counter[tuple[datetime, str]]()
    for row in rows_of(*out.glob("[!.]*")):
        counts[parse_time(row["window_start"]), row["word"]] += row["count"]
    expected = Counter((window_of(of["time"]), word) for of in truth.in_time for word in of["text"].split())
    assert counts == expected
    late = Counter((row["time"], row["text"]) for row in rows_of(*(tmp_path / "counts.late").glob("[!.]*")))
    assert sorted(late.values()) == [1] * len(late)
    assert late.total() == len(truth.late)


def test_a_store_holds_each_record_once_however_often_its_writer_was_killed(
    tmp_path: Path, run_live: RunLive, rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    truth = Truth(limit=60_000, poison=0.01)
    store = tmp_path / "live.db"
    flags = ["--event-time", "time", "--by", "lang", "--measure", "sum:latency", "--measure", "distinct:id@0.01"]
    run_and_kill(run_live, "rollup", truth, tmp_path / "state", 3, "--store", str(store), *flags)
    counts, sums = Counter[tuple[datetime, str]](), Counter[tuple[datetime, str]]()
    for of in truth.in_time:
        counts[window_of(of["time"]), of["lang"]] += 1
        sums[window_of(of["time"]), of["lang"]] += of["latency"]
    with Store(str(store)) as opened:
        rows = list(opened.query(by=["lang"], step=WINDOW))
    assert {(row.start, row.group["lang"]): row.values["count"] for row in rows} == counts
    for row in rows:
        assert row.values["sum:latency"] == pytest.approx(sums[row.start, row.group["lang"]])
    rejects = rows_of(*(tmp_path / "live.db.rejects").glob("[!.]*"))
    assert len({row["position"] for row in rejects}) == truth.poisoned  # told at least once, each with its place

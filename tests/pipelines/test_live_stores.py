"""Stores that are written live, on Prism: they hold what the same files give when they are read at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from rich.console import Console

from pipelines import launch, rollup, trending
from pipelines.fields import read_fields
from pipelines.ledger import read_ledger
from rollups import Store
from transforms.windowing import WindowPolicy

if TYPE_CHECKING:
    from tests.pipelines.conftest import RunLive

pytestmark = pytest.mark.prism


def event(chance: random.Random, at: str) -> dict[str, Any]:
    return {"at": at, "lang": chance.choice(["en", "ja", None]), "user": chance.randrange(90), "n": chance.randrange(9)}


def tweet(chance: random.Random, at: str, goal: bool) -> dict[str, Any]:
    tag = "#goal" if goal and chance.random() < 0.3 else chance.choice(["#rain", "#coffee"])
    return {"id": str(chance.getrandbits(60)), "created_at": at, "text": f"hello world {tag}", "lang": "en"}


def write_files(folder: Path, make: Callable[[random.Random, str, bool], dict[str, Any]], seconds: float) -> int:
    """A file every half second, of events of the last two seconds; how many events.

    So few that quantiles of a window hold each value: beyond, they depend on what comes together.
    """
    chance, begun, number, written = random.Random(3), time.monotonic(), 0, 0
    while (age := time.monotonic() - begun) < seconds:
        moments = [datetime.fromtimestamp(time.time() - chance.uniform(0, 2), UTC).isoformat() for _ in range(35)]
        hidden = folder / f".{number}.jsonl"
        hidden.write_bytes(b"\n".join(orjson.dumps(make(chance, at, age > seconds * 0.6)) for at in moments))
        hidden.rename(folder / f"{number:04}.jsonl")
        number, written = number + 1, written + len(moments)
        time.sleep(0.5)
    return written


def content(store: str, seconds: int) -> dict[Any, Any]:
    """Every window and key, and the bytes of its sketches."""
    with Store(store) as opened:
        return {
            (row.start, row.group["lang"]): {name: sketch.to_bytes() for name, sketch in row.sketches.items()}
            for row in opened.query(by=["lang"], step=timedelta(seconds=seconds))
        }


def test_a_rollup_that_runs_live_holds_what_its_files_hold(tmp_path: Path, run_live: RunLive) -> None:
    (tmp_path / "in").mkdir()
    asked = {"event_time": "at", "by": "lang", "measure": ("distinct:user", "sum:n", "top:user=5"), "where": "n >= 2"}
    flags = ["--event-time", "at", "--by", "lang", "--where", "n >= 2"]
    flags += ["--measure", "distinct:user", "--measure", "sum:n", "--measure", "top:user=5"]
    live, window = str(tmp_path / "live.db"), "20s, lateness 1m, early every 2s"
    with run_live("rollup", "--input", f"watch:{tmp_path}/in", "--store", live, "--window", window, *flags) as run:
        written = write_files(tmp_path / "in", lambda chance, at, _: event(chance, at), 12)
        run.wait_for(lambda: Path(live).exists() and bool(open_windows(live)), "a window is told while it is open")
        run.press_ctrl_c()
        run.wait_for_the_end()
    (place,) = (tmp_path / "live.db.ledger").glob("*Z")
    (lang,) = [of for of in read_fields(f"{place}.fields/") if of.missing]
    assert (lang.field, lang.rows) == ("lang", written)
    ledger, _ = read_ledger(f"{place}/")
    assert (ledger.read, ledger.used + ledger.filtered, ledger.missing) == (written, written, 0)
    options = rollup.Options(
        input=f"{tmp_path}/in/", store=str(tmp_path / "files.db"), window=WindowPolicy("20s"), **asked
    )
    launch.run("rollup", rollup, options, [], Console(quiet=True))
    assert content(live, 20) == content(options.store, 20)


def open_windows(store: str) -> int:
    with Store(store) as opened:
        return opened.query().open_windows


def test_what_trends_is_told_live_once_and_as_from_the_files(
    tmp_path: Path, run_live: RunLive, rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    (tmp_path / "in").mkdir()
    window = "10s/2s, lateness 30s"
    flags = [
        "--input",
        f"watch:{tmp_path}/in",
        "--output",
        f"{tmp_path}/live",
        "--window",
        window,
        "--half-life",
        "20s",
    ]
    with run_live("trending", *flags) as run:
        written = write_files(tmp_path / "in", tweet, 20)
        run.press_ctrl_c()
        run.wait_for_the_end()
    assert f"trending: {written:,} read = {written:,} used" in run.said()
    options = trending.Options(
        input=f"{tmp_path}/in/", output=str(tmp_path / "files"), window=WindowPolicy("10s/2s"), half_life="20s"
    )
    launch.run("trending", trending, options, [], Console(quiet=True))
    assert content(f"{tmp_path}/live/trending.db", 2) == content(options.store, 2)
    live = sorted(map(orjson.dumps, rows_of(*(tmp_path / "live" / "trends").glob("[!.]*"))))
    files = sorted(map(orjson.dumps, rows_of(tmp_path / "files" / "trends.jsonl")))
    assert live == files
    assert {orjson.loads(trend)["item"] for trend in live} == {"goal"}

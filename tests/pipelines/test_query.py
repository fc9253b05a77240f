"""Query: any range of a store, as a table, JSON, CSV or Parquet, from the command line."""

from __future__ import annotations

import io
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipelines import launch, query
from pipelines.options import UsageError
from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import Count, HeavyHitters, HyperLogLog, Kll, Question

MINUTE = 60_000_000
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000
MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog(10), Question("estimate", (0.95,))),
    "top:page": StoredMeasure(HeavyHitters(40), Question("top", (2,))),
    "quantiles:ms": StoredMeasure(Kll(200), Question("quantiles", (0.5,))),
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two hours: in each minute user 1 to 3 of `en`, 4 of `ja` and one of no language on one page each, 10 to 50 ms."""
    place = tmp_path / "store.db"
    by = {"lang": "text", "device": "integer"}
    with Store.create(str(place), window=MINUTE, by=by, measures=MEASURES) as made:
        for key, users in ((("en", 1), [1, 2, 3]), (("ja", 2), [4]), ((None, 1), [5])):
            sketches: dict[str, Any] = {name: measure.empty.copy() for name, measure in MEASURES.items()}
            sketches["count"].add_many(users)
            sketches["distinct:user"].add_many(users)
            sketches["top:page"].add_many([f"page {user}" for user in users])
            sketches["quantiles:ms"].add_many([10.0 * user for user in users])
            made.write("a", [Leaf(NOON + n * MINUTE, key, len(users), sketches) for n in range(120)])
        made.settle()
    return place


def ask(store: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, Any]]:
    launch.run_command("query", query, ["--store", str(store), "--format", "json", *arguments])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_json_has_a_flat_object_for_each_answer(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = ask(store, capsys, "--last", "1h", "--where", "lang=en", "--by", "lang,device")
    assert row == {
        "lang": "en",
        "device": 1,
        "from": "2026-03-01T13:00:00Z",
        "to": "2026-03-01T14:00:00Z",
        "count": 180,
        "distinct:user": {"value": 3.0, "low": 3.0, "high": 3.0},
        "top:page": [
            {"item": "page 1", "count": 60.0, "low": 60.0, "high": 60.0},
            {"item": "page 2", "count": 60.0, "low": 60.0, "high": 60.0},
        ],
        "quantiles:ms": {"0.5": {"value": 20.0, "low": 20.0, "high": 20.0}},
    }


@pytest.mark.parametrize(
    ("arguments", "counts"),
    [
        ([], [600]),
        (["--from", "2026-03-01", "--to", "2026-03-02"], [600]),
        (["--from", "2026-03-01T13:30:00+01:00", "--to", "2026-03-01T12:31:00Z"], [5]),
        (["--last", "2m"], [10]),
        (["--last", "1h", "--step", "30m"], [150, 150]),
        (["--by", "lang"], [120, 360, 120]),
        (["--where", "device=1", "--where", "lang="], [120]),
        (["--where", "lang=xx"], [0]),
        (["--last", "1m", "--by", "device"], [4, 1]),
    ],
)
def test_a_range_and_keys_are_chosen_by_flags(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], counts: list[int]
) -> None:
    assert [row["count"] for row in ask(store, capsys, "--measure", "count", *arguments)] == counts


def test_a_range_is_widened_to_whole_windows_and_says_so(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    launch.run_command(
        "query",
        query,
        ["--store", str(store), "--format", "json", "--from", "2026-03-01T12:00:30Z", "--to", "2026-03-01T12:01:01Z"],
    )
    told = capsys.readouterr()
    assert json.loads(told.out)["count"] == 10
    assert "2026-03-01T12:00:30Z becomes 2026-03-01T12:00:00Z" in told.err
    assert "2026-03-01T12:01:01Z becomes 2026-03-01T12:02:00Z" in told.err


def test_windows_that_are_not_over_are_left_out_and_told_unless_they_are_asked_for(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sketches: dict[str, Any] = {name: measure.empty.copy() for name, measure in MEASURES.items()}
    sketches["count"].add(6)
    with Store(str(store)) as live:
        live.write("a", [Leaf(NOON + n * MINUTE, ("en", 1), 1, sketches, closed=False) for n in (120, 121)])
    arguments = ["--store", str(store), "--format", "json", "--measure", "count", "--last", "3m"]
    launch.run_command("query", query, arguments)
    told = capsys.readouterr()
    assert json.loads(told.out)["count"] == 5
    assert "windows that are not over yet are left out: 2 of them; --open includes them" in told.err
    launch.run_command("query", query, [*arguments, "--open"])
    told = capsys.readouterr()
    assert json.loads(told.out)["count"] == 7
    assert not told.err


@pytest.mark.parametrize(
    ("arguments", "before", "counts"),
    [
        (["--last", "30m", "--compare", "previous"], ("13:00", "13:30"), (150, 150, 0)),
        (["--last", "30m", "--compare", "1h"], ("12:30", "13:00"), (150, 150, 0)),
        (["--from", "2026-03-01T13:50:00Z", "--compare", "2026-03-01T12:00:00Z/2026-03-01T12:01:00Z"],
         ("12:00", "12:01"), (50, 5, 45)),
        (["--where", "lang=ja", "--compare", "lang=en"], ("12:00", "14:00"), (120, 360, -240)),
        (["--where", "lang=ja", "--compare", "lang=en", "--compare", "1h", "--last", "1h"], ("12:00", "13:00"),
         (60, 180, -120)),
    ],
)  # fmt: skip
def test_a_range_is_compared_with_another_time_or_other_keys(
    store: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    before: tuple[str, str],
    counts: tuple[int, int, int],
) -> None:
    (row,) = ask(store, capsys, *arguments)
    assert row["before"] == {name: f"2026-03-01T{time}:00Z" for name, time in zip(("from", "to"), before, strict=True)}
    assert row["count"] == dict(zip(("now", "before", "change"), counts, strict=True))
    assert row["distinct:user"].keys() == {"now", "before", "change", "new", "both"}
    assert row["top:page"]["change"][0].keys() == {"item", "count", "low", "high"}
    assert row["quantiles:ms"]["change"]["0.5"].keys() == {"value", "low", "high"}


def test_comparisons_are_shown_in_every_format_and_tell_what_is_not_known(
    store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    options = query.Options(store=str(store), where=("lang=ja",), compare=("lang=en",), last="1h")
    query.run(options, [], console)
    lines = [line.split() for line in console.export_text().splitlines()]
    hour = "2026-03-01T13:00:00Z to 2026-03-01T14:00:00Z"
    assert f"{hour}, compared with {hour}".split() == [*lines[0], *lines[1]]  # wider than the table
    assert ["count", "60", "180", "-120"] in lines
    assert ["distinct:user", "1", "3", "-2", "1", "0"] in lines
    steps = query.Options(store=str(store), last="1h", step="30m", compare=("previous",), measure=("count",))
    query.run(steps, [], console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["2026-03-01T13:30:00Z", "2026-03-01T12:30:00Z", "count", "150", "150", "0"] in lines
    path = tmp_path / "changes.parquet"
    asked = ["--store", str(store), "--compare", "previous", "--by", "lang"]
    launch.run_command("query", query, [*asked, "--format", "parquet", "--output", str(path)])
    assert [row["change"] for row in pq.read_table(path)["count"].to_pylist()] == [120, 360, 120]
    assert (
        "the first window begins at 2026-03-01T12:00:00Z: nothing is known from 2026-03-01T10"
        in capsys.readouterr().err
    )
    launch.run_command("query", query, [*asked, "--format", "csv", "--measure", "count"])
    assert capsys.readouterr().out.splitlines()[:2] == [
        "lang,from,to,before.from,before.to,count.now,count.before,count.change",
        ",2026-03-01T12:00:00Z,2026-03-01T14:00:00Z,2026-03-01T10:00:00Z,2026-03-01T12:00:00Z,120,0,120",
    ]


def test_csv_has_a_column_for_each_number_and_parquet_is_typed(
    store: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    launch.run_command("query", query, ["--store", str(store), "--format", "csv", "--by", "device", "--last", "1m"])
    head, first, _ = capsys.readouterr().out.splitlines()
    assert head == (
        "device,from,to,count,distinct:user,distinct:user.low,distinct:user.high,top:page,"
        "quantiles:ms.0.5,quantiles:ms.0.5.low,quantiles:ms.0.5.high"
    )
    assert first.startswith('1,2026-03-01T13:59:00Z,2026-03-01T14:00:00Z,4,4.0,4.0,4.0,"[{""item"":')
    path = tmp_path / "nothing.parquet"
    empty = ["--store", str(store), "--format", "parquet", "--output", str(path), "--where", "lang=xx"]
    launch.run_command("query", query, empty)
    assert (pq.read_table(path)["count"].to_pylist(), pq.read_table(path)["quantiles:ms"].to_pylist()) == ([0], [None])
    path = tmp_path / "answers.parquet"
    launch.run_command("query", query, ["--store", str(store), "--format", "parquet", "--output", str(path)])
    assert pq.read_table(path)["count"].to_pylist() == [600]


def test_a_table_is_for_people(store: Path) -> None:
    console = Console(record=True, width=160, file=io.StringIO())
    query.run(query.Options(store=str(store), by="lang", measure=("count", "distinct:user")), [], console)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["en", "2026-03-01T12:00:00Z", "2026-03-01T14:00:00Z", "360", "3"] in lines


def test_damaged_rows_are_named_in_the_end_and_the_others_shown(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(store)) as database, database:
        for table in ("leaves", "nodes"):
            condition = "WHERE measure = 1 AND key_number IN (SELECT key_number FROM keys WHERE lang = 'ja')"
            database.execute(f"UPDATE {table} SET sketch = X'00' {condition}")  # noqa: S608
    with pytest.raises(launch.RunError, match=r"answers that need these are left out:\n.*leaves, measure 1, place"):
        ask(store, capsys, "--by", "lang")
    assert [json.loads(line)["lang"] for line in capsys.readouterr().out.splitlines()] == [None, "en"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--last", "1h", "--to", "2026-03-02"], "leave out --from and --to"),
        (["--format", "parquet"], "give --output"),
        (["--from", "noon"], "a time must be like 2026-03-01"),
        (["--from", "2026-03-01T12:00"], "a time must name its zone"),
        (["--where", "lang"], "a condition must be like lang=ja"),
        (["--where", "device=one"], "the key device is of the type integer, got 'one'"),
        (["--by", "country"], "the store has the keys lang, device, got country"),
        (["--measure", "max:ms"], "the store has the measures count, distinct:user"),
        (["--step", "90s"], "a step must be a multiple of windows"),
        (["--compare", "yesterday"], "a duration must be a number and one of"),
        (["--compare", "1h", "--compare", "previous"], "there must be one time to compare with, got 1h and previous"),
        (["--compare", "lang=en", "--by", "lang"], "keys that are compared cannot be grouped by, got lang"),
        (["--compare", "90s"], "a range must begin and end with windows"),
        (["--direct_num_workers", "2"], "takes no flags of Beam"),
        (["--store", "nowhere.db"], "there must be a store at nowhere.db"),
    ],
)
def test_what_cannot_be_asked_is_refused(
    store: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str
) -> None:
    with pytest.raises(UsageError, match=problem):
        ask(store, capsys, *arguments)

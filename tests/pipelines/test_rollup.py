"""Rollup: any file of events into a store that equals brute force, and never doubles."""

from __future__ import annotations

import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import apache_beam as beam
import fastavro
import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from rich.console import Console

from pipelines import launch, rollup
from pipelines.connectors.write_store import require_reach
from pipelines.options import UsageError
from rollups import Store

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MEASURES = ("distinct:user", "top:page=3", "sum:bytes", "quantiles:ms=0.5")


def events(number: int, seed: int = 1) -> list[dict[str, Any]]:
    chance = Random(seed)
    return [
        {
            "at": (NOON + timedelta(milliseconds=chance.randrange(300_000))).isoformat(),
            "lang": chance.choice(["en", "ja", None]),
            "user": chance.randrange(40),
            "page": chance.choice("abcdefgh"),
            "bytes": chance.randrange(1000),
            "ms": chance.random(),
        }
        for _ in range(number)
    ]


def as_jsonl(rows: list[dict[str, Any]], path: Path) -> Path:
    path = path.with_suffix(".jsonl")
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)) + b"\n")
    return path


def as_parquet(rows: list[dict[str, Any]], path: Path) -> Path:
    path = path.with_suffix(".parquet")
    timed = [{**row, "at": datetime.fromisoformat(row["at"])} for row in rows]
    pq.write_table(pa.Table.from_pylist(timed), path)
    return path


def as_avro(rows: list[dict[str, Any]], path: Path) -> Path:
    path = path.with_suffix(".avro")
    kinds = {
        "at": "string",
        "lang": ["null", "string"],
        "user": "long",
        "page": "string",
        "bytes": "long",
        "ms": "double",
    }
    schema = {"type": "record", "name": "Event", "fields": [{"name": n, "type": kind} for n, kind in kinds.items()]}
    with path.open("wb") as file:
        fastavro.writer(file, schema, rows)
    return path


def roll_up(source: Path | str, store: Path, **options: Any) -> Any:
    given = {"event_time": "at", "by": "lang", "measure": MEASURES, **options}
    chosen = rollup.Options(input=str(source), store=str(store), **given)
    return launch.run("rollup", rollup, chosen, [], Console(quiet=True))


def windows(store: Path) -> dict[tuple[str, str | None], dict[str, Any]]:
    with Store(str(store)) as opened:
        rows = opened.query(by=("lang",), step=timedelta(seconds=10))
        return {(row.start.isoformat(), row.group["lang"]): dict(row.values) for row in rows}


def images(store: Path) -> dict[Any, dict[str, bytes]]:
    """Every window and key, and the bytes of its sketches."""
    with Store(str(store)) as opened:
        rows = opened.query(by=("lang",), step=timedelta(seconds=10))
        return {
            (row.start, row.group["lang"]): {name: sketch.to_bytes() for name, sketch in row.sketches.items()}
            for row in rows
        }


@pytest.mark.parametrize("write", [as_jsonl, as_parquet, as_avro])
def test_every_window_and_key_answers_as_brute_force_does(
    tmp_path: Path, write: Callable[[list[dict[str, Any]], Path], Path]
) -> None:
    rows = events(1000)
    ledger = roll_up(write(rows, tmp_path / "events"), tmp_path / "store.db")
    assert (ledger.read, ledger.used) == (1000, 1000)
    expected = defaultdict(list)
    for row in rows:
        at = datetime.fromisoformat(row["at"])
        start = at - timedelta(seconds=at.second % 10, microseconds=at.microsecond)
        expected[start.isoformat(), row["lang"]].append(row)
    told = windows(tmp_path / "store.db")
    assert told.keys() == expected.keys()
    for place, inside in expected.items():
        values = told[place]
        assert values["count"] == len(inside)
        assert values["sum:bytes"] == sum(row["bytes"] for row in inside)
        assert values["distinct:user"].value == len({row["user"] for row in inside})
        counts = Counter(row["page"] for row in inside)
        assert {item: of.value for item, of in values["top:page"]}.items() <= counts.items()
        assert [of.value for _, of in values["top:page"]] == sorted(counts.values(), reverse=True)[:3]


def test_the_same_run_again_changes_nothing_and_other_input_adds(tmp_path: Path) -> None:
    store, first, second = tmp_path / "store.db", events(200, seed=1), events(100, seed=2)
    one = as_jsonl(first, tmp_path / "one")
    roll_up(one, store)
    before = windows(store)
    roll_up(one, store)
    assert windows(store) == before
    roll_up(as_jsonl(second, tmp_path / "two"), store)
    assert sum(values["count"] for values in windows(store).values()) == 300


def test_a_file_that_has_lost_rows_does_not_replace_what_counted_more_unless_it_is_a_rebuild(tmp_path: Path) -> None:
    store, rows = tmp_path / "store.db", events(200)
    path = as_jsonl(rows, tmp_path / "events")
    roll_up(path, store)
    whole = windows(store)
    as_jsonl(rows[:150], tmp_path / "events")
    roll_up(path, store)
    assert windows(store) == whole
    roll_up(path, store, rebuild=True)
    assert sum(values["count"] for values in windows(store).values()) < 200


def test_rows_that_do_not_fit_are_rejects_with_their_reason(tmp_path: Path) -> None:
    rows = events(20)
    bad = [{**rows[0], "at": None}, {**rows[0], "bytes": "many"}, {**rows[0], "lang": {"a": 1}}]
    ledger = roll_up(as_jsonl([*rows, *bad], tmp_path / "events"), tmp_path / "store.db")
    assert (ledger.read, ledger.used, ledger.rejected) == (23, 20, 3)
    (file,) = (tmp_path / "store.db.rejects").iterdir()
    rejects = [json.loads(line) for line in file.read_text().splitlines()]
    reasons = sorted(reject["error"] for reject in rejects)
    assert reasons[0].startswith("at: ")
    assert reasons[1:] == ["bytes must be a number, got 'many'", "lang must be text, got dict"]


def test_a_parquet_file_without_a_column_is_one_reject_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    as_parquet(events(20), tmp_path / "in" / "a")
    rows = [{name: value for name, value in row.items() if name != "bytes"} for row in events(20)]
    as_parquet(rows, tmp_path / "in" / "b")
    ledger = roll_up(tmp_path / "in", tmp_path / "store.db")
    assert (ledger.read, ledger.used, ledger.rejected) == (21, 20, 1)
    (file,) = (tmp_path / "store.db.rejects").iterdir()
    assert "there must be a column bytes" in file.read_text()


def test_a_column_that_the_first_parquet_file_does_not_have_is_refused_with_what_may_be_meant(tmp_path: Path) -> None:
    path = as_parquet(events(20), tmp_path / "events")
    with pytest.raises(UsageError, match=r"there is no field user_id in .*events.parquet: did you mean user\?"):
        roll_up(path, tmp_path / "store.db", measure=("distinct:user_id",))
    with pytest.raises(UsageError, match="the column lang must hold numbers, got string"):
        roll_up(path, tmp_path / "store.db", by="", measure=("sum:lang",))


def test_windows_that_count_fewer_records_than_before_are_left_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows, store = events(200), tmp_path / "store.db"
    roll_up(as_jsonl(rows, tmp_path / "all"), store, contribution="mine")
    before = windows(store)
    roll_up(as_jsonl(rows[:60], tmp_path / "part"), store, contribution="mine")
    assert windows(store) == before
    (told,) = [record.getMessage() for record in caplog.records if "fewer records" in record.getMessage()]
    assert re.match(r"\d+ windows of keys count fewer records than what .*store.db has", told)
    roll_up(as_jsonl(rows[:60], tmp_path / "part2"), store, contribution="mine", rebuild=True)
    assert windows(store) != before


@pytest.mark.parametrize("write", [as_jsonl, as_parquet])
def test_fields_that_no_row_has_are_measured_as_nothing(
    tmp_path: Path, write: Callable[[list[dict[str, Any]], Path], Path]
) -> None:
    rows = [{**row, "nobody": None} for row in events(30)]
    measures = ("distinct:nobody", "top:nobody=3", "sum:nobody", "max:nobody", "quantiles:nobody=0.5")
    roll_up(write(rows, tmp_path / "events"), tmp_path / "store.db", by="", measure=measures)
    with Store(str(tmp_path / "store.db")) as store:
        (answer,) = store.query()
    assert (answer.values["count"], answer.values["distinct:nobody"].value, answer.values["sum:nobody"]) == (30, 0, 0)
    assert (answer.values["top:nobody"], answer.values["quantiles:nobody"]) == ([], {})


def test_fields_without_a_value_are_told_and_one_that_nobody_has_with_what_may_be_meant(tmp_path: Path) -> None:
    rows = events(300)
    path = as_jsonl(rows, tmp_path / "events")
    options = rollup.Options(
        input=str(path), store=str(tmp_path / "store.db"), event_time="at", by="lang", measure=("top:pgae",)
    )
    console = Console(record=True, width=120, file=io.StringIO())
    launch.run("rollup", rollup, options, [], console)
    told = console.export_text()
    missing = sum(row["lang"] is None for row in rows)
    assert re.search(rf"lang +{missing} +{missing / 3:.1f} %", told)
    assert re.search(r"pgae +300 +100.0 %", told)
    assert "rollup: no row has a field pgae; did you mean page?" in told
    assert "user" not in told


@pytest.mark.parametrize("write", [as_jsonl, as_parquet, as_avro])
def test_raw_events_are_kept_as_they_came_once(
    tmp_path: Path, write: Callable[[list[dict[str, Any]], Path], Path]
) -> None:
    rows = events(200)
    rows += [{**row, "at": (NOON + timedelta(days=1)).isoformat()} for row in events(5, seed=2)]
    path, raw = write(rows, tmp_path / "events"), tmp_path / "raw"
    for _ in range(2):  # the second run adds nothing
        ledger = roll_up(path, tmp_path / "store.db", raw=str(raw))
        assert ledger.used == 205
    kept = [row for file in sorted(raw.glob("*.parquet")) for row in pq.read_table(file).to_pylist()]
    assert [file.name[:8] for file in sorted(raw.glob("*.parquet"))] == ["20260301", "20260302"]
    told = Counter((row["time"], orjson.dumps(json.loads(row["fields"]) | {"at": None})) for row in kept)
    assert told == Counter((datetime.fromisoformat(row["at"]), orjson.dumps(row | {"at": None})) for row in rows)


def test_a_damaged_file_among_others_is_a_reject_and_no_reason_to_refuse(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.parquet").write_bytes(b"garbage")
    as_parquet(events(20), tmp_path / "in" / "b")
    ledger = roll_up(tmp_path / "in", tmp_path / "store.db")
    assert (ledger.read, ledger.used, ledger.rejected) == (21, 20, 1)


def test_where_all_is_told_on_the_console_the_fields_are_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    roll_up(as_jsonl(events(20), tmp_path / "events"), tmp_path / "store.db", output="-", by="", measure=("top:pgae",))
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert {"field": "pgae", "rows": 20, "missing": 20} in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "store.db"]


@pytest.mark.parametrize("write", [as_jsonl, as_parquet])
def test_a_condition_keeps_some_events_and_the_ledger_counts_the_others(
    tmp_path: Path, write: Callable[[list[dict[str, Any]], Path], Path]
) -> None:
    rows = events(600)
    kept = [row for row in rows if row["bytes"] >= 500 and row["lang"] == "ja"]
    ledger = roll_up(write(rows, tmp_path / "all"), tmp_path / "where.db", where="bytes >= 500 and lang == 'ja'")
    assert (ledger.read, ledger.used, ledger.filtered) == (600, len(kept), 600 - len(kept))
    roll_up(write(kept, tmp_path / "kept"), tmp_path / "kept.db")
    assert windows(tmp_path / "where.db") == windows(tmp_path / "kept.db")


def test_a_condition_may_ask_of_the_time_and_of_fields_that_are_not_measured(tmp_path: Path) -> None:
    rows = events(200)
    path = as_jsonl(rows, tmp_path / "events")
    ledger = roll_up(
        path, tmp_path / "store.db", measure=(), by="", where="at >= '2026-03-01T12:02:00Z' and page in ('a', 'b')"
    )
    late = (NOON + timedelta(minutes=2)).isoformat()
    assert ledger.used == sum(row["at"] >= late and row["page"] in {"a", "b"} for row in rows)


@pytest.mark.parametrize("write", [as_jsonl, as_parquet])
def test_a_condition_leaves_what_is_measured_as_it_is(
    tmp_path: Path, write: Callable[[list[dict[str, Any]], Path], Path]
) -> None:
    path = write(events(300), tmp_path / "events")
    measures = ("top:user=5", "distinct:user", "quantiles:bytes=0.5", "sum:bytes")
    for name, where in (("all", ""), ("where", "user >= 0 and bytes > -1")):
        roll_up(path, tmp_path / f"{name}.db", measure=measures, where=where)
    assert images(tmp_path / "where.db") == images(tmp_path / "all.db")
    (answer, *_) = windows(tmp_path / "where.db").values()
    assert all(isinstance(item, int) for item, _ in answer["top:user"])


def test_a_number_that_no_column_holds_is_a_reject(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"at": NOON.isoformat(), "user": user} for user in (1, 2**63, 2.5)]
    ledger = roll_up(as_jsonl(rows, tmp_path / "events"), tmp_path / "store.db", by="", measure=("distinct:user",))
    assert (ledger.used, ledger.rejected) == (2, 1)


def test_a_value_that_a_condition_cannot_compare_is_a_reject(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"at": NOON.isoformat(), "status": status} for status in (200, 503, "down", None)]
    ledger = roll_up(
        as_jsonl(rows, tmp_path / "events"), tmp_path / "store.db", measure=(), by="", where="status >= 500"
    )
    assert (ledger.used, ledger.filtered, ledger.rejected) == (1, 2, 1)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"window": rollup.WindowPolicy("session 5m")}, "a store keeps windows of one size"),
        ({"measure": ("sum:lang",)}, "the field lang is used as text and as number"),
        ({"by": "lang:colour"}, "keys must be of text, integer, real, boolean, got colour"),
        ({"measure": ("many:x",)}, "a measure must begin with one of"),
        ({"where": "lang > 5"}, "5 must be a text, and is a number"),
        ({"where": "exit()"}, "is not understood"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path: Path, options: dict[str, Any], problem: str) -> None:
    path = as_jsonl(events(2), tmp_path / "events")
    with pytest.raises((UsageError, ValueError), match=problem):
        roll_up(path, tmp_path / "store.db", **options)


def test_a_store_of_other_measures_is_refused(tmp_path: Path) -> None:
    path = as_jsonl(events(2), tmp_path / "events")
    roll_up(path, tmp_path / "store.db")
    with pytest.raises(UsageError, match="the store has the measures"):
        roll_up(path, tmp_path / "store.db", measure=("distinct:user",))


def test_an_access_log_is_measured_by_its_fields(tmp_path: Path) -> None:
    line = '{host} - - [01/Mar/2026:13:00:{second:02} +0100] "GET {path} HTTP/1.1" {status} {bytes} "-" "curl/8.0"\n'
    asked = [("10.0.0.1", 5, "/a?x=1", 200, 10), ("10.0.0.2", 6, "/a", 200, 30), ("10.0.0.1", 15, "/b", 404, "-")]
    path = tmp_path / "access.log"
    names = ("host", "second", "path", "status", "bytes")
    path.write_text("".join(line.format(**dict(zip(names, row, strict=True))) for row in asked) + "nonsense\n")
    measure = ("distinct:host", "top:path=2", "sum:bytes")
    ledger = roll_up(path, tmp_path / "store.db", event_time="time", by="status:integer", measure=measure)
    assert (ledger.read, ledger.used, ledger.rejected) == (4, 3, 1)
    with Store(str(tmp_path / "store.db")) as store:
        first, second = store.query(by=("status",))
    assert first.as_json() == {
        "status": 200, "from": "2026-03-01T12:00:00Z", "to": "2026-03-01T12:00:20Z",
        "count": 2,
        "distinct:host": {"value": 2.0, "low": 2.0, "high": 2.0},
        "top:path": [{"item": "/a", "count": 2.0, "low": 2.0, "high": 2.0}],
        "sum:bytes": 40,
    }  # fmt: skip
    assert (second.group["status"], second.values["count"]) == (404, 1)


@pytest.mark.parametrize(
    ("runner", "flags", "refused"),
    [
        ("FlinkRunner", [], True),
        ("FlinkRunner", ["--environment_type=LOOPBACK"], False),
        ("FlinkRunner", ["--environment_type=DOCKER"], True),
        ("PrismRunner", [], False),
        ("PrismRunner", ["--environment_type=DOCKER"], True),
        ("FnApiRunner", [], False),
    ],
)
def test_a_file_as_a_store_is_refused_where_workers_may_run_on_other_hosts(
    runner: str, flags: list[str], refused: bool
) -> None:
    pipeline = beam.Pipeline(runner=runner, options=PipelineOptions(flags))
    require_reach("postgresql://user@host/name", pipeline)
    with pytest.raises(ValueError, match=f"workers of {runner} may run on others") if refused else nullcontext():
        require_reach("rollups.db", pipeline)

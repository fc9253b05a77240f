"""Report: a page of a store, from the command line."""

from __future__ import annotations

import builtins
import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipelines import launch, report
from pipelines.options import UsageError
from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import Count, Question

MINUTE = 60_000_000
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Two hours, of which each minute has one record more than the one before."""
    place = tmp_path / "visits.db"
    measures = {"count": StoredMeasure(Count(), Question("count"))}
    with Store.create(str(place), window=MINUTE, by={"lang": "text"}, measures=measures) as made:
        leaves = []
        for n in range(120):
            count = Count()
            count.add_many(range(n + 1))
            leaves.append(Leaf(NOON + n * MINUTE, ("en",), n + 1, {"count": count}))
        made.write("a", leaves)
        made.settle()
    return place


def page_of(store: Path, *arguments: str) -> str:
    output = store.with_name("page.html")
    launch.run_command("report", report, ["--store", str(store), "--output", str(output), *arguments])
    return output.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "start", "end", "records"),
    [
        ([], "12:00", "14:00", 7260),
        (["--last", "1h"], "13:00", "14:00", 5430),
        (["--from", "2026-03-01T12:10:00Z", "--to", "2026-03-01T12:12:00Z"], "12:10", "12:12", 23),
    ],
)
def test_the_range_is_chosen_by_flags(store: Path, arguments: list[str], start: str, end: str, records: int) -> None:
    page = page_of(store, *arguments)
    assert f'<main data-from="2026-03-01T{start}:00Z" data-to="2026-03-01T{end}:00Z">' in page
    assert f'data-value="{records}"' in page


def test_a_store_is_named_without_its_flag(store: Path) -> None:
    output = store.with_name("page.html")
    launch.run_command("report", report, [str(store), "--output", str(output)])
    assert output.read_text(encoding="utf-8") == page_of(store)


def test_the_step_is_chosen_by_a_flag(store: Path) -> None:
    assert "Every 30 minutes, in UTC." in page_of(store, "--step", "30m")


def test_a_range_is_widened_to_whole_windows_and_says_so(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = page_of(store, "--from", "2026-03-01T12:10:30Z")
    assert '<main data-from="2026-03-01T12:10:00Z"' in page
    assert "report: windows are 0:01:00 long; 2026-03-01T12:10:30Z becomes" in capsys.readouterr().err


def test_the_page_is_named_after_the_store_and_tells_nothing_of_its_server(store: Path) -> None:
    assert "<title>visits</title>" in page_of(store)
    assert "<title>Mine &amp; yours</title>" in page_of(store, "--title", "Mine & yours")
    options = report.Options(store="postgresql://ana:secret@db.example/visits?password=secret", output="page.html")
    assert options.title == "visits"


def ledger(**counts: int) -> str:
    return json.dumps(counts) + "\n"


def test_ledgers_beside_the_store_are_found_and_summed(store: Path) -> None:
    assert "Where every record went" not in page_of(store)
    beside = store.with_name("visits.db.ledger")
    beside.mkdir()
    (beside / "20260301T120000.000000Z.json").write_text(ledger(read=10, used=8, rejected=2))
    growing = beside / "20260302T120000.000000Z"  # that of a run without an end
    growing.mkdir()
    window = {"window_start": "2026-03-01T12:00:00Z", "window_end": "2026-03-01T12:01:00Z"}
    (growing / "0.jsonl").write_text(
        ledger(read=4, used=3, late=1) + json.dumps({**window, "read": 4, "used": 3, "late": 1})
    )
    (growing / "1.jsonl").write_text(ledger(read=1, used=1))
    page = page_of(store)
    assert '<span data-value="15" data-source="ledger read">' in page
    assert '<span data-value="12" data-source="ledger used">' in page
    assert '<span data-value="2" data-source="runs">' in page
    assert "1 March 2026, 12:00</th>" in page


def test_a_ledger_may_be_named(store: Path, tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text(ledger(read=10, used=9))
    page = page_of(store, "--ledger", str(tmp_path / "other.json"))
    assert "the ledger does not balance" in page


def test_damaged_rows_are_named_after_the_page_is_written(store: Path) -> None:
    with closing(sqlite3.connect(store)) as database, database:
        database.execute("UPDATE leaves SET sketch = X'00' WHERE place = ?", [NOON // MINUTE])
        database.execute("DELETE FROM nodes")
    with pytest.raises(launch.RunError, match=r"left out of the page:\n.*leaves, measure 1, place"):
        page_of(store)
    assert "What could not be read" in store.with_name("page.html").read_text(encoding="utf-8")


def test_without_the_extra_it_says_what_to_install(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = builtins.__import__

    def absent(name: str, *rest: Any, **more: Any) -> Any:
        if name == "reports.page":
            raise ModuleNotFoundError("No module named 'jinja2'", name="jinja2")
        return found(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(UsageError, match=r"pip install 'streamsketch\[report\]' \(No module named 'jinja2'\)"):
        page_of(store)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--last", "1h", "--to", "2026-03-02"], "leave out --from and --to"),
        (["--from", "noon"], "a time must be like 2026-03-01"),
        (["--from", "2026-03-01T12:00"], "a time must name its zone"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "a range must end after it begins"),
        (["--step", "90s"], "a step must be a multiple of windows"),
        (["--ledger", "nowhere.json"], "there is no ledger 'nowhere.json'"),
        (["--output", "nowhere/page.html"], "must be a file that can be written, got nowhere/page.html"),
        (["--direct_num_workers", "2"], "takes no flags of Beam"),
        (["--store", "nowhere.db"], "there must be a store at nowhere.db"),
    ],
)
def test_what_cannot_be_shown_is_refused(store: Path, arguments: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        page_of(store, *arguments)

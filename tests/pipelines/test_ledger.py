"""The ledger of a run: a line for all records, a line for each window, and a table of those that tell something."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pytest
from rich.console import Console

from pipelines import collect_tweets, launch
from pipelines.connectors import read, write
from pipelines.ledger import read_ledger, show_windows, write_ledger
from pipelines.options import JobOptions
from transforms.accounting import CountRecords, CountWritten, Ledger, WindowLedger
from transforms.lateness import Gate
from transforms.parsing import parse_tweet
from transforms.tallies import CountByWindow, CountWrittenByWindow
from transforms.watermarks import FromData
from transforms.windowing import ApplyWindow, WindowPolicy

TWEET = '{{"id": {0}, "created_at": "2026-03-01T12:{1}:00Z", "text": "hi"}}\n'


def gated_job(losing: bool) -> Any:
    """Copies tweets that are in time, into an hour each; a losing one forgets one tweet."""

    def build(pipeline: beam.Pipeline, options: JobOptions) -> None:
        tweets = pipeline | "Read" >> read(options.input, parse_tweet, limit=1000)
        policy = WindowPolicy("10m")
        gate = tweets.records | Gate(policy, FromData("1m"))
        kept = gate.in_time | "Lose" >> beam.Filter(lambda tweet: not losing or tweet.id != "2")
        files = kept | ApplyWindow(policy) | "Write" >> write(options.output)
        windows = {
            "read": gate.read,
            "used": files | "UsedByWindow" >> CountWrittenByWindow(),
            "late": gate.late | "LateByWindow" >> CountByWindow(policy.window),
        }
        used = files | "Used" >> CountWritten()
        write_ledger(options, tweets, windows, used=used, late=gate.late | "Late" >> CountRecords())

    return SimpleNamespace(build=build)


@pytest.fixture
def options(tmp_path: Path) -> JobOptions:
    minutes = ["01", "02", "31", "03", "32"]
    lines = [TWEET.format(number, minute) for number, minute in enumerate(minutes)]
    (tmp_path / "in.jsonl").write_text("".join([*lines, "no tweet\n"]))
    return JobOptions(input=f"{tmp_path}/in.jsonl", output=f"{tmp_path}/out/", ledger=f"{tmp_path}/ledger.json")


def test_late_tweets_stand_in_the_ledger_of_the_window_that_they_missed(
    options: JobOptions, rows_of: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = launch.run("copy", gated_job(losing=False), options, [], Console())
    assert str(ledger) == "6 read = 4 used + 1 rejected + 1 late"
    first, half = datetime(2026, 3, 1, 12, tzinfo=UTC), datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    windows = [
        WindowLedger(read=3, used=2, late=1, window_start=first, window_end=first.replace(minute=10)),
        WindowLedger(read=2, used=2, window_start=half, window_end=half.replace(minute=40)),
    ]
    assert read_ledger(options.ledger) == (ledger, windows)
    rows = rows_of(Path(options.ledger))
    assert rows[0] == ledger.counts()
    assert list(rows[1])[:3] == ["window_start", "window_end", "read"]
    assert rows[1]["window_start"] == "2026-03-01T12:00:00Z"
    shown = capsys.readouterr().err
    assert "copy: 1 of 2 windows did not use all that they read\n" in shown
    assert "2026-03-01 12:00:00" in shown
    assert "12:30:00" not in shown


def test_a_window_that_lost_a_tweet_fails_the_run(options: JobOptions) -> None:
    with pytest.raises(launch.RunError, match="does not balance: 6 read, but 3 used"):
        launch.run("copy", gated_job(losing=True), options, [], Console())
    ledger, windows = read_ledger(options.ledger)
    assert (ledger.missing, [window.missing for window in windows]) == (1, [0, 1])


def test_only_the_last_windows_that_tell_something_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    windows = [WindowLedger(read=2, used=1, late=1, window_start=start.replace(hour=hour)) for hour in range(24)]
    show_windows("copy", [*windows, WindowLedger(read=5, used=5)], "ledger.json", Console())
    shown = capsys.readouterr().out
    assert "copy: 24 of 25 windows did not use all that they read; the last 10, all are in ledger.json\n" in shown
    assert "2026-03-01 14:00:00" in shown
    assert "2026-03-01 13:00:00" not in shown


@pytest.mark.parametrize(("interval", "windows"), [("10m", 6), ("all", 1), ("session 10m", 0)])
def test_collected_tweets_are_accounted_for_by_interval(tmp_path: Path, interval: str, windows: int) -> None:
    options = collect_tweets.Options(
        input="sample:tweets.jsonl",
        output=f"{tmp_path}/out/",
        format="jsonl",
        interval=WindowPolicy.parse(interval),
        ledger=f"{tmp_path}/ledger.json",
    )
    launch.run("collect", collect_tweets, options, [], Console(quiet=True))
    ledger, of_windows = read_ledger(options.ledger)
    assert len(of_windows) == windows
    if windows:
        assert sum(of_windows, Ledger()) == Ledger(read=1975, used=1975)
    assert ledger == Ledger(read=2000, used=1975, rejected=25)


def test_pieces_that_a_stream_left_in_a_directory_are_summed(tmp_path: Path) -> None:
    window = '"window_start":"2026-03-01T12:{0}:00Z","window_end":"2026-03-01T12:{0}:10Z"'
    later, early = window.format("05"), window.format("00")
    (tmp_path / "b.jsonl").write_text(f'{{"read":3,"late":1}}\n{{{later},"read":2,"used":2}}\n')
    (tmp_path / "a.jsonl").write_text(f'{{{later},"read":1,"late":1}}\n{{{early},"read":7,"used":6}}\n{{"used":2}}\n')
    (tmp_path / ".c.tmp").write_text('{"read":')  # not yet complete
    ledger, windows = read_ledger(f"{tmp_path}/")
    assert ledger == Ledger(read=3, used=2, late=1)
    first, second = (
        (datetime(2026, 3, 1, 12, at, tzinfo=UTC), datetime(2026, 3, 1, 12, at, 10, tzinfo=UTC)) for at in (0, 5)
    )
    assert windows == [
        WindowLedger(read=7, used=6, window_start=first[0], window_end=first[1]),
        WindowLedger(read=3, used=2, late=1, window_start=second[0], window_end=second[1]),
    ]
    assert read_ledger(f"{tmp_path}/none/") == (Ledger(), [])
    with pytest.raises(FileNotFoundError, match=r"there is no ledger .*none.json"):
        read_ledger(f"{tmp_path}/none.json")

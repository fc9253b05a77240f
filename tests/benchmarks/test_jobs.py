"""The jobs: our answers are those of the oracle, the oracle those of plain Python, and wrong answers are told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).parents[2]
PERIOD = 5_000_000


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are not installed, as the packages are."""
    monkeypatch.syspath_prepend(str(ROOT))


@pytest.fixture
def events(tmp_path: Path) -> Path:
    from benchmarks.jobs.data import events_file

    return events_file(tmp_path, 2000)


def run_jobs(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.jobs", *flags],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        capture_output=True,
        check=False,
    )


def test_all_of_our_answers_are_within_their_error(tmp_path: Path) -> None:
    told = tmp_path / "figures.json"
    done = run_jobs("--systems", "ours", "--events", "20000", "--rounds", "1", "--json", str(told))
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(told.read_text())["figures"]
    assert [one["job"] for one in figures] == ["J1", "J2a", "J2b", "J2h", "J2s", "J3", "J3", "J4", "J5", "J5", "J5"]
    assert {one["problem"] for one in figures} == {None}
    assert {len(one["runs"]) for one in figures} == {2}
    assert done.stdout.count("| streamsketch |") == len(figures)


def test_a_system_that_is_not_there_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.jobs.systems import SYSTEMS

    monkeypatch.setenv("PATH", "")
    assert SYSTEMS["ours"].installed
    assert not SYSTEMS["spark"].installed
    assert all("pip install" in system.install for system in SYSTEMS.values() if system.needs)


def test_the_same_events_are_made_again(tmp_path: Path, events: Path) -> None:
    from benchmarks.jobs.data import events_file

    again = tmp_path / "again"
    again.mkdir()
    table = pq.read_table(events)
    assert table.equals(pq.read_table(events_file(again, 2000)))
    assert table["time"].to_pylist() != sorted(table["time"].to_pylist())


@pytest.mark.parametrize(("job", "length"), [("J2a", 1), ("J2b", 1), ("J2s", 12)])
def test_the_oracle_counts_users_as_sets_do(events: Path, tmp_path: Path, job: str, length: int) -> None:
    from benchmarks.jobs.jobs import JOBS

    users = defaultdict(set)
    columns = [pa.compute.cast(pq.read_table(events)["time"], pa.int64()).to_pylist()]
    columns += [pq.read_table(events)[name].to_pylist() for name in (JOBS[job].key, "user")]
    for time, key, user in zip(*columns, strict=True):
        for pane in range(length):
            users[(time // PERIOD - pane) * PERIOD, key].add(user)
    rows = [{"start": start, "key": key, "users": len(of_group)} for (start, key), of_group in users.items()]
    assert error_of(job, "exact", events, tmp_path, rows) == 0.0
    with pytest.raises(ValueError, match="off by"):
        error_of(job, "exact", events, tmp_path, [rows[0] | {"users": rows[0]["users"] + 1}, *rows[1:]])
    with pytest.raises(ValueError, match="windows and keys"):
        error_of(job, "exact", events, tmp_path, rows[1:])
    with pytest.raises(ValueError, match="windows and keys"):
        error_of(job, "exact", events, tmp_path, [*rows, rows[0]])


@pytest.mark.parametrize("off", ["rank", "value"])
def test_the_oracle_knows_ranks_and_values_of_latencies(events: Path, tmp_path: Path, off: str) -> None:
    windows = defaultdict(list)
    times = pa.compute.cast(pq.read_table(events)["time"], pa.int64()).to_pylist()
    for time, latency in zip(times, pq.read_table(events)["latency"].to_pylist(), strict=True):
        windows[time // PERIOD * PERIOD].append(latency)
    rows = [
        {"start": start, "p50": sorted(values)[(len(values) - 1) // 2], "p99": sorted(values)[len(values) * 99 // 100]}
        for start, values in windows.items()
    ]
    assert error_of("J3", off, events, tmp_path, rows) == 0.0
    wrong = [rows[0] | {"p50": 2 * rows[0]["p99"]}, *rows[1:]]
    with pytest.raises(ValueError, match=f"off by .*{off}"):
        error_of("J3", off, events, tmp_path, wrong)
    with pytest.raises(ValueError, match="windows are not those"):
        error_of("J3", off, events, tmp_path, rows[1:])


def test_the_oracle_knows_how_often_words_came(events: Path, tmp_path: Path) -> None:
    counts: dict[str, int] = defaultdict(int)
    for word in pq.read_table(events)["word"].to_pylist():
        counts[word] += 1
    rows: list[dict[str, Any]] = [{"word": word, "count": count} for word, count in counts.items()]
    rows.sort(key=lambda row: -row["count"])
    assert error_of("J1", "exact", events, tmp_path, rows) == 0.0
    assert error_of("J4", "share", events, tmp_path, rows[:20]) == 0.0
    with pytest.raises(ValueError, match="words are not those"):
        error_of("J1", "exact", events, tmp_path, rows[1:])
    with pytest.raises(ValueError, match="off by"):
        error_of("J1", "exact", events, tmp_path, [rows[0] | {"count": 1}, *rows[1:]])
    with pytest.raises(ValueError, match="off by"):
        error_of("J4", "share", events, tmp_path, [*rows[:19], rows[-1]])
    with pytest.raises(ValueError, match="must be 20 words, got 19"):
        error_of("J4", "share", events, tmp_path, rows[:19])


def test_a_whole_profile_is_shared_out_to_parts() -> None:
    from benchmarks.jobs.profiling import by_part

    read, group, c = ("/x/benchmarks/jobs/reading.py", 1, "read"), ("/x/transforms/columnar.py", 1, "of"), ("~", 0, "c")
    numpy = ("/y/numpy/lib.py", 1, "unique")
    stats: Any = {
        read: (1, 1, 1.0, 4.0, {}),
        group: (1, 1, 2.0, 8.0, {}),
        numpy: (1, 1, 1.0, 6.0, {group: (1, 1, 1.0, 6.0)}),
        c: (9, 9, 8.0, 8.0, {read: (1, 1, 3.0, 3.0), numpy: (8, 8, 5.0, 5.0)}),
    }
    assert by_part(stats) == {"reading": 4.0, "grouping": 8.0}


def error_of(job: str, off: Any, events: Path, folder: Path, rows: list[dict[str, Any]]) -> float:
    """What the oracle says of answers that a way has written."""
    from benchmarks.jobs.exact import Truth
    from benchmarks.jobs.jobs import JOBS, Way

    written = folder / "answers.parquet"
    pq.write_table(pa.Table.from_pylist(rows), written)
    return Truth(JOBS[job], events, 2000).error_of(Way(job, "", None, off, 0.0 if off == "exact" else 0.001), written)

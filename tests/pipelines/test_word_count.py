"""The word count pipeline: files, windows, times of their own and times of their source."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pipelines import word_count
from pipelines.launch import run_command
from pipelines.options import UsageError

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def run(*arguments: str) -> None:
    run_command("word_count", word_count, arguments)


def test_words_are_counted_in_the_windows_of_their_texts(tmp_path: Path, rows_of: Callable[..., list[Any]]) -> None:
    texts = [(second, f"to be {'or not' if second % 3 else ''}  to be {second % 5}") for second in range(0, 60, 2)]
    lines = [
        f'{{"text": "{text}", "created_at": "{(NOON + timedelta(seconds=at)).isoformat()}"}}' for at, text in texts
    ]
    (tmp_path / "texts.jsonl").write_text("\n".join([*lines, '{"text": 1}', '{"created_at": 0}']))
    run("--input", f"{tmp_path}/texts.jsonl", "--output", f"{tmp_path}/counts.jsonl", "--window", "10s")
    expected = Counter((at // 10 * 10, word) for at, text in texts for word in text.split())
    rows = rows_of(tmp_path / "counts.jsonl")
    assert {(row["window_start"], row["window_end"], row["word"]): row["count"] for row in rows} == {
        (f"2026-03-01T12:00:{at:02}Z", f"2026-03-01T12:{(at + 10) // 60:02}:{(at + 10) % 60:02}Z", word): count
        for (at, word), count in expected.items()
    }
    ledger, *windows = rows_of(tmp_path / "counts.ledger.json")
    assert (ledger["read"], ledger["used"], ledger["rejected"]) == (32, 30, 2)
    assert [(window["read"], window["used"]) for window in windows] == [(5, 5)] * 6


def test_a_line_without_a_time_came_when_its_file_was_written(
    tmp_path: Path, rows_of: Callable[..., list[Any]]
) -> None:
    for name, hour in (("one", 1), ("other", 2)):
        file = tmp_path / f"{name}.txt"
        file.write_text("to be\n")
        os.utime(file, (NOON.timestamp() + hour * 3600,) * 2)
    run("--input", f"{tmp_path}/*.txt", "--output", f"{tmp_path}/counts.jsonl", "--window", "1h")
    starts = [(row["window_start"], row["word"]) for row in rows_of(tmp_path / "counts.jsonl")]
    assert sorted(starts) == [(f"2026-03-01T{hour}:00:00Z", word) for hour in (13, 14) for word in ("be", "to")]


def test_counts_are_shown_as_well_as_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "line.txt").write_text("to be or not to be")
    run("--input", f"{tmp_path}/line.txt", "--output", f"{tmp_path}/counts/", "--window", "all", "--show")
    shown = capsys.readouterr().out.splitlines()
    assert '{"window_start":null,"window_end":null,"word":"be","count":2}' in shown
    (part,) = (tmp_path / "counts").iterdir()
    assert sorted(part.read_text().splitlines()) == sorted(shown)


def test_over_a_stream_one_window_of_all_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tells nothing while input goes on, got --window all: use windows with"):
        run("--input", f"watch:{tmp_path}", "--output", f"{tmp_path}/counts/", "--window", "all")

"""Progress: a live line on a terminal, a line a minute elsewhere, and the counts that steps report."""

from __future__ import annotations

import io
import time

import pytest
from rich.console import Console

from pipelines.launch import progress as shown
from pipelines.launch.progress import Progress
from transforms import progress


def wait_for(text: str, stream: io.StringIO) -> None:
    deadline = time.monotonic() + 10
    while text not in stream.getvalue():
        assert time.monotonic() < deadline, stream.getvalue()
        time.sleep(0.01)


@pytest.mark.parametrize("terminal", [True, False])
def test_a_run_tells_its_step_its_records_and_their_rate(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown, "_LINE_EVERY", 0.01)
    monkeypatch.setattr(shown, "_REFRESH", 0.01)
    stream = io.StringIO()
    with Progress(Console(file=stream, force_terminal=terminal, width=120), "count"):
        wait_for("count: starting", stream)
        progress.advance("Read", 12_000)
        wait_for("count: 12,000 read", stream)
        progress.advance("Write", 34)
        wait_for("34 write", stream)
        wait_for("records/s at Write", stream)


def test_a_short_run_that_nobody_watches_says_nothing() -> None:
    stream = io.StringIO()
    with Progress(Console(file=stream), "count"):
        progress.advance("Read", 1)
    assert stream.getvalue() == ""


def test_each_run_counts_for_itself() -> None:
    console = Console(file=io.StringIO())
    with Progress(console, "first"):
        progress.advance("Read", 5)
    with Progress(console, "second") as second:
        progress.advance("Read", 2)
        assert second.summary().startswith("second: 2 read")

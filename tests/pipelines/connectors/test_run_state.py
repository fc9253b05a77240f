"""The state of a live run: wherever one is killed, the next reads again what is not final, and tells nothing twice."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from apache_beam.transforms.window import IntervalWindow
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.connectors import run_state
from pipelines.connectors.event_clock import EventClock
from pipelines.connectors.run_state import RunState
from transforms.windowing import WindowPolicy

SECOND = 1_000_000
POLICY = WindowPolicy.parse("10s, lateness 5s")


@pytest.fixture(autouse=True)
def _every_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_state, "_APART", 0.0)


def state_in(folder: Path, policy: WindowPolicy = POLICY, source: str = "generate://") -> RunState:
    return RunState(str(folder), policy, source, "ledger/1/")


def mark(number: int) -> dict[str, Any]:
    return {"feed": {"next": number}, "clock": {}, "read": number}


def killed(state: RunState) -> None:
    """Nothing more is written; the lock goes with the process."""
    for stream in (state._held, state._marks, state._written):
        stream.close()


def after(folder: Path) -> tuple[dict[str, Any] | None, int]:
    """Where the next run goes on, and what it takes for final."""
    state = state_in(folder)
    try:
        return state.resume(), state.final_before
    finally:
        state.close()


def test_a_run_begins_at_the_beginning(tmp_path: Path) -> None:
    assert after(tmp_path)[0] is None


def test_the_next_run_goes_on_before_the_oldest_window_that_was_not_final(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    for number, at in enumerate([3, 12, 8, 25, 31]):  # seconds
        state.saw(mark(number), at * SECOND, [])
    state.reached = 100 * SECOND
    state.finish(25 * SECOND)  # 10-20 is over by then, and 20-30 is not
    killed(state)
    assert after(tmp_path) == (mark(3), 25 * SECOND)


def test_what_the_end_of_a_run_tells_of_open_windows_is_not_final(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    state.saw(mark(0), 3 * SECOND, [])
    state.saw(mark(1), 14 * SECOND, [])
    state.reached = 12 * SECOND
    state.finish(10**15)  # the watermark leaps when the source ends
    state.close()
    assert after(tmp_path) == (mark(0), 12 * SECOND)


def test_files_of_windows_that_were_not_final_are_withdrawn(tmp_path: Path) -> None:
    state = state_in(tmp_path / "state")
    files = {start: tmp_path / f"{start}.jsonl" for start in (0, 10, 20)}
    for start, file in files.items():
        state.write(str(file), IntervalWindow(start, start + 10))
    files[0].touch()
    files[10].touch()  # and the third never came to be
    state.reached = 100 * SECOND
    state.finish(24 * SECOND)  # 10-20 can change until 25
    state.close()
    after(tmp_path / "state")
    assert [start for start, file in files.items() if file.exists()] == [0]


def test_a_line_that_a_crash_cut_short_does_no_harm(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    state.saw(mark(0), 3 * SECOND, [])
    state.saw(mark(1), 40 * SECOND, [])
    killed(state)
    lines = (tmp_path / "marks.jsonl").read_bytes()
    for end in range(len(lines)):
        (tmp_path / "marks.jsonl").write_bytes(lines[:end])
        assert after(tmp_path)[0] in (None, mark(0))


@settings(deadline=None, max_examples=60)
@given(st.randoms(use_true_random=True))
def test_each_window_becomes_final_with_all_its_records_however_often_a_run_is_killed(
    tmp_path_factory: pytest.TempPathFactory, chance: random.Random
) -> None:
    """A small runner: records come one by one, never more than 20 s out of order, and windows are told when over."""
    folder = tmp_path_factory.mktemp("state")
    times = [10 * number + chance.randint(-9, 9) + 20 for number in range(40)]
    told: dict[int, list[int]] = {}
    for kill in [*sorted(chance.choices(range(40), k=20)), len(times)]:
        state = state_in(folder)
        windows: dict[int, list[int]] = {}
        for number in range((state.resume() or mark(0))["read"], min(kill + 1, len(times))):
            state.saw(mark(number), times[number] * SECOND, [])
            windows.setdefault(times[number] // 10 * 10, []).append(number)
            state.reached = (max(times[: number + 1]) - 20) * SECOND
            for start in [start for start in windows if (start + 15) * SECOND <= state.reached]:
                records = windows.pop(start)
                if (start + 15) * SECOND > state.final_before:
                    told[start] = records
            if chance.random() < 0.5:  # whoever follows may be behind
                state.finish(state.reached)
        killed(state)
    expected: dict[int, list[int]] = {}
    for number, at in enumerate(times):
        expected.setdefault(at // 10 * 10, []).append(number)
    assert told == {start: of for start, of in expected.items() if start + 15 <= max(times) - 20}


def test_a_directory_belongs_to_one_run_over_one_source(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    with pytest.raises(ValueError, match="in use by another run: use a directory for each"):
        state_in(tmp_path)
    state.close()
    with pytest.raises(ValueError, match="is the state of a run over generate://: use another for kafka://h/t"):
        state_in(tmp_path, source="kafka://h/t")


@pytest.mark.parametrize("window", ["all, early every 10 records", "session 10s"])
def test_windows_without_an_end_are_refused(tmp_path: Path, window: str) -> None:
    with pytest.raises(ValueError, match="no end is known before it comes: use windows of one size"):
        state_in(tmp_path, WindowPolicy.parse(window))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 900), st.integers(0, 60)), min_size=1, max_size=40),
    st.randoms(use_true_random=False),
)
def test_what_was_late_is_late_again_when_shards_are_read_again(
    events: list[tuple[str, int, int]], chance: Any
) -> None:
    """The clock goes on by itself while shards rest; read again at once and in another order of shards, it does not."""
    first = EventClock(bound=2, idle=5)
    stamps: dict[str, list[int]] = {"a": [], "b": []}
    now = 0.0
    for shard, at, rest in events:
        first.rest({"a": True, "b": True}, now)
        now += rest
        first.watermark(now)
        stamps[shard] += first.see(shard, [at * SECOND])
    again = EventClock(bound=2, idle=5, leaps=first.leaps)
    for shard in chance.sample("ab", 2):
        times = [at * SECOND for name, at, _ in events if name == shard]
        assert again.see(shard, times) == stamps[shard]
        again.rest({"a": False, "b": False}, 0)

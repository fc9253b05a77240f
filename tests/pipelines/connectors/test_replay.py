"""Recordings come as they happened, faster or slower, and go on where they were left."""

from __future__ import annotations

import itertools
from pathlib import Path

import orjson
import pytest

from pipelines.connectors.feeds import Unreachable
from pipelines.connectors.replay import Recording, Replay, input_of


def _record(path: Path, times: list[object]) -> str:
    path.write_bytes(b"".join(orjson.dumps({"time": at}) + b"\n" for at in times))
    return str(path)


def test_rows_come_at_their_times_divided_by_the_speed(tmp_path: Path) -> None:
    times = [1_400_000_000 + second for second in (0, 10, 5, 20, 30)]
    moments = iter([50.0, 50.0, 50.9, 51.0, 51.9, 53.0])  # when it is opened, and polled
    feed = Replay(Recording(_record(tmp_path / "a.jsonl", [*times, None]), speed=10), None, lambda: next(moments))
    came = [[message.position for message in feed.poll(100)] for _ in range(5)]
    assert came == [[0], [], [1, 2], [], [3, 4, 5]]
    assert feed.ended()


def test_it_goes_on_at_a_mark_without_a_gap(tmp_path: Path) -> None:
    for name, first in (("b", 50), ("a", 0)):
        _record(tmp_path / f"{name}.jsonl", [1_400_000_000 + first + n for n in range(50)])
    clock, seen = itertools.count(0.0, 1.5), []
    feed = Replay(Recording(f"{tmp_path}/*.jsonl"), None, lambda: next(clock))
    while not feed.ended():
        seen += [orjson.loads(message.payload)["time"] for message in feed.poll(7)]  # type: ignore[arg-type]
        feed = Replay(Recording(f"{tmp_path}/*.jsonl"), orjson.loads(orjson.dumps(feed.mark())), lambda: next(clock))
    assert seen == [1_400_000_000 + n for n in range(100)]


def test_addresses_say_what_and_how_fast(tmp_path: Path) -> None:
    assert input_of("replay:a/*.jsonl?speed=10&time=at") == Recording("a/*.jsonl", 10, "at")
    assert input_of("replay:a.jsonl") == Recording("a.jsonl")
    with pytest.raises(ValueError, match="more than 0"):
        input_of("replay:a.jsonl?speed=0")
    with pytest.raises(Unreachable, match="cannot be replayed"):
        Recording(f"{tmp_path}/none.jsonl").check()

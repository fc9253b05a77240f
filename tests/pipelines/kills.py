"""Kills live runs that keep a state, at a moment when much is read and not final."""

from __future__ import annotations

import os
import random
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from tests.pipelines.conftest import Run

_NEW = 2000  # records


def killed(run: Run, state: Path, chance: random.Random, open_for: timedelta) -> int:
    """Kills a run a while after it has read what is new; how many records it had read of windows that were open."""
    before = max(_marks(state, open_for), default=0)
    run.wait_for(lambda: max(_marks(state, open_for), default=0) > before + _NEW, "it reads what is new")
    time.sleep(chance.uniform(1, 5))
    os.killpg(run.process.pid, signal.SIGKILL)
    run.process.wait()
    at = _marks(state, open_for)
    return at[-1] - at[0]


def _marks(state: Path, open_for: timedelta) -> list[int]:
    """How many records were read at each mark that is kept, the first of which is where the next run goes on."""
    if not (state / "marks.jsonl").exists():
        return []
    lines = (state / "marks.jsonl").read_bytes().splitlines()[:-1]  # the last may not be whole
    final = orjson.loads((state / "final.json").read_bytes())["final"]
    spans: list[tuple[int, int | None]] = []
    for line in map(orjson.loads, lines):
        if "mark" in line:
            spans.append((line["mark"]["read"], None))
        elif "latest" in line:
            spans[-1] = spans[-1][0], line["latest"]
    open_micros = open_for.total_seconds() * 1e6
    return [read for read, latest in spans if latest is None or latest + open_micros > final]

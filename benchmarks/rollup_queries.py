"""Ranges asked of a store: sketches read, and milliseconds for a query.

    python -m benchmarks.rollup_queries --windows 10000 --keys 10

A store in SQLite, of four measures of each key in each window, and random ranges of it: of all keys together, by key,
of one key, and of one measure. Milliseconds in one process, of the clock and of the CPU; on a machine that others use,
the latter says what the clock would without them. Reads are of one measure and key.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from rollups import Leaf, Store, StoredMeasure
from transforms.sketches import Count, HeavyHitters, HyperLogLog, Kll, Question

_WINDOW = timedelta(seconds=10)
_NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_MEASURES = {
    "count": StoredMeasure(Count(), Question("count")),
    "distinct:user": StoredMeasure(HyperLogLog.for_error(0.02), Question("estimate", (0.95,))),
    "quantiles:ms": StoredMeasure(Kll.for_error(0.01), Question("quantiles", (0.5, 0.99))),
    "top:page": StoredMeasure(HeavyHitters.for_error(0.01), Question("top", (20,))),
}
_ASKED: dict[str, dict[str, Any]] = {
    "all keys together": {},
    "by key": {"by": ["key"]},
    "one key": {"where": {"key": 3}},
    "one measure, all keys together": {"measures": ["distinct:user"]},
}


def fill(store: Store, windows: int, keys: int, values: int) -> None:
    """Writes random sketches of so many values; every thousandth window is made of sketches of its own."""
    chance = np.random.default_rng(0)
    first = int(_NOON.timestamp() * 1_000_000)
    size = int(_WINDOW.total_seconds() * 1_000_000)
    made: list[dict[str, Any]] = []
    for number in range(windows):
        if number % 1000 < 10:
            made = [*made[-1000:], *(_sketches(chance, values) for _ in range(keys))]
        drawn = chance.integers(0, len(made), keys)
        store.write(
            "a", [Leaf(first + number * size, (key,), values, made[draw]) for key, draw in enumerate(drawn.tolist())]
        )
    store.settle()


def _sketches(chance: np.random.Generator, values: int) -> dict[str, Any]:
    sketches = {name: measure.empty.copy() for name, measure in _MEASURES.items()}
    sketches["count"].add_many(np.ones(values))
    sketches["distinct:user"].add_many(chance.integers(0, 100_000, values))
    sketches["quantiles:ms"].add_many(chance.lognormal(5, 1, values))
    sketches["top:page"].add_many([f"/page/{page}" for page in (chance.zipf(1.3, values) % 10_000).tolist()])
    return sketches


def main() -> None:
    """Fills a store and asks it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--keys", type=int, default=10)
    parser.add_argument("--values", type=int, default=100, help="of a key in a window")
    parser.add_argument("--ranges", type=int, default=200)
    parser.add_argument("--store", default="", help="a store that an earlier run has kept, or is to keep")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.store or f"{folder}/rollups.db")
        there = path.exists()
        with Store.create(
            str(path), window=int(_WINDOW / timedelta(microseconds=1)), by={"key": "integer"}, measures=_MEASURES
        ) as store:
            begun = time.process_time()
            if not there:
                fill(store, options.windows, options.keys, options.values)
                print(f"written in {time.process_time() - begun:.0f} CPU seconds, {path.stat().st_size / 1e6:.0f} MB")
            ask(store, options)


def ask(store: Store, options: argparse.Namespace) -> None:
    """Prints a line for each way to ask."""
    print(f"{options.windows:,} windows, {options.keys} keys, Python {platform.python_version()}, {platform.machine()}")
    chance = np.random.default_rng(1)
    print(f"{'':32}{'reads, most':>12}{'p50 ms':>10}{'p99 ms':>10}{'p50 CPU ms':>12}{'p99 CPU ms':>12}")
    for name, asked in _ASKED.items():
        keys = 1 if "where" in asked else options.keys
        measures = len(asked.get("measures", _MEASURES))
        took, busy, reads = [], [], 0
        for _ in range(options.ranges):
            first, end = sorted(chance.choice(options.windows + 1, 2, replace=False).tolist())
            begun, before = time.perf_counter(), time.process_time()
            answers = store.query(start=_NOON + first * _WINDOW, end=_NOON + end * _WINDOW, **asked)
            took.append((time.perf_counter() - begun) * 1000)
            busy.append((time.process_time() - before) * 1000)
            reads = max(reads, answers.reads // keys // measures)
        clock, cpu = (np.quantile(times, [0.5, 0.99]) for times in (took, busy))
        print(f"{name:32}{reads:12}{clock[0]:10.1f}{clock[1]:10.1f}{cpu[0]:12.1f}{cpu[1]:12.1f}")


if __name__ == "__main__":
    main()

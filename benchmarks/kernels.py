"""What the compiled kernels are worth: nanoseconds an item by numpy and by numba, in one run.

    python -m benchmarks.kernels --rows 500 10000 1000000

Whole calls, as users make them, interleaved; medians of CPU time. Hashing takes the column as Arrow has it, sketches
take a column that is hashed already, so that a row shows what it names.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.sketches import (
    DEFAULT,
    Bloom,
    CountMin,
    DataSketchesHasher,
    HyperLogLog,
    LogHistogram,
    MinHash,
    kernels,
)

_RUNS = 7
_LEAST = 400_000  # items a measurement, so that the clock is fine enough


def calls(rows: int) -> dict[str, Callable[[], object]]:
    """What is measured, on so many rows."""
    chance = np.random.default_rng(0)
    numbers = chance.integers(0, 1_000_000, rows)
    texts = pa.array([f"user-{number}" for number in numbers.tolist()])
    few = pa.array([f"word-{number % 1000}" for number in numbers.tolist()]).dictionary_encode()
    hashed, theirs = DEFAULT.hashed(numbers), DataSketchesHasher()
    distinct, frequency, alike = HyperLogLog(12), CountMin(4096, 5), MinHash(128)
    distinct.add_many(np.arange(100_000))  # as a sketch is that has seen a while
    small, large = Bloom.for_error(10_000, 0.01), Bloom.for_error(10_000_000, 0.01)
    positive, mixed = chance.lognormal(size=rows), chance.normal(size=rows)
    latency, change = LogHistogram(0.01), LogHistogram(0.01)
    return {
        "hash int64": lambda: DEFAULT.hash_many(numbers),
        "hash strings": lambda: DEFAULT.hash_many(texts),
        "hash 1,000 strings, dictionary-encoded": lambda: DEFAULT.hash_many(few),
        "hash int64 as DataSketches": lambda: theirs.hash_many(numbers),
        "hash strings as DataSketches": lambda: theirs.hash_many(texts),
        "HyperLogLog(12)": lambda: distinct.add_many(hashed),
        "CountMin(4096, 5)": lambda: frequency.add_many(hashed),
        "LogHistogram, positive values": lambda: latency.add_many(positive),
        "LogHistogram, both signs": lambda: change.add_many(mixed),
        "MinHash(128)": lambda: alike.add_many(hashed),
        "Bloom of 10,000, add": lambda: small.add_many(hashed),
        "Bloom of 10 M, add": lambda: large.add_many(hashed),
        "Bloom of 10 M, contains": lambda: large.contains_many(hashed),
    }


def nanoseconds(call: Callable[[], object], rows: int) -> float:
    """CPU time an item."""
    times = max(1, _LEAST // rows)
    begin = time.process_time_ns()
    for _ in range(times):
        call()
    return (time.process_time_ns() - begin) / times / rows


def table(rows: int, ways: Mapping[str, Mapping[str, Callable[..., Any]]]) -> None:
    """Measures and prints one size of batch."""
    print(f"{rows:,} rows {'':26}" + "".join(f"{way:>10}" for way in ways) + "     ratio")
    for name, call in calls(rows).items():
        figures: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(_RUNS):
            for way, functions in ways.items():
                kernels.RUNNING.update(functions)
                figures[way].append(nanoseconds(call, rows))
        numpy, compiled = (statistics.median(figures[way]) for way in ways)
        print(f"  {name:40}{numpy:10.2f}{compiled:10.2f}{numpy / compiled:8.1f} x")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[500, 10_000, 1_000_000])
    given = parser.parse_args()
    begin = time.process_time()
    compiled = {name: kernels.compiled(name) for name in kernels.KERNELS}
    print(
        f"Python {platform.python_version()}, numpy {np.__version__}, numba {version('numba')}; {os.cpu_count()} cores"
    )
    print(f"numba and {len(compiled)} loops were ready after {time.process_time() - begin:.2f} CPU s")
    print(f"nanoseconds of CPU an item, medians of {_RUNS}")
    for rows in given.rows:
        table(rows, {"numpy": kernels.KERNELS, "compiled": compiled})


if __name__ == "__main__":
    main()

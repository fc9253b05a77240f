"""Where our time goes, by the parts of the work.

The profiler sees calls of Python, and makes them dearer: read it as shares. What a library spends counts for the file
that called it.
"""

from __future__ import annotations

import cProfile
import pstats
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from benchmarks.jobs.ours import WAYS, System

Function: TypeAlias = tuple[str, int, str]

_PARTS = (  # the first that fits the file of a function
    ("benchmarks/jobs/reading", "reading"),
    ("pyarrow/parquet", "reading"),
    ("benchmarks/jobs/", "answers"),
    ("transforms/sketches/hashing", "hashing"),
    ("transforms/sketches/siphash", "hashing"),
    ("transforms/sketches/murmur3", "hashing"),
    ("transforms/sketches/canonical", "hashing"),
    ("transforms/sketches/", "sketching"),
    ("transforms/", "grouping"),
    ("apache_beam/", "Beam"),
)
_TOP = 12


def profile(path: Path, events: int, jobs: Sequence[str]) -> None:
    """Prints seconds by part, and the dearest functions, of each of our ways; the second time that each is done."""
    system = System(path, events)
    for way in WAYS:
        if way.job not in jobs:
            continue
        folder = Path(tempfile.mkdtemp())
        system.answer(way, folder)
        profiler = cProfile.Profile(time.process_time)
        begin = time.process_time()
        profiler.runcall(system.answer, way, folder)
        cpu = time.process_time() - begin
        shutil.rmtree(folder)
        figures = pstats.Stats(profiler)
        parts = by_part(figures.stats)  # type: ignore[attr-defined]
        seen = sum(parts.values())
        print(f"\n{way.job} {way.name}: {cpu:.2f} CPU s, of which the profile has seen {seen:.2f}")
        for part, seconds in sorted(parts.items(), key=lambda one: -one[1]):
            print(f"  {part:10} {seconds:7.2f} s {seconds / seen:6.1%}")
        figures.sort_stats("tottime").print_stats(_TOP)


def by_part(
    stats: Mapping[Function, tuple[int, int, float, float, Mapping[Function, tuple[int, int, float, float]]]],
) -> dict[str, float]:
    """Seconds by part of the work. The time of a function that belongs to no part is that of its callers' parts."""
    known: dict[Function, dict[str, float]] = {}

    def shares(function: Function) -> dict[str, float]:
        if function not in known:
            part = _part(function)
            known[function] = {part or "other": 1.0}  # also what is found while it is looked for: it calls itself
            callers = stats[function][4] if not part and function in stats else {}
            if total := sum(cumulative for *_, cumulative in callers.values()):
                known[function] = _mixed((shares(by), cumulative / total) for by, (*_, cumulative) in callers.items())
        return known[function]

    seconds = []
    for function, (_, _, own, _, callers) in stats.items():
        if _part(function) or not callers:
            seconds.append((shares(function), own))
        else:
            seconds += [(shares(by), own_by) for by, (_, _, own_by, _) in callers.items()]
    return _mixed(seconds)


def _part(function: Function) -> str | None:
    return next((part for fragment, part in _PARTS if fragment in function[0]), None)


def _mixed(weighted: Iterable[tuple[Mapping[str, float], float]]) -> dict[str, float]:
    total: dict[str, float] = defaultdict(float)
    for shares, weight in weighted:
        for part, share in shares.items():
            total[part] += share * weight
    return total

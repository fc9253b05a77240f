"""Runs the studies, writes what they found, and prints it."""

from __future__ import annotations

import argparse
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import benchmarks.accuracy
from benchmarks.accuracy import distinct, exact, frequency, quantiles, sets
from benchmarks.accuracy.study import DEVIATIONS

DATA = Path(__file__).parents[2] / "docs" / "data" / "accuracy.json"
STUDIES = [*distinct.STUDIES, *frequency.STUDIES, *sets.STUDIES, *quantiles.STUDIES, *exact.STUDIES]
_SEED = 20
_SHOWN = (10, 1_000, 100_000, 1_000_000)


def main() -> None:
    """Measures, writes and prints."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.accuracy",
        description=benchmarks.accuracy.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [study.sketch for study in STUDIES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these sketches; writes nothing")
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the trials")
    given = parser.parse_args()
    found = []
    for study in STUDIES:
        if study.sketch in given.only:
            begin = time.process_time()
            series = study.run(_SEED, 0.02 if given.quick else 1.0)
            found += series
            _show(series, time.process_time() - begin)
    if not given.quick and given.only == names:
        _write(found)


def _show(series: list[dict[str, Any]], seconds: float) -> None:
    """Root mean square errors, and the ratio of those that are to be compared."""
    print(f"{series[0]['sketch']} ({series[0]['parameters']}): error {series[0]['error']}; {seconds:.0f} CPU s")
    for one in series:
        at = {n: place for place, n in enumerate(one["n"])}
        errors = "  ".join(f"{n:,}: {100 * one['rms'][at[n]]:.3g} %" for n in _SHOWN)
        print(f"  {one['series']:30} rms at {errors}; {one['stored'][-1]:,} bytes stored")
    by_name = {one["series"]: one["rms"] for one in series}
    for ours, theirs in _COMPARED:
        if ours in by_name and theirs in by_name:
            ratios = (
                our / their if their else np.nan for our, their in zip(by_name[ours], by_name[theirs], strict=True)
            )
            print(f"  {ours} / {theirs}:", " ".join(f"{ratio:.3f}" for ratio in ratios))


_COMPARED = [
    ("ours, hashed as DataSketches", "DataSketches, after union"),
    ("ours", "DataSketches"),
    ("ours, 16 merged", "DataSketches, 16 merged"),
]


def _write(series: list[dict[str, Any]]) -> None:
    """One line a column, so that differences can be read."""
    libraries = {name: version(name) for name in ("numpy", "datasketches")}
    about = {
        "command": "python -m benchmarks.accuracy",
        "seed": _SEED,
        "versions": {"python": platform.python_version(), **libraries},
        "deviations": DEVIATIONS,
    }
    head = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in about.items()]
    bodies = [",\n ".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in one.items()) for one in series]
    text = ",\n".join([*head, '"series": [\n{' + "},\n{".join(bodies) + "}\n]"])
    DATA.parent.mkdir(exist_ok=True)
    DATA.write_text("{\n" + text + "\n}\n")


if __name__ == "__main__":
    main()

"""The command: makes the events, lets the systems do the jobs in turn, checks their answers, prints the table.

python -m benchmarks.jobs --jobs J2a,J3 --systems ours,duckdb --json figures.json
python -m benchmarks.jobs --profile
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from benchmarks.jobs.data import events_file
from benchmarks.jobs.exact import Truth, WrongAnswersError
from benchmarks.jobs.jobs import JOBS
from benchmarks.jobs.profiling import profile
from benchmarks.jobs.systems import SYSTEMS, Running
from benchmarks.jobs.table import Figures, table


def main() -> int:
    """Measures and prints; 1 where an answer was wrong, a job failed, or a system is not there."""
    given = _arguments()
    with contextlib.ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        path = events_file(folder, given.events)
        if given.profile:
            profile(path, given.events, given.jobs)
            return 0
        return _compare(given, path, folder)


def _compare(given: argparse.Namespace, path: Path, folder: Path) -> int:
    missing = [name for name in given.systems if not SYSTEMS[name].installed]
    running = {
        name: Running(SYSTEMS[name], path, given.events, folder / f"{name}.log")
        for name in given.systems
        if name not in missing
    }
    every = [
        Figures(name, way)
        for job in given.jobs
        for name, system in running.items()
        for way in system.ways
        if way.job == job
    ]
    truths: dict[tuple[str, int], Truth] = {}
    for number in range(given.rounds + 1):
        # There and back, so that none always follows the same other.
        for figures in every if number % 2 else every[::-1]:
            if not figures.problem:
                way = figures.way
                if (way.job, way.share) not in truths:
                    truths[way.job, way.share] = Truth(JOBS[way.job], path, given.events // way.share)
                _one_run(figures, running[figures.system], truths[way.job, way.share], folder / "answers")
        _say(f"round {number} of {given.rounds} done")
    print(f"{given.events:,} events, medians of {given.rounds} rounds after one that warms up\n")
    for name in missing:
        print(f"{SYSTEMS[name].title} is not installed: {SYSTEMS[name].install}")
    for name, system in running.items():
        print(f"{SYSTEMS[name].title}: {system.versions}; start {system.start['cpu']:.1f} CPU s")
        system.stop()
    print("\n" + table(every, {name: system.title for name, system in SYSTEMS.items()}))
    if given.json:
        about = {name: {"versions": system.versions, "start": system.start} for name, system in running.items()}
        figures_of = [figures.as_data() for figures in every]
        data = {"events": given.events, "rounds": given.rounds, "systems": about, "figures": figures_of}
        given.json.write_text(json.dumps(data, indent=1) + "\n")
    return 1 if missing or any(figures.problem for figures in every) else 0


def _one_run(figures: Figures, system: Running, truth: Truth, answers: Path) -> None:
    shutil.rmtree(answers, ignore_errors=True)
    run = system.do(figures.way, answers)
    if "error" in run:
        figures.problem = f"FAILED: {run['error']}"
    else:
        figures.runs.append(run)
        try:
            figures.error = max(figures.error, truth.error_of(figures.way, answers))
        except WrongAnswersError as wrong:
            figures.problem = f"WRONG: {wrong}"
    if figures.problem:
        _say(f"{figures.system} {figures.way.job} {figures.way.name}: {figures.problem}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.jobs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=5, help="beside the first, which warms up")
    parser.add_argument("--jobs", type=_some_of(JOBS), default=list(JOBS), help=", ".join(JOBS))
    parser.add_argument("--systems", type=_some_of(SYSTEMS), default=list(SYSTEMS), help=", ".join(SYSTEMS))
    parser.add_argument("--folder", type=Path, help="where the events are kept; otherwise they are made anew")
    parser.add_argument("--json", type=Path, help="a file for all figures of all rounds")
    parser.add_argument("--profile", action="store_true", help="tell where our time goes, and compare with none")
    return parser.parse_args()


def _some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"must be some of {','.join(known)}, got {','.join(unknown)}")
        return names

    return parse


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())

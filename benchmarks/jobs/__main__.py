"""The command: makes the events, lets the systems do the jobs in turn, checks their answers, prints the table.

python -m benchmarks.jobs --jobs J2a,J3 --systems ours,duckdb --json figures.json
python -m benchmarks.jobs --profile
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
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
        missing = [SYSTEMS[name] for name in given.systems if not SYSTEMS[name].installed]
        for system in missing:
            print(f"{system.title} is not installed: {system.install}")
        running = {}
        for name in given.systems:
            if SYSTEMS[name].installed:
                running[name] = Running(SYSTEMS[name], path, given.events, folder / f"{name}.log")
                stack.callback(running[name].stop)
        return 1 if not _compare(given, running, path, folder / "answers") or missing else 0


def _compare(given: argparse.Namespace, running: dict[str, Running], path: Path, answers: Path) -> bool:
    """Lets every system do every job in every round; whether all went well."""
    every = [Figures(name, way) for job in given.jobs for name in running for way in running[name].ways_of(job)]
    shares = {(figures.way.job, figures.way.share) for figures in every}
    truths = {(job, share): Truth(JOBS[job], path, given.events // share) for job, share in shares}
    for number in range(given.rounds + 1):
        # There and back, so that none always follows the same other.
        for figures in every if number % 2 else every[::-1]:
            if not figures.problem:
                truth = truths[figures.way.job, figures.way.share]
                _one_run(figures, running[figures.system], truth, answers)
        if given.json:
            systems = {name: {"versions": system.versions, "start": system.start} for name, system in running.items()}
            data = {"events": given.events, "systems": systems, "figures": [figures.as_data() for figures in every]}
            given.json.write_text(json.dumps(data, indent=1) + "\n")
        print(f"round {number} of {given.rounds} done", file=sys.stderr, flush=True)
    print(f"{given.events:,} events, {os.cpu_count()} cores, medians of {given.rounds} rounds after one to warm up\n")
    for name, system in running.items():
        print(f"{SYSTEMS[name].title}: {system.versions}; it took {system.start['cpu']:.1f} CPU s to start")
    print("\n" + table(every, {name: system.title for name, system in SYSTEMS.items()}))
    return not any(figures.problem for figures in every)


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
    given = parser.parse_args()
    if given.events < 1000 or given.rounds < 1:
        parser.error(f"there must be 1,000 events and a round, got {given.events} and {given.rounds}")
    return given


def _some_of(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"must be some of {','.join(known)}, got {','.join(unknown)}")
        return names

    return parse


if __name__ == "__main__":
    sys.exit(main())

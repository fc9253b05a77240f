"""Live, on Prism: from an event to its answer, and how many events a second of CPU a pipeline takes in.

    python -m benchmarks.live --prism-location PATH

Delays are from the end of a window, which the watermark passes with the next event, to the moment when its file was
there. Throughput is that of a backlog: events that were due long ago. CPU seconds are those of the pipeline, its
runner's included, less those of a run without events.
"""

from __future__ import annotations

import argparse
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pipelines.connectors.generate import Generated

_WINDOW = 2  # seconds
_STARTING = 5  # seconds, in which a pipeline is not there yet


def run(flags: Sequence[str], prism: str) -> float:
    """Runs a pipeline to its end; CPU seconds, of all processes that it started as well."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "pipelines", *flags, "--prism_location", prism, "--prism_log_level", "error"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def delays(folder: Path, prism: str, events: int, seconds: int) -> list[float]:
    """Seconds from the end of each window to its answer."""
    begun = time.time()
    source = f"generate://?events={events}&apart=0s&bound=0s"
    run(
        ["word_count", "--input", source, "--output", f"{folder}/", "--window", f"{_WINDOW}s", "--for", f"{seconds}s"],
        prism,
    )
    ended = max(file.stat().st_mtime for file in folder.glob("[!.]*"))
    found = []
    for file in folder.glob("[!.]*"):
        end = _end_of(file.name)
        if begun + _STARTING < end < ended - 1:  # the last windows are told before they are over
            found.append(file.stat().st_mtime - end)
    return sorted(found)


def _end_of(name: str) -> float:
    match = re.search(r"-(\d{8}T\d{6})Z", name)
    return datetime.strptime(match[1] if match else "", "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prism-location", required=True)
    parser.add_argument("--events", type=int, default=2000, help="a second, while delays are measured")
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--backlog", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = delays(Path(place, "counts"), asked.prism_location, asked.events, asked.seconds)
        at = {share: found[int(share * (len(found) - 1))] for share in (0.5, 0.99, 1.0)}
        print(
            f"{len(found)} windows at {asked.events:,} events/s: "
            + ", ".join(f"p{s:.0%} {t:.2f} s" for s, t in at.items())
        )
        rate = backlog(Path(place), asked.prism_location, asked.backlog)
        print(f"{asked.backlog:,} events of files into a rollup: {rate:,.0f} a CPU second")


def backlog(place: Path, prism: str, events: int) -> float:
    """Events a CPU second of a rollup, of those that lie there already."""
    source = Generated(start=1_700_000_000.0, events=10_000)
    took = {}
    for number in (1, events):
        folder = place / f"in{number}"
        folder.mkdir()
        (folder / "events.jsonl").write_bytes(b"\n".join(map(source.payload, range(number))))
        flags = ["rollup", "--input", f"watch:{folder}", "--event-time", "time", "--by", "lang", "--for", "1s"]
        flags += ["--measure", "distinct:user", "--measure", "quantiles:latency=0.99", "--measure", "top:page=20"]
        took[number] = run([*flags, "--store", f"{place}/{number}.db", "--window", "10s, lateness 10s"], prism)
    return events / (took[events] - took[1])


if __name__ == "__main__":
    main()

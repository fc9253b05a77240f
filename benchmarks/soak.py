"""Hours of a live pipeline: whether its memory grows, and how long answers take.

    python -m benchmarks.soak --minutes 30 --prism-location PATH

Words are counted in windows of 5 s, at a steady rate. Memory is the resident size of the pipeline's process and of the
runner's, each second; the slope is a line through the second half of them. Delays are from the end of a window, which
the watermark passes with the next event, to the moment when its file was there.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

_WINDOW = 5  # seconds
_STARTING = 15  # seconds, in which a pipeline is not there yet
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Soak:
    """What became of a run."""

    delays: list[float]  # seconds, sorted
    pipeline: list[int]  # bytes, each second
    runner: list[int]

    def slope(self, of: Sequence[int]) -> float:
        """Megabytes a minute, in the second half."""
        half = np.array(of[len(of) // 2 :], float)
        return float(np.polyfit(np.arange(len(half)), half, 1)[0] * 60 / 2**20)

    def delay(self, share: float) -> float:
        """The seconds that such a share of the answers took at most."""
        return self.delays[int(share * (len(self.delays) - 1))]


def soak(folder: Path, prism: str, events: int, seconds: int) -> Soak:
    """Runs a pipeline for a while, and looks on."""
    source = f"generate://?events={events}&apart=0s&bound=0s"
    flags = ["--input", source, "--output", f"{folder}/out/", "--window", f"{_WINDOW}s", "--for", f"{seconds}s"]
    command = [sys.executable, "-m", "pipelines", "word_count", *flags]
    command += ["--prism_location", prism, "--prism_log_level", "error"]
    begun = time.time()
    sizes: list[tuple[int, int]] = []
    with (folder / "said.txt").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)  # noqa: S603
        while process.poll() is None:
            time.sleep(1)
            sizes.append((_resident(process.pid), sum(_resident(child) for child in _children(process.pid))))
    if process.returncode:
        raise RuntimeError((folder / "said.txt").read_text())
    ended = begun + seconds
    sizes = [each for each in sizes[_STARTING:] if all(each)]
    told = ((file.stat().st_mtime, _end_of(file.name)) for file in (folder / "out").glob("[!.]*"))
    delays = sorted(at - end for at, end in told if begun + _STARTING < end < ended - _WINDOW)
    return Soak(delays, [own for own, _ in sizes], [other for _, other in sizes])


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def _children(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for each in found for child in each.read_text().split()]


def _end_of(name: str) -> float:
    match = re.search(r"-(\d{8}T\d{6})Z", name)
    return datetime.strptime(match[1] if match else "", "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prism-location", required=True)
    parser.add_argument("--events", type=int, default=2000, help="a second")
    parser.add_argument("--minutes", type=float, default=30)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        found = soak(Path(place), asked.prism_location, asked.events, int(asked.minutes * 60))
    print(f"{len(found.delays)} windows at {asked.events:,} events/s for {asked.minutes:g} min")
    print("answers after " + ", ".join(f"p{s:.0%} {found.delay(s):.2f} s" for s in (0.5, 0.99, 1.0)))
    for name, sizes in (("pipeline", found.pipeline), ("runner", found.runner)):
        print(f"{name}: {sizes[-1] / 2**20:,.0f} MB at the end, {found.slope(sizes):+.2f} MB/min in the second half")


if __name__ == "__main__":
    main()

"""How long each of the classifier's pipelines takes, as whole processes, and all of them together.

    python -m benchmarks.language_pipelines tweets.jsonl.gz

Runs collect, examine, train (scikit-learn, then Lloyd's loop on Beam) and filter on a file of tweets, three times, in
a folder that is removed afterwards, and prints the median wall and CPU seconds of each.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

_RUNS = 3
_STEPS = {
    "collect_tweets": "collect_tweets --input {source} --output tweets/ --interval 1d",
    "examine_tweets": "examine_tweets --input tweets/ --output profile.json",
    "train_language": "train_language --input tweets/ --output language.safetensors",
    "train_language, Lloyd": "train_language --input tweets/ --output lloyd.safetensors --method lloyd",
    "filter_language": "filter_language --input tweets/ --model language.safetensors --language ja --output ja.jsonl",
}


def run(step: str, source: Path, place: str) -> tuple[float, float]:
    """Wall and CPU seconds of one process."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    arguments = _STEPS[step].format(source=source).split()
    subprocess.run([sys.executable, "-m", "pipelines", *arguments], cwd=place, capture_output=True, check=True)  # noqa: S603
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tweets", type=Path, help="a JSONL file of tweets, plain or gzipped")
    source = parser.parse_args().tweets.resolve()
    runs: dict[str, list[tuple[float, float]]] = {step: [] for step in _STEPS}
    for _ in range(_RUNS):
        with tempfile.TemporaryDirectory() as place:
            for step in _STEPS:
                runs[step].append(run(step, source, place))
    print(
        f"Python {platform.python_version()}, Beam {version('apache-beam')}; {os.cpu_count()} cores; medians of {_RUNS}"
    )
    medians = {step: [statistics.median(figures) for figures in zip(*runs[step], strict=True)] for step in _STEPS}
    for step, (wall, cpu) in medians.items():
        print(f"  {step:24} {wall:6.1f} s wall {cpu:6.1f} s CPU")
    four = [step for step in _STEPS if step != "train_language, Lloyd"]
    print(f"  {'the four, one by one':24} {sum(medians[step][0] for step in four):6.1f} s wall")


if __name__ == "__main__":
    main()

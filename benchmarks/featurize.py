"""How quick exact character pairs are, beside scikit-learn's HashingVectorizer on the same texts.

    python -m benchmarks.featurize tweets.jsonl.gz

Reads the field `text` of a JSONL file, plain or gzipped. Both sides take batches of 1,000 on one core; runs are
interleaved, so that what else the machine does falls on both, and the medians are compared. The texts are measured as
they come, and then those of 70 to 90 characters alone, because speed is per character.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy
import sklearn
from sklearn.feature_extraction.text import HashingVectorizer
from threadpoolctl import threadpool_limits

from models.language.features import Featurizer

_BATCH = 1000
_RUNS = 7


def read_texts(path: Path) -> list[str]:
    """The texts of a JSONL file."""
    data = path.read_bytes()
    lines = (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()
    return [json.loads(line)["text"] for line in lines]


def seconds(transform: Callable[[Sequence[str]], Any], texts: Sequence[str]) -> float:
    """How long all texts take, in batches."""
    start = time.perf_counter()
    for first in range(0, len(texts), _BATCH):
        transform(texts[first : first + _BATCH])
    return time.perf_counter() - start


def compare(texts: Sequence[str]) -> None:
    """Prints texts a second of each side, the middle half of its runs, and the ratio to the peer."""
    peer = HashingVectorizer(
        analyzer="char", ngram_range=(2, 2), n_features=1000, lowercase=False, norm=None, alternate_sign=False
    )  # the same work: plain counts of the text as it is
    sides = {"HashingVectorizer": peer.transform} | {
        f"Featurizer {variant}": Featurizer(variant).transform for variant in ("slide", "spark1", "spark2")
    }
    for transform in sides.values():
        transform(texts[:_BATCH])
    runs = [{name: seconds(transform, texts) for name, transform in sides.items()} for _ in range(_RUNS)]
    length = statistics.mean(map(len, texts))
    print(f"\n{len(texts):,} texts of {length:.0f} characters, batches of {_BATCH:,}, median of {_RUNS} runs")
    base = statistics.median(run["HashingVectorizer"] for run in runs)
    for name in sides:
        low, median, high = statistics.quantiles(run[name] for run in runs)
        speeds = f"{len(texts) / median:10,.0f} texts/s ({len(texts) / high:,.0f} to {len(texts) / low:,.0f})"
        print(f"  {name:18} {speeds:42} {base / median:5.1f} x")


def main() -> None:
    """Runs the comparison on the file of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="texts: JSONL with a field `text`, or the same with gzip")
    texts = read_texts(parser.parse_args().path)
    versions = f"scikit-learn {sklearn.__version__}, numpy {np.__version__}, scipy {scipy.__version__}"
    print(f"Python {platform.python_version()}, {versions}; one thread, on a machine of {os.cpu_count()} cores")
    with threadpool_limits(1):
        compare(texts)
        compare([text for text in texts if 70 <= len(text) <= 90])


if __name__ == "__main__":
    main()

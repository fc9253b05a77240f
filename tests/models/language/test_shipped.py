"""The classifier that comes along, built again from its texts and measured on others: those of STREAMSKETCH_TWEETS."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from models.language.classifier import default

REPOSITORY = Path(__file__).parents[3]
SHIPPED = resources.files("models.language") / "default.safetensors"
AMBIGUOUS = {"und", "sw", "az", "xh", "mk", "su", "jv", "ms", "gl", "la"}  # or hardly there; with xx-Latn left out
CORE = frozenset(
    [
        "en",
        "ja",
        "es",
        "id",
        "pt",
        "ar",
        "fr",
        "de",
        "ru",
        "th",
        "tr",
        "it",
        "ko",
        "zh",
        "nl",
        "pl",
        "sv",
        "hi",
        "fa",
        "el",
    ]
)

pytestmark = pytest.mark.tweets


def tweets(name: str) -> Path:
    return Path(os.environ["STREAMSKETCH_TWEETS"], name)


@cache
def rows() -> list[dict[str, Any]]:
    with gzip.open(tweets("dev.jsonl.gz")) as lines:
        told = map(orjson.loads, lines)
        return [row for row in told if row["lang"] not in AMBIGUOUS and "-" not in row["lang"]]


def at_most(count: int, of: list[dict[str, Any]], *by: str) -> list[dict[str, Any]]:
    seen: Counter[tuple[str, ...]] = Counter()
    kept = []
    for row in of:
        key = tuple(row[name] for name in by)
        seen[key] += 1
        if seen[key] <= count:
            kept.append(row)
    return kept


def evaluation(name: str) -> list[dict[str, Any]]:
    """E1, the same number of each language; E2, other sources; E3, the natural stream."""
    if name == "E1":
        return at_most(120, [row for row in rows() if row["source"] == "tw14"], "lang")
    if name == "E2":
        return at_most(150, [row for row in rows() if row["source"] not in {"tw14", "lingua-news"}], "source", "lang")
    return [row for row in rows() if row["source"] == "tw14" and row.get("subset") == "uniform"]


def judged(name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which texts were told right, how sure that was, and which are of the twenty most frequent languages."""
    of = evaluation(name)
    detected = default().predict([row["text"] for row in of])
    right = np.array([label == row["lang"] for label, row in zip(detected.labels, of, strict=True)])
    return right, detected.confidence, np.array([row["lang"] in CORE for row in of])


@pytest.mark.parametrize(("name", "share", "core"), [("E1", 0.915, 0.95), ("E2", 0.965, 0.98), ("E3", 0.975, 0.975)])
def test_languages_of_tweets_that_it_never_saw_are_told(name: str, share: float, core: float) -> None:
    right, _, frequent = judged(name)
    assert right.mean() >= share
    assert right[frequent].mean() >= core


def test_confidence_is_how_often_it_is_right() -> None:
    right, confidence, _ = judged("E3")
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins)]
    assert sum(gaps) <= 0.03


def test_of_the_surest_19_in_20_it_tells_nearly_all_right() -> None:
    right, confidence, _ = judged("E3")
    assert right[np.argsort(-confidence)][: int(0.95 * len(right))].mean() >= 0.985


def test_the_same_texts_make_the_same_bytes(tmp_path: Path) -> None:
    built = tmp_path / "built.safetensors"
    script = REPOSITORY / "scripts" / "build_language_model.py"
    paths = [tweets("train.jsonl.gz"), tweets("udhr.jsonl.gz"), built]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, script, *paths], env=environment, check=True)
    assert built.read_bytes() == SHIPPED.read_bytes()

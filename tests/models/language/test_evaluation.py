"""Evaluation: scores against their definitions, and the published method on real tweets."""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from math import log
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.language.clustering import assign, fit_kmeans
from models.language.evaluation import FilterScore, filter_score, normalized_mutual_information, purity
from models.language.features import Featurizer

labelled = st.lists(st.tuples(st.sampled_from(["en", "fr", "ja"]), st.integers(0, 3)), min_size=1, max_size=30)


@given(labelled)
def test_purity_is_the_share_of_the_majorities(pairs: list[tuple[str, int]]) -> None:
    majorities = {cluster: Counter(x for x, y in pairs if y == cluster).most_common(1)[0][1] for _, cluster in pairs}
    assert purity(*zip(*pairs, strict=True)) == sum(majorities.values()) / len(pairs)


@given(labelled)
def test_mutual_information_is_normalized_by_the_mean_entropy(pairs: list[tuple[str, int]]) -> None:
    labels, clusters = zip(*pairs, strict=True)
    joint, mean = entropy(pairs), (entropy(labels) + entropy(clusters)) / 2
    expected = (2 * mean - joint) / mean if mean else 1.0
    assert normalized_mutual_information(labels, clusters) == pytest.approx(expected, abs=1e-9)


def entropy(values: Iterable[object]) -> float:
    counts = Counter(values)
    return -sum(count / counts.total() * log(count / counts.total()) for count in counts.values())


@given(labelled, st.sets(st.integers(0, 3)))
def test_a_filter_is_scored_by_what_it_keeps(pairs: list[tuple[str, int]], chosen: set[int]) -> None:
    kept = [label for label, cluster in pairs if cluster in chosen]
    found, wanted = kept.count("en"), [label for label, _ in pairs].count("en")
    precision = found / len(kept) if kept else 0.0
    recall = found / wanted if wanted else 0.0
    f1 = 2 * precision * recall / (precision + recall) if found else 0.0
    score = filter_score(*zip(*pairs, strict=True), "en", chosen)
    assert score == pytest.approx(FilterScore(precision, recall, f1))


@pytest.mark.parametrize("score", [purity, normalized_mutual_information])
def test_unequal_numbers_are_refused(score: Callable[..., float]) -> None:
    with pytest.raises(ValueError, match="as many, and at least one, got 1 and 2"):
        score(["en"], [0, 1])
    with pytest.raises(ValueError, match="got 0 and 0"):
        score([], [])


@pytest.mark.tweets
def test_the_published_method_agrees_with_people_as_measured() -> None:
    path = Path(os.environ["STREAMSKETCH_TWEETS"], "stream-2014-07.jsonl.gz")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        tweets = [tweet for tweet in map(json.loads, lines) if tweet["lang"] != "und"]
    labels = [tweet["lang"] for tweet in tweets]
    features = Featurizer("slide").transform([tweet["text"] for tweet in tweets])
    scores = []
    for seed in range(12):
        clusters = assign(features, fit_kmeans(features, 10, seed, iterations=100))[0].tolist()
        scores.append((purity(labels, clusters), normalized_mutual_information(labels, clusters)))
    table = [f"{seed:4d}  {pure:.3f}  {shared:.3f}" for seed, (pure, shared) in enumerate(scores)]
    print("\n".join([f"{len(tweets)} tweets", "seed  purity  NMI", *table]))  # noqa: T201 - a measurement, to be read
    assert all(0.50 <= pure <= 0.70 and 0.28 <= shared <= 0.46 for pure, shared in scores)

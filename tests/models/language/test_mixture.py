"""K-means by likelihood: each step makes texts likelier, any sharding gives the same bytes, and it finds languages."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import Counter
from math import log
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.language.clustering import LloydSums
from models.language.evaluation import filter_score, purity
from models.language.features import Featurizer
from models.language.mixture import LIKELIHOOD, initial_weights, likeliest, weights_of

ALPHABETS = [
    "abcdefgh",
    "\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6",
    "\u0430\u0431\u0432\u0433\u0434\u0435",
    "\u05d0\u05d1\u05d2\u05d3\u05d4",
]


def made_up(count: int, seed: int = 1) -> tuple[list[str], list[str]]:
    chance = random.Random(seed)
    alphabets = chance.choices(ALPHABETS, k=count)
    return ["".join(chance.choices(of, k=chance.randint(3, 40))) for of in alphabets], [of[0] for of in alphabets]


def stepped(features: csr_matrix, weights: np.ndarray) -> tuple[LloydSums, np.ndarray]:
    sums = LloydSums.empty(*weights.shape)
    sums.add_many(features, weights, likeliest)
    return sums, weights_of(sums, weights)


def test_a_text_is_of_the_cluster_that_most_likely_wrote_it() -> None:
    chance = np.random.default_rng(3)
    features = csr_matrix(chance.poisson(0.5, (50, 7)).astype(float))
    shares = chance.dirichlet(np.ones(7), 3)
    labels, unlikely = likeliest(features, np.log(shares))
    for row, label, distance in zip(features.toarray(), labels, unlikely, strict=True):
        logs = [sum(n * log(p) for n, p in zip(row, share, strict=True)) for share in shares]
        assert label == int(np.argmax(logs))
        assert distance == pytest.approx(-max(logs))


def test_weights_are_the_shares_of_counts_and_a_cluster_without_texts_stays() -> None:
    sums = LloydSums.empty(2, 2)
    sums.add_many(csr_matrix([[3.0, 1.0], [5.0, 0.0]]), np.log([[0.8, 0.2], [0.1, 0.9]]), likeliest)
    weights = weights_of(sums, np.log([[0.8, 0.2], [0.1, 0.9]]))
    assert np.exp(weights[0]) == pytest.approx([8.1 / 9.2, 1.1 / 9.2])
    assert np.exp(weights[1]) == pytest.approx([0.1, 0.9])


def test_each_step_makes_the_texts_likelier_until_they_rest() -> None:
    texts, _ = made_up(300)
    features = Featurizer("clean", 200).transform(texts)
    weights, before = np.log(np.random.default_rng(1).dirichlet(np.ones(200), 4)), np.inf
    for _ in range(50):
        sums, moved = stepped(features, weights)
        assert sums.inertia <= before * (1 + 1e-6)  # smoothing costs a trace
        before, resting, weights = sums.inertia, np.array_equal(moved, weights), moved
        if resting:
            break
    assert resting


def test_any_sharding_gives_the_same_bytes() -> None:
    texts, _ = made_up(400)
    features = Featurizer("clean", 300).transform(texts)
    weights = initial_weights(features, 4, seed=5)
    whole, _ = stepped(features, weights)
    chance = random.Random(2)
    for _ in range(20):
        order = chance.sample(range(400), 400)
        cuts = sorted(chance.sample(range(1, 400), 5))
        parts = [LloydSums.empty(4, 300) for _ in range(6)]
        for part, start, end in zip(parts, [0, *cuts], [*cuts, 400], strict=True):
            part.add_many(features[order[start:end]], weights, likeliest)
        chance.shuffle(parts)
        for other in parts[1:]:
            parts[0].merge(other)
        assert parts[0].to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("seed", range(5))
def test_the_start_tells_alphabets_apart(seed: int) -> None:
    texts, alphabets = made_up(300, seed)
    features = Featurizer("clean", 500).transform(texts)
    labels, _ = likeliest(features, LIKELIHOOD.start(features, 4, seed))
    assert purity(alphabets, labels.tolist()) > 0.95
    assert np.array_equal(LIKELIHOOD.start(features, 4, seed), LIKELIHOOD.start(features, 4, seed))


def test_what_cannot_be_is_refused() -> None:
    features = csr_matrix([[1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="at most the number of distinct rows, got 2 for 1"):
        initial_weights(features, 2, 0)
    with pytest.raises(ValueError, match="as many columns as the clusters, got 2 and 3"):
        likeliest(features, np.zeros((2, 3)))


@pytest.mark.tweets
def test_twelve_starts_find_languages_on_the_natural_stream() -> None:
    """The start that is chosen by its own likelihood, and the worst of all."""
    with gzip.open(Path(os.environ["STREAMSKETCH_TWEETS"], "stream-2014-07.jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["lang"] not in {"und", "", None}]
    languages = [row["lang"] for row in rows]
    features = Featurizer("clean").transform([row["text"] for row in rows])
    told = []
    for seed in range(12):
        weights = initial_weights(features, 10, seed)
        for _ in range(100):
            sums, moved = stepped(features, weights)
            if np.array_equal(moved, weights):
                break
            weights = moved
        told.append((sums.inertia, likeliest(features, weights)[0].tolist()))
    purities = [purity(languages, labels) for _, labels in told]
    _, chosen = min(told)
    assert purity(languages, chosen) >= 0.83
    assert min(purities) >= 0.81
    best = [
        max(filter_score(languages, chosen, language, {cluster}).f1 for cluster in Counter(chosen))
        for language in ("en", "ja", "es", "ar", "id", "pt")
    ]
    assert sum(best) / len(best) >= 0.80

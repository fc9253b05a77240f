"""How well clusters that nobody labelled are languages: twelve starts of k-means, by distance and by likelihood.

    STREAMSKETCH_TWEETS=FOLDER python -m benchmarks.clustering

On the labelled tweets of the natural stream of July 2014. Best F1 is of one cluster for each of six languages, union F1
of all clusters of which it is the majority; both are means. The starts of a method are told from the one that it would
choose itself (the lowest inertia, or the highest likelihood) to the worst.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import orjson
from scipy.sparse import csr_matrix

from models.language.clustering import EUCLIDEAN, Geometry, LloydSums, fit_kmeans
from models.language.evaluation import filter_score, purity
from models.language.features import Featurizer
from models.language.mixture import LIKELIHOOD
from models.language.ngrams import Ngrams

_STARTS = 12
_STEPS = 100
_LANGUAGES = ("en", "ja", "es", "ar", "id", "pt")


def read() -> tuple[list[str], list[str]]:
    """Texts and their languages, of those that people could tell."""
    path = Path(os.environ["STREAMSKETCH_TWEETS"], "stream-2014-07.jsonl.gz")
    rows = [orjson.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    told = [(row["text"], row["lang"]) for row in rows if row["lang"] not in {None, "", "und"}]
    return [text for text, _ in told], [language for _, language in told]


def ngrams(texts: list[str]) -> csr_matrix:
    """How often each of 65,536 buckets of n-grams comes in each text."""
    grams = Ngrams().transform(texts)
    rows = csr_matrix((np.ones(len(grams.buckets)), grams.buckets, grams.bounds), shape=(len(texts), Ngrams().buckets))
    rows.sum_duplicates()
    return rows


def settled(features: csr_matrix, centres: np.ndarray, geometry: Geometry) -> tuple[float, list[int]]:
    """Where Lloyd's loop comes to rest: how far the texts are from their centres, and their clusters."""
    for _ in range(_STEPS):
        sums = LloydSums.empty(*centres.shape)
        sums.add_many(features, centres, geometry.assign)
        moved = geometry.centres(sums, centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return sums.inertia, geometry.assign(features, centres)[0].tolist()


def scores(languages: list[str], clusters: list[int]) -> tuple[float, float, float]:
    """Purity, best F1 and union F1."""
    of_clusters: dict[int, Counter[str]] = {}
    for language, cluster in zip(languages, clusters, strict=True):
        of_clusters.setdefault(cluster, Counter())[language] += 1
    majority = {cluster: counts.most_common(1)[0][0] for cluster, counts in of_clusters.items()}
    best = [max(filter_score(languages, clusters, one, {c}).f1 for c in of_clusters) for one in _LANGUAGES]
    union = [
        filter_score(languages, clusters, one, {c for c, of in majority.items() if of == one}).f1 for one in _LANGUAGES
    ]
    return purity(languages, clusters), sum(best) / len(best), sum(union) / len(union)


def starts(features: csr_matrix, geometry: Geometry, k: int, number: int) -> Iterator[tuple[float, list[int]]]:
    """What comes of so many starts."""
    for seed in range(number):
        centres = fit_kmeans(features, k, seed) if geometry is EUCLIDEAN else geometry.start(features, k, seed)
        yield settled(features, centres, geometry)


def main() -> None:
    """Prints a row for each method: the scores of the start that it chooses, and the lowest of all."""
    texts, languages = read()
    slide, clean, grams = Featurizer("slide").transform(texts), Featurizer("clean").transform(texts), ngrams(texts)
    print(f"{len(texts):,} tweets of {len(set(languages))} languages")
    print(f"{'':34} {'purity':>14} {'best F1':>14} {'union F1':>14}")
    for name, features, geometry, k, number in (
        ("slide, k-means, k = 10", slide, EUCLIDEAN, 10, _STARTS),
        ("clean, by likelihood, k = 10", clean, LIKELIHOOD, 10, _STARTS),
        ("n-grams, by likelihood, k = 10", grams, LIKELIHOOD, 10, 4),
    ):
        found = sorted(starts(features, geometry, k, number))
        of_all = [scores(languages, clusters) for _, clusters in found]
        cells = [f"{of_all[0][n]:.3f} ({min(of[n] for of in of_all):.3f})" for n in range(3)]
        print(f"{name:34} {' '.join(f'{cell:>14}' for cell in cells)}", flush=True)


if __name__ == "__main__":
    main()

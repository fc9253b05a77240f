"""K-means by likelihood: a cluster is a distribution of features, and a text is of the one that most likely wrote it.

That is hard EM of a multinomial mixture, or Lloyd's loop with the Kullback-Leibler divergence in the place of squared
distances. Features are counts. A cluster is a vector of counts, so a step is a sum that any sharding leaves alike.

Sources: Banerjee et al., Clustering with Bregman Divergences (2005); Slonim and Tishby, Agglomerative Information
Bottleneck (1999), for the start; Dhillon and Modha, Concept Decompositions (2001), for spherical k-means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags_array

from models.language.clustering import Geometry, LloydSums, assign, distinct_rows, fit_kmeans, initial_centres

_SMOOTH = 0.1  # of a count, that each cluster has of each feature beforehand
_STARTS = 3  # tries, of which the likeliest is taken
_STEPS = 8  # of each try, before and after clusters are united


def likeliest(features: csr_matrix, weights: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The cluster that most likely wrote each row, the lowest of equals, and minus the logarithm of how likely that is.

    `weights` are logarithms of probabilities, shape (k, d). A row's answer does not depend on the others, bit for bit.

    >>> labels, _ = likeliest(csr_matrix([[3.0, 0.0], [1.0, 2.0]]), np.log([[0.9, 0.1], [0.2, 0.8]]))
    >>> labels
    array([0, 1])
    """
    if features.shape[1] != weights.shape[1]:
        raise ValueError(
            f"features must have as many columns as the clusters, got {features.shape[1]} and {weights.shape[1]}; "
            "use the featurizer that the model was trained with"
        )
    scores = features @ np.ascontiguousarray(weights.T)
    labels = scores.argmax(axis=1).astype(np.int64)
    best = np.take_along_axis(scores, labels[:, np.newaxis], axis=1)[:, 0]
    return labels, np.maximum(-best, 0.0)


def weights_of(sums: LloydSums, previous: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithms of the probabilities of features in each cluster; the previous ones of a cluster without rows."""
    return np.where(sums.counts[:, np.newaxis] > 0, probabilities(sums.sums / 2.0**30), previous)


def initial_weights(features: csr_matrix, k: int, seed: int) -> NDArray[np.float64]:
    """Clusters to start from, as logarithms of probabilities, shape (k, d).

    Spherical k-means finds twice as many; after some steps by likelihood, the two that lose least are united until k
    are left. A random start alone is up to forty points worse, and the likeliest of three such is seldom bad. Raises
    ValueError as `initial_centres` does.
    """
    initial_centres(features, k, seed)  # for what it refuses
    tries = [_try(features, k, seed + number) for number in range(_STARTS)]
    return min(tries, key=lambda weights: float(likeliest(features, weights)[1].sum()))


LIKELIHOOD = Geometry(initial_weights, likeliest, weights_of)


def _try(features: csr_matrix, k: int, seed: int) -> NDArray[np.float64]:
    many = distinct_rows(features, 2 * k)
    rows = features.sqrt()
    norms = np.sqrt(np.asarray(features.sum(axis=1)).ravel())  # of the roots of counts
    rows = csr_matrix(diags_array(1.0 / np.where(norms > 0, norms, 1.0)) @ rows)
    counts = _sums(features, assign(rows, fit_kmeans(rows, many, seed))[0], many)
    counts = _united(_stepped(features, counts), k)
    return probabilities(_stepped(features, counts))


def _stepped(features: csr_matrix, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    for _ in range(_STEPS):
        counts = _sums(features, likeliest(features, probabilities(counts))[0], len(counts))
    return counts


def _sums(features: csr_matrix, labels: NDArray[np.int64], k: int) -> NDArray[np.float64]:
    """The counts of the rows of each cluster, shape (k, d)."""
    rows = np.arange(features.shape[0])
    of_cluster = csr_matrix((np.ones(rows.size), (labels, rows)), shape=(k, rows.size))
    counts: NDArray[np.float64] = (of_cluster @ features).toarray()
    return counts


def probabilities(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """The logarithms of the probabilities of features, of the counts of each cluster; shape (k, d)."""
    smooth = counts + _SMOOTH
    weights: NDArray[np.float64] = np.log(smooth / smooth.sum(axis=1, keepdims=True))
    return weights


def _united(counts: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """K clusters, of which each is one or several: those are united whose own likelihood that costs least."""
    clusters = list(counts)
    likely = [_likelihood(cluster) for cluster in clusters]
    lost = {
        (i, j): likely[i] + likely[j] - _likelihood(clusters[i] + clusters[j])
        for i in range(len(clusters))
        for j in range(i)
    }
    left = set(range(len(clusters)))
    while len(left) > k:
        gone, stays = min(lost, key=lambda pair: (lost[pair], pair))
        left.remove(gone)
        clusters[stays] = clusters[stays] + clusters[gone]
        likely[stays] = _likelihood(clusters[stays])
        lost = {pair: cost for pair, cost in lost.items() if gone not in pair}
        for other in left - {stays}:
            both = _likelihood(clusters[stays] + clusters[other])
            lost[max(stays, other), min(stays, other)] = likely[stays] + likely[other] - both
    return np.array([clusters[number] for number in sorted(left)])


def _likelihood(counts: NDArray[np.float64]) -> float:
    """The logarithm of how likely a cluster's own distribution makes its counts."""
    return float((counts * probabilities(counts[np.newaxis])[0]).sum())

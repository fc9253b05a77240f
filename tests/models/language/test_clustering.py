"""Clustering: scikit-learn's answers, and Lloyd sums that no sharding can change."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, random_array, vstack
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from models.language.clustering import LloydSums, assign, fit_kmeans, initial_centres

K, D = 5, 40


def blobs(rows: int, seed: int) -> csr_matrix:
    """Sparse rows around K sparse centres, in an order that mixes them."""
    rng = np.random.default_rng(seed)
    middles = rng.random((K, D)) * (rng.random((K, D)) < 0.3)
    return csr_matrix(middles[rng.integers(K, size=rows)] + random_array((rows, D), density=0.1, rng=rng).toarray() / 2)


FEATURES = blobs(600, seed=1)
CENTRES = initial_centres(FEATURES, K, seed=1)


def sums(features: csr_matrix, centres: NDArray[np.float64] = CENTRES) -> LloydSums:
    around = LloydSums.empty(*centres.shape)
    around.add_many(features, centres)
    return around


def test_centres_are_those_of_scikit_learn() -> None:
    peer = KMeans(K, n_init=1, max_iter=100, random_state=3).fit(FEATURES)
    np.testing.assert_allclose(fit_kmeans(FEATURES, K, seed=3), peer.cluster_centers_, rtol=1e-12)
    np.testing.assert_array_equal(assign(FEATURES, peer.cluster_centers_)[0], peer.labels_)


def test_a_fit_starts_from_the_centres_it_is_given() -> None:
    start = initial_centres(FEATURES, K, seed=3)
    np.testing.assert_array_equal(fit_kmeans(FEATURES, K, seed=9, centres=start), fit_kmeans(FEATURES, K, seed=3))
    one_step = KMeans(K, init=start, n_init=1, max_iter=1).fit(FEATURES)
    np.testing.assert_allclose(fit_kmeans(FEATURES, K, 3, iterations=1), one_step.cluster_centers_, rtol=1e-12)


def test_a_fit_is_the_same_bits_on_any_number_of_cores() -> None:
    fits = []
    for cores in (1, 2):
        with threadpool_limits(cores, user_api="openmp"):
            fits.append(fit_kmeans(FEATURES, K, seed=3).tobytes())
    assert fits[0] == fits[1]


def test_rows_that_rounding_makes_one_are_clustered_without_a_warning() -> None:
    assert fit_kmeans(csr_matrix([[1.0], [1.0 + 2**-52], [1.0]]), 2, seed=0).shape == (2, 1)


@pytest.mark.parametrize("choose", [initial_centres, fit_kmeans])
def test_k_that_cannot_be_is_refused(choose: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="k must be at least 2 clusters, got 1"):
        choose(FEATURES, 1, seed=0)
    alike = csr_matrix([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])
    with pytest.raises(ValueError, match="at most the number of distinct rows, got 3 for 2: pass a smaller k"):
        choose(alike, 3, seed=0)


def test_a_stored_zero_does_not_make_a_row_distinct() -> None:
    zero_stored = csr_matrix((np.array([1.0, 0.0, 1.0]), np.array([0, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    with pytest.raises(ValueError, match="got 2 for 1"):
        initial_centres(zero_stored, 2, seed=0)


def test_rows_go_to_the_nearest_centre() -> None:
    labels, distances = assign(FEATURES, CENTRES)
    every = ((FEATURES.toarray()[:, np.newaxis] - CENTRES) ** 2).sum(axis=2)
    np.testing.assert_array_equal(labels, every.argmin(axis=1))
    np.testing.assert_allclose(distances, every.min(axis=1), atol=1e-12)
    assert (labels.dtype, distances.dtype) == (np.int64, np.float64)


def test_ties_go_to_the_lowest_centre() -> None:
    centres = np.array([[9.0, 9.0], [2.0, 0.0], [0.0, 2.0], [2.0, 0.0]])
    assert assign(csr_matrix([[1.0, 1.0], [2.0, 0.0]]), centres)[0].tolist() == [1, 1]


def test_no_distance_is_below_zero() -> None:
    assert assign(FEATURES, FEATURES.toarray())[1].min() == 0.0


def test_an_answer_is_the_same_bits_in_any_batch() -> None:
    labels, distances = assign(FEATURES, CENTRES)
    alone = [assign(FEATURES[number], CENTRES) for number in range(FEATURES.shape[0])]
    assert np.concatenate([label for label, _ in alone]).tobytes() == labels.tobytes()
    assert np.concatenate([distance for _, distance in alone]).tobytes() == distances.tobytes()
    assert assign(FEATURES, np.asfortranarray(CENTRES))[1].tobytes() == distances.tobytes()


def test_features_of_another_dimension_are_refused() -> None:
    with pytest.raises(ValueError, match="as many columns as the centres, got 40 and 39"):
        assign(FEATURES, CENTRES[:, 1:])


@given(st.lists(st.integers(0, 600), max_size=6), st.randoms(use_true_random=False))
def test_any_sharding_in_any_order_gives_the_same_bytes(cuts: list[int], random: Random) -> None:
    edges = [0, *sorted(cuts), 600]
    shards = [sums(FEATURES[start:end]) for start, end in pairwise(edges)]
    random.shuffle(shards)
    total = LloydSums.empty(K, D)
    for shard in shards:
        total.merge(shard)
    assert total.to_bytes() == sums(FEATURES).to_bytes()


def test_merging_groups_as_it_likes() -> None:
    parts = [FEATURES[:100], FEATURES[100:350], FEATURES[350:]]
    left, right = sums(parts[0]), sums(parts[1])
    left.merge(sums(parts[1]))
    left.merge(sums(parts[2]))
    right.merge(sums(parts[2]))
    right.merge(sums(parts[0]))
    assert left.to_bytes() == right.to_bytes()


def test_empty_is_zero_and_merge_leaves_its_argument_alone() -> None:
    around, empty = sums(FEATURES), LloydSums.empty(K, D)
    before = around.to_bytes()
    around.merge(empty)
    assert around.to_bytes() == before
    empty.merge(around)
    assert empty.to_bytes() == before
    empty.merge(around)
    assert around.to_bytes() == before
    assert empty.counts.sum() == 1200


def test_sums_come_back_from_bytes() -> None:
    around = sums(FEATURES)
    again = LloydSums.from_bytes(around.to_bytes())
    assert again.to_bytes() == around.to_bytes()
    again.merge(around)  # what came from bytes can be added to
    assert again.inertia == 2 * around.inertia


def test_other_bytes_are_refused() -> None:
    data = sums(FEATURES).to_bytes()
    next_version = data[:7] + b"\x02" + data[8:]
    for other in (b"", b"LLOYD", next_version):
        with pytest.raises(ValueError, match="must begin with"):
            LloydSums.from_bytes(other)
    for other in (data[:-1], data + b"\0", data[:20]):
        with pytest.raises(ValueError, match=r"begin with|cut or extended"):
            LloydSums.from_bytes(other)
    with pytest.raises(ValueError, match="these bytes were changed"):
        LloydSums.from_bytes(data[:-1] + b"\x7f")


def test_unlike_sums_are_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(5, 40\) with \(4, 40\): build both with the same k"):
        LloydSums.empty(5, 40).merge(LloydSums.empty(4, 40))
    with pytest.raises(ValueError, match=r"shape of the sums, \(4, 40\), got \(5, 40\)"):
        LloydSums.empty(4, 40).add_many(FEATURES, CENTRES)


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_numbers_that_are_not_finite_are_refused_and_nothing_is_added(number: float) -> None:
    around = LloydSums.empty(2, 2)
    good, bad = np.eye(2), np.array([[1.0, 0.0], [0.0, number]])
    for features, centres in ((bad, good), (good, bad)):
        with pytest.raises(ValueError, match="must be finite numbers"):
            around.add_many(csr_matrix(features), centres)
    assert around.to_bytes() == LloydSums.empty(2, 2).to_bytes()


def test_sums_that_would_not_fit_are_refused_and_never_wrap() -> None:
    centres = np.array([[0.0], [-1.0]])
    around = LloydSums.empty(2, 1)
    with pytest.raises(OverflowError, match="divide the features"):
        around.add_many(csr_matrix([[2.0**32]] * 4), centres)  # 2^64 in fixed point would wrap to nothing
    around.add_many(csr_matrix([[2.0**32 - 1024]]), centres)
    kept = around.to_bytes()
    with pytest.raises(OverflowError, match="divide the features"):
        around.add_many(csr_matrix([[1024.0]]), centres)
    with pytest.raises(OverflowError, match="divide the features"):
        around.merge(around)
    assert around.to_bytes() == kept


def test_an_empty_cluster_keeps_its_centre() -> None:
    centres = np.array([[0.0, 0.0], [0.25, 7.0]])
    around = sums(csr_matrix([[1.0, 0.0], [0.0, 1.0]]), centres)
    assert around.centres(centres).tolist() == [[0.5, 0.5], [0.25, 7.0]]
    assert (around.counts.tolist(), around.inertia) == ([2, 0], 2.0)


def test_steps_of_shards_reach_the_inertia_of_scikit_learn() -> None:
    centres = CENTRES
    shards = [FEATURES[start : start + 150] for start in range(0, 600, 150)]
    for _ in range(100):
        total = LloydSums.empty(K, D)
        for shard in shards:
            total.merge(sums(shard, centres))
        centres = total.centres(centres)
    fitted = KMeans(K, init=CENTRES, n_init=1, max_iter=100).fit(FEATURES)
    assert sums(FEATURES, centres).inertia == pytest.approx(fitted.inertia_, rel=1e-3)


def test_shards_of_one_kind_are_like_the_whole() -> None:
    assert sums(vstack([FEATURES, FEATURES], format="csr")).counts.tolist() == (2 * sums(FEATURES).counts).tolist()

"""Streaming k-means: shards add up, half of what was known goes with each half-life, and bytes go on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.language.streaming_kmeans import StreamingKMeans


def batches(seed: int, number: int = 6, d: int = 5) -> list[csr_matrix]:
    chance = np.random.default_rng(seed)
    return [csr_matrix(chance.poisson(2.0, (chance.integers(5, 40), d)).astype(float)) for _ in range(number)]


def fresh(geometry: str, **asked: object) -> StreamingKMeans:
    centres = np.random.default_rng(1).dirichlet(np.ones(5), 3)
    start = np.log(centres) if geometry == "likelihood" else centres * 10
    return StreamingKMeans(start, geometry=geometry, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("geometry", ["euclidean", "likelihood"])
def test_shards_of_a_batch_add_up_to_it(geometry: str) -> None:
    whole, sharded = (fresh(geometry, half_life=2.0) for _ in range(2))
    for batch in batches(3):
        whole.update(whole.around(batch))
        parts = [sharded.around(batch[start::4]) for start in (2, 0, 3, 1)]
        for other in parts[1:]:
            parts[0].merge(other)
        sharded.update(parts[0])
    assert sharded.to_bytes() == whole.to_bytes()


@pytest.mark.parametrize("unit", ["batches", "points"])
def test_half_of_what_was_known_goes_with_each_half_life(unit: str) -> None:
    model = StreamingKMeans(np.array([[0.0]]), np.array([8.0]), 4, unit)  # type: ignore[arg-type]
    for _ in range(4):
        model.update(model.around(csr_matrix([[1.0]])))
    kept, came = 8 * 0.5, sum(0.5 ** (age / 4) for age in range(4))
    assert model.weights == pytest.approx([kept + came])
    assert model.centres[0, 0] == pytest.approx(came / (kept + came))


def test_without_a_half_life_centres_are_the_means_of_all() -> None:
    model = StreamingKMeans(np.zeros((1, 5)))
    for batch in batches(4):
        model.update(model.around(batch))
    assert model.centres[0] == pytest.approx(np.vstack([batch.toarray() for batch in batches(4)]).mean(axis=0))


def test_by_likelihood_clusters_are_decayed_counts() -> None:
    model = StreamingKMeans(np.log(np.full((1, 5), 0.2)), half_life=1, geometry="likelihood")
    counts = np.zeros(5)
    for batch in batches(5):
        model.update(model.around(batch))
        counts = counts / 2 + batch.toarray().sum(axis=0)
    assert np.exp(model.centres[0]) == pytest.approx((counts + 0.1) / (counts + 0.1).sum())


@pytest.mark.parametrize("geometry", ["euclidean", "likelihood"])
def test_bytes_go_on_where_they_were(geometry: str) -> None:
    whole = fresh(geometry, half_life=3.0)
    gone_on = fresh(geometry, half_life=3.0)
    for batch in batches(6):
        whole.update(whole.around(batch))
        gone_on = StreamingKMeans.from_bytes(gone_on.to_bytes(), 3.0)
        gone_on.update(gone_on.around(batch))
    assert gone_on.to_bytes() == whole.to_bytes()


def test_a_dying_cluster_takes_half_of_the_heaviest() -> None:
    model = StreamingKMeans(np.array([[0.0], [100.0]]), half_life=1)
    for _ in range(30):
        model.update(model.around(csr_matrix([[1.0]])))
    assert model.centres[:, 0] == pytest.approx([1.0, 1.0], abs=1e-6)
    assert min(model.weights) > 1e-3  # type: ignore[type-var]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"half_life": 0}, "half_life must be more than 0 batches, got 0"),
        ({"unit": "hours"}, "unit must be batches or points"),
        ({"geometry": "round"}, "geometry must be euclidean or likelihood"),
        ({"weight": np.array([1.0])}, "a weight of at least 0 for each of 3"),
    ],
)
def test_what_cannot_be_is_refused(change: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        StreamingKMeans(**({"centres": np.zeros((3, 2))} | change))  # type: ignore[arg-type]


def test_bytes_that_are_none_are_refused() -> None:
    data = StreamingKMeans(np.zeros((3, 2))).to_bytes()
    for wrong in (b"", b"x" + data[1:], data[:-1], data + b"x"):
        with pytest.raises(ValueError, match="streaming k-means"):
            StreamingKMeans.from_bytes(wrong)

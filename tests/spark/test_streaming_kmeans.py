"""Streaming k-means and a real Spark: the same batches give the same centres and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from models.language.streaming_kmeans import StreamingKMeans

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("unit", ["batches", "points"])
@pytest.mark.parametrize("half_life", [0.5, 5.0])
@pytest.mark.parametrize("seed", range(3))
def test_centres_and_weights_are_sparks(
    spark: SparkSession, unit: Literal["batches", "points"], half_life: float, seed: int
) -> None:
    from pyspark.mllib.clustering import StreamingKMeansModel
    from pyspark.mllib.linalg import Vectors

    chance = np.random.default_rng(seed)
    start = chance.normal(0, 5, (4, 3))
    start[3] = 1e3  # nothing is near: it dies, and the heaviest is divided
    half_life = half_life if unit == "batches" else half_life * 40
    ours = StreamingKMeans(start, np.full(4, 1.0), half_life, unit)
    theirs = StreamingKMeansModel(start.tolist(), [1.0] * 4)
    for _ in range(12):
        batch = chance.normal(chance.normal(0, 5, 3), 4, (40, 3))
        ours.update(ours.around(csr_matrix(batch)))
        rdd = spark.sparkContext.parallelize([Vectors.dense(row) for row in batch], 2)
        theirs.update(rdd, float(0.5 ** (1 / half_life)), unit)
        assert ours.centres == pytest.approx(np.array(theirs.clusterCenters), abs=1e-6)
        assert ours.weights == pytest.approx(np.array(theirs.clusterWeights), abs=1e-6)

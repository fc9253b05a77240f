"""Kll and a real Spark: its kll_sketch functions answer from ours and merge them, and ours theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from transforms.sketches import Kll

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

RANKS = np.round(np.linspace(0.01, 0.99, 99), 2)
ASKED = f"array({', '.join(f'{rank}D' for rank in RANKS)})"
TYPES = {"double": "doubles", "float": "floats", "bigint": "longs"}
N = 100_000
LIMIT = 1.5 * 0.0133  # of the rank at k = 200, for the worst of 99 quantiles


def ours_of(values: Any, k: int = 200) -> Kll:
    sketch = Kll(k)
    sketch.add_many(values)
    return sketch


def row_of(spark: SparkSession, query: str, **images: bytes) -> Any:
    return spark.sql(query, {name: bytearray(image) for name, image in images.items()}).first()


def worst(quantiles: Any, count: int) -> float:
    """The largest rank error, as a share of the count, of quantiles of 0 to count - 1."""
    return float(np.abs((np.array(quantiles) + 1) / count - RANKS).max())


@pytest.mark.parametrize("k", [8, 200, 2000])
def test_spark_answers_from_our_images(spark: SparkSession, k: int) -> None:
    for count in (1, 2, 1_000, N):
        sketch = ours_of(np.random.default_rng(1).permutation(count), k)
        n, ends, quantiles, rank = row_of(
            spark,
            f"""
            SELECT kll_sketch_get_n_double(:ours), kll_sketch_get_quantile_double(:ours, array(0D, 1D)),
                   kll_sketch_get_quantile_double(:ours, {ASKED}), kll_sketch_get_rank_double(:ours, {count // 3}D)
            """,
            ours=sketch.to_datasketches(),
        )
        assert (n, ends) == (count, [0, count - 1])
        assert quantiles == [sketch.quantile(float(rank)).value for rank in RANKS]
        assert rank * count == pytest.approx(sketch.rank(count // 3).value)
        if count == N:
            assert worst(quantiles, count) < 1.5 * sketch.rank_error


def test_an_empty_sketch_is_empty_there(spark: SparkSession) -> None:
    assert row_of(spark, "SELECT kll_sketch_get_n_double(:ours)", ours=Kll().to_datasketches())[0] == 0
    (image,) = row_of(spark, "SELECT kll_sketch_agg_double(CAST(id AS DOUBLE)) FROM range(0)")
    assert Kll.from_datasketches(bytes(image)) == Kll()


@pytest.mark.parametrize("kind", TYPES)
def test_what_spark_built_answers_and_merges_here(spark: SparkSession, kind: str) -> None:
    for count in (1, 2, 150, 1_000, N):
        image, theirs = row_of(
            spark,
            f"""
            SELECT image, kll_sketch_get_quantile_{kind}(image, {ASKED})
            FROM (SELECT kll_sketch_agg_{kind}(CAST(id AS {kind}), 200) AS image FROM range({count}))
            """,
        )
        sketch = Kll.from_datasketches(bytes(image), items=TYPES[kind])
        assert (sketch.count, sketch.parameters["k"]) == (count, 200)
        assert [sketch.quantile(float(rank)).value for rank in RANKS] == theirs
        sketch.merge(ours_of(np.arange(count)))
        assert sketch.count == 2 * count
        if count == N:
            assert worst([sketch.quantile(float(rank)).value for rank in RANKS], N) < LIMIT


def test_spark_merges_ours_with_its_own(spark: SparkSession) -> None:
    halves = [ours_of(np.arange(start, N, 4)) for start in (0, 1)]
    pair, many = row_of(
        spark,
        """
        WITH theirs AS (SELECT kll_sketch_agg_double(CAST(id AS DOUBLE)) AS image FROM range(100000) WHERE id % 4 > 1)
        SELECT (SELECT kll_sketch_merge_double(image, :one) FROM theirs),
               (SELECT kll_merge_agg_double(image)
                FROM (SELECT image FROM theirs UNION ALL SELECT :one UNION ALL SELECT :other))
        """,
        one=halves[0].to_datasketches(),
        other=halves[1].to_datasketches(),
    )
    assert Kll.from_datasketches(bytes(pair)).count == 3 * N // 4
    whole = Kll.from_datasketches(bytes(many))
    assert (whole.count, whole.quantile(0.0).value, whole.quantile(1.0).value) == (N, 0.0, N - 1)
    assert worst([whole.quantile(float(rank)).value for rank in RANKS], N) < LIMIT


def test_spark_merges_unlike_k_and_errs_as_the_smaller(spark: SparkSession) -> None:
    (image,) = row_of(
        spark,
        "SELECT kll_sketch_merge_double(:large, :small)",
        large=ours_of(np.arange(0, N, 2), 400).to_datasketches(),
        small=ours_of(np.arange(1, N, 2), 100).to_datasketches(),
    )
    sketch = Kll.from_datasketches(bytes(image))
    assert (sketch.count, sketch.parameters["k"]) == (N, 100)
    assert worst([sketch.quantile(float(rank)).value for rank in RANKS], N) < 1.5 * sketch.rank_error
    with pytest.raises(ValueError, match=r"k=100.*k=400"):
        sketch.merge(ours_of([1.0], 400))

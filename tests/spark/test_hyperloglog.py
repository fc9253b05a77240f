"""HyperLogLog and a real Spark: what each reads of the other, what unites, and what must not be united."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.sketches import HyperLogLog
from transforms.sketches.hashing import DEFAULT, DataSketchesHasher, Hasher

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytestmark = pytest.mark.spark

INTEROPERABLE = DataSketchesHasher()
COLUMNS = {  # what Spark's hll_sketch_agg takes, and the same items here
    "int": ("CAST(id AS INT)", lambda ids: ids.astype(np.int32)),
    "bigint": ("id - 9000000000", lambda ids: ids - 9_000_000_000),
    "string": ("CONCAT('usér ', id)", lambda ids: pa.array([f"usér {i}" for i in ids], pa.string())),
    "binary": ("CAST(CONCAT('key ', id) AS BINARY)", lambda ids: pa.array([b"key %d" % i for i in ids], pa.binary())),
}


def ours_of(values: Any, precision: int = 12, hasher: Hasher = INTEROPERABLE) -> HyperLogLog:
    sketch = HyperLogLog(precision, hasher=hasher)
    sketch.add_many(values)
    return sketch


def row_of(spark: SparkSession, query: str, **images: bytes) -> Any:
    return spark.sql(query, {name: bytearray(image) for name, image in images.items()}).first()


def test_spark_estimates_from_our_images_what_we_estimate(spark: SparkSession) -> None:
    sketches = {
        (precision, count): ours_of(np.arange(count), precision, DEFAULT)
        for precision in (8, 12, 16)
        for count in (0, 1, 10, 1_000, 20_000, 300_000)
    }
    rows = [(*which, bytearray(sketch.to_datasketches())) for which, sketch in sketches.items()]
    table = spark.createDataFrame(rows, "precision int, count int, image binary")
    for precision, count, theirs in table.selectExpr("precision", "count", "hll_sketch_estimate(image)").collect():
        assert theirs == pytest.approx(count, rel=3.5 * 1.04 / 2 ** (precision / 2), abs=0.5)
        if count > 2**precision:
            assert theirs == pytest.approx(sketches[precision, count].estimate().value, rel=0.015)


@pytest.mark.parametrize("kind", COLUMNS)
def test_what_spark_built_is_the_sketch_of_the_same_items_here(spark: SparkSession, kind: str) -> None:
    column, items = COLUMNS[kind]
    for precision in (4, 12):
        for count in (0, 1, 7, 8, 300, 5_000, 200_000):  # as a list, as a set, as registers
            image = row_of(spark, f"SELECT hll_sketch_agg({column}, {precision}) FROM range({count})")[0]
            read, ours = HyperLogLog.from_datasketches(bytes(image)), ours_of(items(np.arange(count)), precision)
            assert (read._dense() == ours._dense()).all(), (precision, count)


@pytest.mark.parametrize("kind", COLUMNS)
def test_sketches_of_the_interoperable_hash_unite_in_spark_and_here(spark: SparkSession, kind: str) -> None:
    column, items = COLUMNS[kind]
    ours, whole = ours_of(items(np.arange(50_000))), ours_of(items(np.arange(75_000)))
    theirs, both, of_all = row_of(
        spark,
        f"""
        WITH theirs AS (SELECT hll_sketch_agg({column}) AS image FROM range(25000, 75000))
        SELECT (SELECT image FROM theirs), (SELECT hll_union(image, :ours) FROM theirs),
               (SELECT hll_union_agg(image) FROM (SELECT image FROM theirs UNION ALL SELECT :ours))
        """,
        ours=ours.to_datasketches(),
    )
    ours.merge(HyperLogLog.from_datasketches(bytes(theirs)))
    for united in (ours, *(HyperLogLog.from_datasketches(bytes(image)) for image in (both, of_all))):
        assert (united._registers == whole._registers).all()
    (estimate,) = row_of(spark, "SELECT hll_sketch_estimate(:both)", both=bytes(both))
    assert estimate == pytest.approx(75_000, rel=0.05)
    assert estimate == pytest.approx(ours.estimate().value, rel=0.015)


def test_what_spark_takes_for_one_item_is_one_here_too(spark: SparkSession) -> None:
    columns = ("7", "7L", "'7'", "CAST('7' AS BINARY)")
    images = row_of(spark, f"SELECT {', '.join(f'hll_sketch_agg({column})' for column in columns)}")
    theirs = [HyperLogLog.from_datasketches(bytes(image)) for image in images]
    assert theirs[0] == theirs[1] != theirs[2] == theirs[3]
    for sketch, item in zip(theirs, (7, 7, "7", b"7"), strict=True):
        assert (sketch._dense() == ours_of([item])._dense()).all()


def test_spark_ignores_the_nulls_and_empty_strings_that_we_refuse(spark: SparkSession) -> None:
    (image,) = row_of(spark, "SELECT hll_sketch_agg(item) FROM VALUES (''), (NULL), ('a') AS items(item)")
    assert (HyperLogLog.from_datasketches(bytes(image))._dense() == ours_of(["a"])._dense()).all()
    for item in ("", None):
        with pytest.raises(ValueError, match="drop"):
            ours_of([item])


def test_a_sketch_of_the_default_hash_must_not_be_united_with_one_of_spark(spark: SparkSession) -> None:
    estimates = row_of(
        spark,
        """
        WITH theirs AS (SELECT hll_sketch_agg(id) AS image FROM range(50000))
        SELECT hll_sketch_estimate(:keyed), hll_sketch_estimate(hll_union(image, :keyed)),
               hll_sketch_estimate(hll_union(image, :interoperable)) FROM theirs
        """,
        keyed=ours_of(np.arange(50_000), hasher=DEFAULT).to_datasketches(),
        interoperable=ours_of(np.arange(50_000)).to_datasketches(),
    )
    assert estimates[0] == pytest.approx(50_000, rel=0.05)
    assert estimates[1] == pytest.approx(100_000, rel=0.05)  # each item counts twice
    assert estimates[2] == pytest.approx(50_000, rel=0.05)

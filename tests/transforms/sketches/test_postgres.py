"""HyperLogLog in a real PostgreSQL: its hll extension reads and unites what `to_postgres` writes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import psycopg
import pytest

from transforms.sketches import HyperLogLog

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS hll")
        yield connection


def cardinality(database: psycopg.Connection, *images: bytes) -> float:
    found = database.execute(
        "SELECT hll_cardinality(hll_union_agg(image::hll)) FROM unnest(%s::bytea[]) AS images(image)", [list(images)]
    ).fetchone()
    assert found
    return float(found[0])


@pytest.mark.parametrize("precision", [8, 11, 14])
@pytest.mark.parametrize("count", [10, 1000, 100_000])
def test_postgres_estimates_what_we_estimate(database: psycopg.Connection, precision: int, count: int) -> None:
    sketch = HyperLogLog(precision)
    sketch.add_many(np.arange(count))
    theirs = cardinality(database, sketch.to_postgres())
    assert theirs == pytest.approx(count, rel=4 * 1.04 / 2 ** (precision / 2))
    if count > 5 * 2**precision:
        assert theirs == pytest.approx(sketch.estimate().value, rel=0.02)


def test_postgres_unites_sketches_of_ours(database: psycopg.Connection) -> None:
    left, right = HyperLogLog(12), HyperLogLog(12)
    left.add_many(np.arange(50_000))
    right.add_many(np.arange(25_000, 75_000))
    assert cardinality(database, left.to_postgres(), right.to_postgres()) == pytest.approx(75_000, rel=0.05)


@pytest.mark.parametrize("regwidth", [4, 5, 6, 8])
def test_the_parameters_are_those_stated(database: psycopg.Connection, regwidth: int) -> None:
    sketch = HyperLogLog(10)
    sketch.add_many(np.arange(3000))
    printed = database.execute("SELECT hll_print(%s::bytea::hll)", [sketch.to_postgres(regwidth)]).fetchone()
    assert printed
    assert f"nregs=1024, nbits={regwidth}" in printed[0]

"""HyperLogLog in a real PostgreSQL: its hll extension reads and unites what `to_postgres` writes."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psycopg
import pytest

from transforms.sketches import HyperLogLog

pytestmark = pytest.mark.postgres

PROGRAMS = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


def as_server(*command: object) -> list[str]:
    """The command under an account that PostgreSQL accepts: it refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    return [*prefix, *map(str, command)]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[psycopg.Connection]:
    """A connection to a server of our own, on a free loopback port, ended by its process id."""
    assert PROGRAMS, "PostgreSQL must be installed: apt-get install postgresql postgresql-15-hll"
    place = tmp_path_factory.mktemp("postgres")
    for folder in [place, *place.parents][:3]:  # the server's account must get there
        folder.chmod(0o755)
    data = place / "data"
    data.mkdir()
    if getpass.getuser() == "root":
        shutil.chown(data, "postgres")
    subprocess.run(
        as_server(PROGRAMS / "initdb", "-D", data, "-A", "trust", "-U", "test"), check=True, capture_output=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = as_server(PROGRAMS / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", data)
    with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            with connect(port) as connection:
                connection.execute("CREATE EXTENSION hll")
                yield connection
        finally:
            running = int((data / "postmaster.pid").read_text().splitlines()[0])
            with contextlib.suppress(ProcessLookupError):
                os.kill(running, signal.SIGINT)  # PostgreSQL's fast shutdown
            process.wait(30)


def connect(port: int) -> psycopg.Connection:
    deadline = time.monotonic() + 30
    while True:
        try:
            return psycopg.connect(f"host=127.0.0.1 port={port} user=test dbname=postgres", autocommit=True)
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


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

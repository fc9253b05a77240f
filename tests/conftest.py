"""What every test may ask for: pipelines on the in-process runner, and places for files."""

from __future__ import annotations

import contextlib
import getpass
import importlib
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson
import psycopg
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.transforms import core, ptransform, util

_skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped:
        _skipped.append(report.nodeid)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Where everything must run, what is skipped has failed."""
    if _skipped and os.environ.get("STREAMSKETCH_NO_SKIPS"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture(scope="session", autouse=True)
def _signatures_are_read_once(_beam_is_imported: None) -> Iterator[None]:
    """Beam inspects each function anew for each pipeline, which is half the time of a short one."""
    known: dict[Any, Any] = {}
    read = core.get_signature

    def remembered(function: Any) -> Any:
        key = getattr(function, "__func__", function), hasattr(function, "__func__")
        if key not in known:
            known[key] = read(function)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        for module in (core, ptransform, util):
            patch.setattr(module, "get_signature", remembered)
        yield


NewPipeline = Callable[..., AbstractContextManager[beam.Pipeline]]


@pytest.fixture(scope="session", autouse=True)
def _beam_is_imported() -> None:
    """Beam's own imports may warn (they are not ours to mend), so they happen before warnings count as errors."""
    importlib.import_module("apache_beam.ml.inference.base")


@pytest.fixture
def in_process() -> NewPipeline:
    """Makes pipelines on the in-process runner; Beam's flags may be given."""

    def new(*flags: str) -> TestPipeline:
        return TestPipeline(runner="FnApiRunner", options=PipelineOptions(list(flags)))

    return new


@pytest.fixture
def rows_of() -> Callable[[Any], list[Any]]:
    """Reads JSONL files back."""

    def read(*paths: Any) -> list[Any]:
        return [orjson.loads(line) for path in paths for line in path.read_bytes().splitlines()]

    return read


# Where Debian has PostgreSQL's server.
_POSTGRES = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server of our own, on a free loopback port, ended by its process id."""
    assert _POSTGRES, "PostgreSQL must be installed: apt-get install postgresql postgresql-15-hll"
    place = tmp_path_factory.mktemp("postgres")
    for folder in [place, *place.parents][:3]:  # the server's account must get there
        folder.chmod(0o755)
    data = place / "data"
    data.mkdir()
    if getpass.getuser() == "root":
        shutil.chown(data, "postgres")
    subprocess.run(
        _as_server(_POSTGRES / "initdb", "-D", data, "-A", "trust", "-U", "test"), check=True, capture_output=True
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = _as_server(_POSTGRES / "postgres", "-D", data, "-p", port, "-h", "127.0.0.1", "-k", data)
    uri = f"postgresql://test@127.0.0.1:{port}/postgres"
    log = place / "log"
    with log.open("wb") as said, subprocess.Popen(server, stdout=said, stderr=said) as process:
        try:
            _wait_for(uri)
            yield uri
            assert process.poll() is None, log.read_text()[-2000:]
        finally:
            running = int((data / "postmaster.pid").read_text().splitlines()[0])
            with contextlib.suppress(ProcessLookupError):
                os.kill(running, signal.SIGINT)  # PostgreSQL's fast shutdown
            process.wait(30)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a database in which there is nothing yet: a file, or one of a real PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path / 'rollups.db'}"
    server: str = request.getfixturevalue("postgres")
    name = f"store_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres", f"/{name}")


def _as_server(*command: object) -> list[str]:
    """The command under an account that PostgreSQL accepts: it refuses to run as root."""
    prefix = ["runuser", "-u", "postgres", "--"] if getpass.getuser() == "root" else []
    return [*prefix, *map(str, command)]


def _wait_for(uri: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(uri).close()
        except psycopg.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return

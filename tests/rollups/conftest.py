"""Addresses of stores, for tests of all that is kept in one."""

from __future__ import annotations

import uuid
from pathlib import Path

import psycopg
import pytest


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def uri(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address at which there is no store yet: a file, or a database of a real PostgreSQL."""
    if request.param == "sqlite":
        return str(tmp_path / "rollups.db")
    server: str = request.getfixturevalue("postgres")
    name = f"store_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.replace("/postgres", f"/{name}")

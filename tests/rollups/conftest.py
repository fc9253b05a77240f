"""Addresses of stores, for tests of all that is kept in one."""

from __future__ import annotations

import pytest


@pytest.fixture
def uri(database: str) -> str:
    """An address at which there is no store yet: a file, or a database of a real PostgreSQL."""
    return database.removeprefix("sqlite:")

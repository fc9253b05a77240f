"""What every test may ask for: pipelines on the in-process runner, and places for files."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import apache_beam as beam
import orjson
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

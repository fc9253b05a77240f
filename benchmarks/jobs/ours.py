"""streamsketch: batches of events, measured on Beam's in-process runner."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa

from benchmarks.jobs.jobs import COLUMNS, JOBS, QUANTILES, TOP, Job, Way
from benchmarks.jobs.reading import ReadBatches
from benchmarks.jobs.writing import WriteRows
from transforms.columnar import MeasureBatches
from transforms.distinct import distinct_count
from transforms.exact import count
from transforms.measures import Measure
from transforms.quantiles import log_quantiles, quantiles
from transforms.top import heavy_hitters
from transforms.windowing import WindowPolicy

_REGISTERS = 0.0325  # two standard errors of 4,096 registers
_COUNTERS = 1536

WAYS = [
    Way("J1", "count", count()),
    *(Way(job, "HyperLogLog", distinct_count(_REGISTERS), "rms", 0.0163) for job in ("J2a", "J2b", "J2s")),
    Way("J3", "LogHistogram", log_quantiles(*QUANTILES, error=0.01), "value", 0.01),
    Way("J3", "Kll", quantiles(*QUANTILES, error=0.0133), "rank", 0.0133),
    Way("J4", "HeavyHitters", heavy_hitters(TOP, _COUNTERS), "share", 1 / _COUNTERS),
]


class System:
    """Does the jobs on a file of events."""

    def __init__(self, path: Path, events: int) -> None:
        self._path = path
        self._events = events

    def versions(self) -> str:
        """What it runs on."""
        return (
            f"Beam {version('apache-beam')} FnApiRunner, Python {platform.python_version()}, numpy {np.__version__}, "
            f"Arrow {pa.__version__}, {os.cpu_count()} cores"
        )

    def answer(self, way: Way, folder: Path) -> None:
        """Writes the answers of a way into a folder."""
        job = JOBS[way.job]
        key = job.column if job.question == "count" else job.key
        by = [key] if key else []
        column = None if job.question == "count" else job.column
        measure = MeasureBatches(
            by=by, measures={"answer": Measure(column, way.ask)}, windows=WindowPolicy(job.window), event_time="time"
        )
        columns = list(dict.fromkeys(["time", *by, job.column]))
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = (
                pipeline
                | "Read" >> ReadBatches(self._path, columns, self._events)
                | "Measure" >> measure
                | "Rows" >> beam.FlatMap(_rows, job)
                | "Write" >> beam.ParDo(WriteRows(folder, COLUMNS[job.question]))
            )


def _rows(answered: tuple[tuple[Any, ...], dict[str, Any]], job: Job) -> list[tuple[Any, ...]]:
    key, answer = answered[0], answered[1]["answer"]
    match job.question:
        case "top":
            return [(word, estimate.value) for word, estimate in answer]
        case "quantiles":
            return [tuple(estimate.value for estimate in answer.values())]
        case "distinct":
            return [(*key, answer.value)]
        case "count":
            return [(*key, answer)]

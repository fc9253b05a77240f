"""streamsketch: batches of events, measured on Beam's in-process runner."""

from __future__ import annotations

import importlib.util
import platform
from importlib.metadata import version
from pathlib import Path

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.jobs.jobs import COLUMNS, JOBS, QUANTILES, TOP, Job, Way
from benchmarks.jobs.reading import ReadBatches
from benchmarks.jobs.writing import WriteBatches
from transforms.columnar import MeasureBatches
from transforms.distinct import distinct_count
from transforms.exact import count
from transforms.measures import Measure
from transforms.quantiles import log_quantiles, quantiles
from transforms.sketches.kernels import CHOICE
from transforms.top import heavy_hitters
from transforms.windowing import WindowPolicy

_REGISTERS = 0.0325  # two standard errors of 4,096 registers
_COUNTERS = 1536

WAYS = [
    Way("J1", "count", count()),
    *(Way(job, "HyperLogLog", distinct_count(_REGISTERS), "rms", 0.0163) for job in ("J2a", "J2b", "J2h", "J2s")),
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
        compiled = CHOICE != "numpy" and importlib.util.find_spec("numba") is not None
        return (
            f"Beam {version('apache-beam')} FnApiRunner, Python {platform.python_version()}, numpy {np.__version__}, "
            f"Arrow {pa.__version__}, {'kernels of numba ' + version('numba') if compiled else 'no compiled kernels'}"
        )

    def answer(self, way: Way, folder: Path) -> None:
        """Writes the answers of a way into a folder."""
        job = JOBS[way.job]
        key = job.column if job.question == "count" else job.key
        by = [key] if key else []
        measure = MeasureBatches(
            by=by,
            measures={"answer": Measure(None if job.question == "count" else job.column, way.ask)},
            windows=WindowPolicy(job.window),
            event_time="time",
            output="batches",
        )
        columns = list(dict.fromkeys(["time", *by, job.column]))
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = (
                pipeline
                | "Read" >> ReadBatches(self._path, columns, self._events)
                | "Measure" >> measure
                | "Tell" >> beam.Map(_told, job)
                | "Write" >> beam.ParDo(WriteBatches(folder))
            )


def _told(answers: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """The columns that all systems tell."""
    answer, start = answers["answer"], answers["window_start"].cast(pa.int64())
    match job.question:
        case "count":
            told = [answers[job.column], answer]
        case "distinct":
            told = [start, answers[job.key], pc.struct_field(answer, "value")]
        case "quantiles":
            told = [start, *(pc.struct_field(pc.list_element(answer, i), "value") for i in range(len(QUANTILES)))]
        case "top":
            told = [answer.flatten().field("item"), answer.flatten().field("value")]
    return pa.RecordBatch.from_arrays(told, COLUMNS[job.question])

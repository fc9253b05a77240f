"""streamsketch: batches of events, measured on Beam's in-process runner.

J5 is the pipeline `rollup` as it is, into a store in SQLite, and beside it the same measures told as others tell them.
"""

from __future__ import annotations

import importlib.util
import platform
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.jobs.jobs import COLUMNS, JOBS, QUANTILES, TOP, Job, Way
from benchmarks.jobs.reading import ReadBatches
from benchmarks.jobs.writing import WriteBatches
from pipelines import launch, rollup
from rollups import Store
from transforms.columnar import MeasureBatches
from transforms.distinct import distinct_count
from transforms.exact import count
from transforms.measures import Measure, parse_measures
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
    Way("J5", "rollup into a store, Kll", ("rollup", "quantiles:latency=0.5,0.99@0.0133"), "rank", 0.0133),
    Way("J5", "rollup into a store, LogHistogram", ("rollup", "loghist:latency=0.5,0.99@0.01"), "value", 0.01),
    Way("J5", "MeasureBatches, Kll", ("tell", "quantiles:latency=0.5,0.99@0.0133"), "rank", 0.0133),
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
        if job.question == "rollup":
            self._roll_up(way, folder)
            return
        key = job.column if job.question == "count" else job.key
        measures = {"answer": Measure(None if job.question == "count" else job.column, way.ask)}
        self._measure(job, [key] if key else [], measures, folder)

    def export(self, way: Way, folder: Path) -> None:
        """What is in a store, told as answers are; this is not timed."""
        if "store" not in way.name:
            return
        with Store(str(folder / "store.db")) as store:
            answers = store.query(by=["key"], step=timedelta(seconds=5))
        rows = [[*_values(answer.start, answer.group, answer.values)] for answer in answers]
        columns = [pa.array(column) for column in zip(*rows, strict=True)]
        shutil.rmtree(folder)
        folder.mkdir()
        pq.write_table(pa.table(columns, COLUMNS["rollup"]), folder / "answers.parquet")

    def _roll_up(self, way: Way, folder: Path) -> None:
        job, (how, quantile) = JOBS[way.job], way.ask
        asked = (f"distinct:user@{_REGISTERS}", quantile, f"top:word={TOP}")
        if how == "tell":
            self._measure(job, ["key"], parse_measures(["count", *asked]), folder)
            return
        folder.mkdir()
        options = rollup.Options(
            input=str(self._path),
            event_time="time",
            by="key:integer",
            measure=asked,
            window=WindowPolicy(job.window),
            store=str(folder / "store.db"),
        )
        launch.run("rollup", rollup, options, [], Console(quiet=True))

    def _measure(self, job: Job, by: list[str], measures: dict[str, Measure], folder: Path) -> None:
        measure = MeasureBatches(
            by=by, measures=measures, windows=WindowPolicy(job.window), event_time="time", output="batches"
        )
        columns = list(dict.fromkeys(["time", *by, *(m.column for m in measures.values() if m.column)]))
        with beam.Pipeline(runner="FnApiRunner") as pipeline:
            _ = (
                pipeline
                | "Read" >> ReadBatches(self._path, columns, self._events)
                | "Measure" >> measure
                | "Tell" >> beam.Map(_told, job)
                | "Write" >> beam.ParDo(WriteBatches(folder))
            )


def _values(start: datetime, group: Mapping[str, Any], values: Mapping[str, Any]) -> Iterator[Any]:
    """A row of answers."""
    quantiles = next(value for name, value in values.items() if name.endswith(":latency"))
    yield from (round(start.timestamp() * 1e6), group["key"], values["count"], values["distinct:user"].value)
    yield from (estimate.value for estimate in quantiles.values())
    yield [word for word, _ in values["top:word"]]


def _told(answers: pa.RecordBatch, job: Job) -> pa.RecordBatch:
    """The columns that all systems tell."""
    start = answers["window_start"].cast(pa.int64())
    if job.question == "rollup":
        answer = answers["quantiles:latency"]
        users, items = pc.struct_field(answers["distinct:user"], "value"), answers["top:word"]
        words = pa.ListArray.from_arrays(items.offsets, items.flatten().field("item"))
        told = [start, answers["key"], answers["count"], users, *_quantiles(answer), words]
        return pa.RecordBatch.from_arrays(told, COLUMNS[job.question])
    answer = answers["answer"]
    match job.question:
        case "count":
            told = [answers[job.column], answer]
        case "distinct":
            told = [start, answers[job.key], pc.struct_field(answer, "value")]
        case "quantiles":
            told = [start, *_quantiles(answer)]
        case "top":
            told = [answer.flatten().field("item"), answer.flatten().field("value")]
    return pa.RecordBatch.from_arrays(told, COLUMNS[job.question])


def _quantiles(answer: pa.Array) -> list[pa.Array]:
    return [pc.struct_field(pc.list_element(answer, place), "value") for place in range(len(QUANTILES))]

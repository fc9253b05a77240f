"""The same rows give the same answers: in other batches, among other workers, in processes with another hash seed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections import defaultdict
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from transforms.columnar import MeasureBatches
from transforms.distinct import distinct_count
from transforms.exact import count, mean, total
from transforms.frequency import frequency
from transforms.measures import Measure
from transforms.quantiles import log_quantiles, quantiles
from transforms.sketches import Kll, Sketch
from transforms.windowing import WindowPolicy

ERROR = 0.0133  # of all ranks: what a Kll may be off by
MEASURES = {
    "users": Measure("user", distinct_count(output="sketch")),
    "words": Measure("word", frequency(error=0.01, output="sketch")),
    "latency": Measure("latency", log_quantiles(output="sketch")),
    "sum": Measure("latency", total()),
    "mean": Measure("latency", mean()),
    "n": Measure(None, count()),
    "ranks": Measure("latency", quantiles(error=ERROR, output="sketch")),
}


def rows() -> pa.Table:
    chance = np.random.default_rng(5)
    times = 1_772_366_400_000_000 + chance.integers(0, 30_000_000, 20_000)
    return pa.table(
        {
            "time": pa.array(times).cast(pa.timestamp("us", tz="UTC")),
            "key": chance.integers(0, 20, times.size),
            "user": chance.integers(0, 5000, times.size),
            "word": pa.array([f"word{rank}" for rank in chance.zipf(1.5, times.size)]),
            "latency": chance.lognormal(3.0, 1.0, times.size),
        }
    )


def told(answers: tuple[Any, dict[str, Any]], window: Any = beam.DoFn.WindowParam) -> str:
    """A key and window, a digest of its answers that must be the same bits, and the ranks that must be near."""
    key, by_name = answers
    ranks: Kll = by_name.pop("ranks")
    bits = {name: a.to_bytes().hex() if isinstance(a, Sketch) else repr(a) for name, a in by_name.items()}
    digest = hashlib.sha256(json.dumps(bits).encode()).hexdigest()
    median = ranks.quantile(0.5).value
    return json.dumps({"key": key, "start": int(window.start), "digest": digest, "median": median}) + "\n"


def main(size: int, *flags: str) -> None:
    """Prints an answer a line: of the rows in batches of a size, the last ones first."""
    batches = rows().to_batches(size)[::-1]
    with beam.Pipeline("FnApiRunner", PipelineOptions(flags)) as pipeline:
        measure = MeasureBatches(by=["key"], measures=MEASURES, windows=WindowPolicy("10s"), event_time="time")
        _ = (
            pipeline
            | beam.Create(batches)
            | beam.Reshuffle()  # so that every worker has some
            | measure
            | beam.Map(told)
            | beam.Map(sys.stdout.write)  # whole lines, whatever thread they come from
        )


def answers_of(seed: str, *arguments: str) -> dict[tuple[int, int], dict[str, Any]]:
    run = subprocess.run(
        [sys.executable, __file__, *arguments],
        env=os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    answers = {(*line["key"], line["start"]): line for line in lines}
    assert len(answers) == len(lines) == 60
    return answers


@pytest.fixture(scope="module")
def first() -> dict[tuple[int, int], dict[str, Any]]:
    return answers_of("1", "1000")


@pytest.fixture(scope="module")
def latencies() -> dict[tuple[int, int], list[float]]:
    of_group = defaultdict(list)
    for row in rows().to_pylist():
        of_group[row["key"], int(row["time"].timestamp()) // 10 * 10].append(row["latency"])
    return of_group


@pytest.mark.parametrize(
    ("seed", "arguments"),
    [
        ("2", ["20000"]),
        ("3", ["97"]),
        ("4", ["500", "--direct_running_mode=multi_threading", "--direct_num_workers=3"]),
    ],
    ids=["one batch", "small batches", "three workers"],
)
def test_answers_do_not_depend_on_batches_workers_or_hash_seeds(
    first: dict[tuple[int, int], dict[str, Any]],
    latencies: dict[tuple[int, int], list[float]],
    seed: str,
    arguments: list[str],
) -> None:
    again = answers_of(seed, *arguments)
    assert {group: answer["digest"] for group, answer in again.items()} == {
        group: answer["digest"] for group, answer in first.items()
    }
    for group, answer in again.items():  # what is not the same bits is within its bound
        values = latencies[group]
        rank = sum(value <= answer["median"] for value in values) / len(values)
        assert rank == pytest.approx(0.5, abs=2 * ERROR)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])

"""Columnar measures: the same bytes as one by one, whatever the batches, panes, nulls and lists."""

from __future__ import annotations

import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.util import assert_that, equal_to

from transforms.columnar import MeasureBatches
from transforms.combining import SketchCombineFn
from transforms.distinct import distinct_count
from transforms.exact import count, largest, mean, smallest, total
from transforms.measures import Measure
from transforms.quantiles import log_quantiles
from transforms.top import heavy_hitters
from transforms.windowing import WindowPolicy

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SCHEMA = pa.schema(
    {
        "at": pa.timestamp("us", tz="UTC"),
        "lang": pa.string(),
        "device": pa.int64(),
        "user": pa.string(),
        "latency": pa.float64(),
        "tags": pa.list_(pa.string()),
    }
)
MEASURES = {
    "users": Measure("user", distinct_count(output="sketch")),
    "latency": Measure("latency", log_quantiles(output="sketch")),
    "tags": Measure("tags", heavy_hitters(5, capacity=100, output="sketch")),
    "bytes": Measure("latency", SketchCombineFn(total().make)),
    "n": Measure(None, SketchCombineFn(count().make)),
}


def made_up_rows(number: int, seed: int = 1) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {
            "at": NOON + timedelta(seconds=chance.randrange(60), microseconds=chance.randrange(10**6)),
            "lang": chance.choice(["en", "ja", None]),
            "device": chance.choice([1, 2]),
            "user": chance.choice([f"user {chance.randrange(300)}", None]),
            "latency": chance.choice([chance.lognormvariate(3, 1), None]),
            "tags": chance.choice([None, [], ["a"], ["a", chance.choice("bcdefgh"), None]]),
        }
        for _ in range(number)
    ]


def one_by_one(rows: list[dict[str, Any]], by: list[str]) -> dict[tuple[Any, ...], dict[str, bytes]]:
    """The oracle: a sketch for each pane and key, to which items are added one after the other."""
    sketches: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(
        lambda: {name: measure.combine_fn.make() for name, measure in MEASURES.items()}
    )
    for row in rows:
        group = sketches[(int(row["at"].timestamp()) // 10, *(row[column] for column in by))]
        for name, measure in MEASURES.items():
            value = row[measure.column] if measure.column else 1
            for item in value if isinstance(value, list) else [value]:
                if item is not None:
                    group[name].add(item)
    return {key: {name: sketch.to_bytes() for name, sketch in group.items()} for key, group in sketches.items()}


def sealed(answer: tuple[Any, dict[str, Any]], window: Any = beam.DoFn.WindowParam) -> tuple[Any, dict[str, bytes]]:
    return (int(window.start) // 10, *answer[0]), {name: sketch.to_bytes() for name, sketch in answer[1].items()}


@pytest.mark.parametrize("by", [[], ["lang"], ["lang", "device"]], ids=["no key", "one key", "two keys"])
@pytest.mark.parametrize("size", [7, 100, 1000], ids="batches of {}".format)
def test_batches_give_the_same_bytes_as_items_one_by_one(in_process: Any, by: list[str], size: int) -> None:
    rows = made_up_rows(800)
    batches = [pa.RecordBatch.from_pylist(rows[at : at + size], SCHEMA) for at in range(0, len(rows), size)]
    with in_process() as pipeline:
        measured = (
            pipeline
            | beam.Create(batches)
            | MeasureBatches(by=by, measures=MEASURES, windows=WindowPolicy("10s"), event_time="at")
        )
        assert_that(measured | beam.Map(sealed), equal_to(list(one_by_one(rows, by).items())))


def test_answers_have_the_names_of_their_measures(in_process: Any) -> None:
    rows = [{"at": NOON, "lang": "en", "latency": value} for value in (1.0, 2.0, 6.0)] + [{"at": NOON, "lang": "en"}]
    measures = {
        "n": Measure(None, count()),
        "sum": Measure("latency", total()),
        "mean": Measure("latency", mean()),
        "min": Measure("latency", smallest()),
        "max": Measure("latency", largest()),
    }
    with in_process() as pipeline:
        batches = pipeline | beam.Create([pa.RecordBatch.from_pylist(rows, SCHEMA)])
        measured = batches | MeasureBatches(by=["lang"], measures=measures, windows=WindowPolicy(), event_time="at")
        expected = {"n": 4, "sum": 9, "mean": 3.0, "min": 1.0, "max": 6.0}
        assert_that(measured, equal_to([(("en",), expected)]))


@pytest.mark.parametrize(
    ("rows", "schema", "complaint"),
    [
        ([{"at": None}], SCHEMA, "1 rows have no at: reject them"),
        ([{"at": NOON}], pa.schema({"at": SCHEMA.field("at").type}), "must have the columns lang, got at"),
    ],
)
def test_rows_that_cannot_be_placed_fail_the_step_with_a_reason(
    in_process: Any, rows: list[dict[str, Any]], schema: pa.Schema, complaint: str
) -> None:
    measure = MeasureBatches(
        by=["lang"], measures={"n": Measure(None, count())}, windows=WindowPolicy("10s"), event_time="at"
    )
    pipeline = in_process()
    _ = pipeline | beam.Create([pa.RecordBatch.from_pylist(rows, schema)]) | measure
    with pytest.raises(ValueError, match=complaint):
        pipeline.run()


def test_there_must_be_a_measure() -> None:
    with pytest.raises(ValueError, match="at least one measure"):
        MeasureBatches(by=[], measures={}, windows=WindowPolicy(), event_time="at")

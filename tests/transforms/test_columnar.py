"""Columnar measures: the same bytes as one by one, whatever the batches, panes, nulls and lists."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import GlobalWindows, TimestampedValue

from transforms.columnar import MeasureBatches, Output
from transforms.combining import SketchCombineFn
from transforms.distinct import distinct_count
from transforms.exact import count, largest, mean, smallest, total
from transforms.measures import Measure
from transforms.quantiles import log_quantiles, quantiles
from transforms.sketches import Hasher
from transforms.top import heavy_hitters
from transforms.windowing import WindowPolicy
from transforms.windows import Sliding

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


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"measures": {}}, "at least one measure"),
        ({"shards": 0}, "shards must be at least 1, got 0"),
        ({"output": "rows"}, "output must be one of answers, batches, got 'rows'"),
        ({"output": "batches", "by": ["n"]}, "different names, got n, window_start, window_end, n"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_it_runs(given: dict[str, Any], complaint: str) -> None:
    measures = {"n": Measure(None, count())}
    with pytest.raises(ValueError, match=complaint):
        MeasureBatches(**{"by": [], "measures": measures, "windows": WindowPolicy(), "event_time": "at"} | given)


def test_batches_of_answers_hold_what_the_answers_hold(in_process: Any) -> None:
    rows = made_up_rows(500)
    measures = {
        "n": Measure(None, count()),
        "users": Measure("user", distinct_count()),
        "sketch": Measure("user", distinct_count(output="sketch")),
        "tags": Measure("tags", heavy_hitters(2)),
        "latency": Measure("latency", quantiles(0.5, 1.0)),
        "spread": Measure("latency", log_quantiles(0.5)),
        "most": Measure("latency", largest()),
        "sum": Measure("latency", total()),
        "mean": Measure("latency", mean()),
    }

    def measured(source: Any, output: Output) -> Any:
        policy = WindowPolicy("10s")
        return source | output >> MeasureBatches(
            by=["lang", "device"], measures=measures, windows=policy, event_time="at", output=output, shards=3
        )

    with in_process() as pipeline:
        source = pipeline | beam.Create([pa.RecordBatch.from_pylist(rows, SCHEMA)])
        of_batches = measured(source, "batches") | beam.FlatMap(as_answers)
        of_answers = measured(source, "answers") | beam.Map(as_plain)
        both = (of_batches, of_answers) | beam.Flatten() | "Same" >> beam.combiners.Count.PerElement()
        told = both | beam.Values() | "Told twice" >> beam.combiners.Count.PerElement()
        assert_that(told | beam.WindowInto(GlobalWindows()), equal_to([(2, 6)] * 6))


def as_plain(answer: tuple[Any, dict[str, Any]], window: Any = beam.DoFn.WindowParam) -> str:
    """Everything that an answer says, in one string; floats in full."""
    key, answers = answer
    users = answers["users"]
    plain = {
        "n": answers["n"],
        "users": [users.value, users.low, users.high, users.confidence],
        "sketch": answers["sketch"].to_bytes(),
        "tags": [(item, count.value, count.low) for item, count in answers["tags"]],
        "latency": [(q, value.value, value.low) for q, value in answers["latency"].items()],
        "spread": [(q, value.value, value.low) for q, value in answers["spread"].items()],
        "most": answers["most"],
        "sum": float(answers["sum"]),
        "mean": answers["mean"],
    }
    return repr((int(window.start), key, plain))


def as_answers(batch: pa.RecordBatch, window: Any = beam.DoFn.WindowParam) -> Any:
    """The same of each row of a batch."""
    times = pa.timestamp("us", tz="UTC")
    assert batch.schema.field("window_start").type == batch.schema.field("window_end").type == times
    for row in batch.to_pylist():
        assert row["window_end"] - row["window_start"] == timedelta(seconds=10)
        plain = {
            name: row[name] for name in ("n", "users", "sketch", "tags", "latency", "spread", "most", "sum", "mean")
        }
        plain["users"] = list(row["users"].values())
        plain["tags"] = [(tag["item"], tag["value"], tag["low"]) for tag in row["tags"]]
        for name in ("latency", "spread"):
            plain[name] = [(answer["q"], answer["value"], answer["low"]) for answer in row[name]]
        assert row["window_start"].timestamp() == int(window.start)
        yield repr((int(window.start), (row["lang"], row["device"]), plain))


def test_time_left_whole_has_no_bounds_and_an_empty_input_no_answer(in_process: Any) -> None:
    with in_process() as pipeline:
        for label, rows in (("one", [{"at": NOON}]), ("none", [])):
            batches = pipeline | f"{label} made" >> beam.Create([pa.RecordBatch.from_pylist(rows, SCHEMA)])
            measured = batches | label >> MeasureBatches(
                by=[], measures={"n": Measure(None, count())}, windows=WindowPolicy(), event_time="at", output="batches"
            )
            expected = [{"window_start": None, "window_end": None, "n": 1}] if rows else []
            assert_that(measured | f"{label} rows" >> beam.FlatMap(pa.RecordBatch.to_pylist), equal_to(expected), label)


def test_keys_keep_their_types_whatever_the_batch_calls_them(in_process: Any) -> None:
    def batch(key: pa.Array) -> pa.RecordBatch:
        return pa.RecordBatch.from_arrays([pa.array([NOON] * len(key), SCHEMA.field("at").type), key], ["at", "key"])

    cases: dict[str, tuple[list[pa.Array], dict[Any, int]]] = {
        "texts": (
            [pa.array(["a", "b", None]), pa.array(["a"], pa.large_string()), pa.array(["b", None]).dictionary_encode()],
            {"a": 2, "b": 2, None: 2},
        ),
        "whole": ([pa.array([1, 2], pa.int8()), pa.array([2**40, 1])], {1: 2, 2: 1, 2**40: 1}),
        "flags": ([pa.array([True, False, None])], {True: 1, False: 1, None: 1}),
        "floats": ([pa.array([1.0, float("inf")]), pa.array([1.0])], {1.0: 2, float("inf"): 1}),
        "naive times": ([pa.array([datetime(2026, 1, 1)] * 2)], {datetime(2026, 1, 1): 2}),
        "nulls": ([pa.nulls(2), pa.array(["a"])], {None: 2, "a": 1}),
    }
    with in_process() as pipeline:
        for label, (keys, expected) in cases.items():
            for shards in (1, 5):
                name = f"{label} in {shards}"
                measured = (
                    pipeline
                    | f"{name} made" >> beam.Create([batch(key) for key in keys], reshuffle=False)
                    | name
                    >> MeasureBatches(
                        by=["key"],
                        measures={"n": Measure(None, count())},
                        windows=WindowPolicy(),
                        event_time="at",
                        shards=shards,
                    )
                    | f"{name} plain" >> beam.MapTuple(lambda key, answers: (key[0], type(key[0]), answers["n"]))
                )
                counted = [(key, type(key), number) for key, number in expected.items()]
                assert_that(measured, equal_to(counted), f"{name} checked")


def test_measures_of_one_column_hash_it_once(in_process: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []
    original = Hasher.hashed
    monkeypatch.setattr(Hasher, "hashed", lambda self, values: hashed.append(len(values)) or original(self, values))
    measures = {f"{error}": Measure("user", distinct_count(error)) for error in (0.01, 0.02, 0.05)}
    with in_process() as pipeline:
        batches = pipeline | beam.Create([pa.RecordBatch.from_pylist([{"at": NOON, "user": "ana"}] * 30, SCHEMA)])
        measured = batches | MeasureBatches(by=[], measures=measures, windows=WindowPolicy(), event_time="at")
        counts = measured | beam.MapTuple(lambda _, answers: {name: users.value for name, users in answers.items()})
        assert_that(counts, equal_to([{"0.01": 1.0, "0.02": 1.0, "0.05": 1.0}]))
    assert hashed == [30]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_event_times_of_any_unit_fall_into_their_panes(in_process: Any, unit: str) -> None:
    ticks = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]
    times = pa.array([-1, 0, 10 * ticks - 1, 10 * ticks], pa.int64()).cast(pa.timestamp(unit, tz="UTC"))
    with in_process() as pipeline:
        measured = (
            pipeline
            | beam.Create([pa.RecordBatch.from_arrays([times], ["at"])])
            | MeasureBatches(
                by=[], measures={"n": Measure(None, count())}, windows=WindowPolicy("10s"), event_time="at"
            )
            | beam.Map(lambda answer, window=beam.DoFn.WindowParam: (int(window.start), answer[1]["n"]))
        )
        assert_that(measured, equal_to([(-10, 1), (0, 2), (10, 1)]))


EARLY = 1_000_000  # seconds since 1970


@pytest.mark.parametrize("accumulation", ["discarding", "accumulating"])
@pytest.mark.parametrize("output", ["answers", "batches"])
def test_late_rows_update_their_pane_and_no_other(accumulation: Any, output: Output) -> None:
    def batch(*rows: tuple[int, str, str | None]) -> TimestampedValue:
        """Rows of seconds, key and user, as a batch with the time of the earliest."""
        dicts = [{"at": EARLY + at, "key": key, "user": user} for at, key, user in rows]
        schema = pa.schema({"at": pa.timestamp("s", tz="UTC"), "key": pa.string(), "user": pa.string()})
        return TimestampedValue(pa.RecordBatch.from_pylist(dicts, schema), EARLY + min(at for at, *_ in rows))

    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements([batch((7, "a", "ana"), (1, "b", "bo"), (13, "a", "ana"), (2, "a", "cy"), (3, "b", None))])
        .advance_watermark_to(EARLY + 12)  # on time: all but the row of the next pane
        .add_elements([batch((15, "a", "bo"), (5, "a", "dee"))])  # one on time, one late
        .advance_watermark_to(EARLY + 25)
        .add_elements([batch((9, "a", "ana"))])
        .advance_watermark_to(EARLY + 100)
        .add_elements([batch((9, "a", "zoe"))])  # beyond the lateness: dropped
        .advance_watermark_to_infinity()
    )
    policy = WindowPolicy("10s", allowed_lateness=30, accumulation=accumulation)
    measures = {"users": Measure("user", distinct_count()), "n": Measure(None, count())}
    if accumulation == "discarding":
        told = {(0, "a", 2, 2), (0, "b", 1, 2), (0, "a", 1, 1), (10, "a", 2, 2)}
        again = [(0, "a", 1, 1)]
    else:
        told = {(0, "a", 2, 2), (0, "b", 1, 2), (0, "a", 3, 3), (0, "a", 3, 4), (10, "a", 2, 2)}
        again = [(0, "b", 1, 2)] * 2  # the shard has this key as well
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        measured = (
            pipeline
            | arrivals
            | MeasureBatches(by=["key"], measures=measures, windows=policy, event_time="at", shards=1, output=output)
            | beam.FlatMap(_told)
        )
        assert_that(measured, equal_to([*told, *again]))


def _told(answers: Any, window: Any = beam.DoFn.WindowParam) -> Any:
    """(start, key, users, rows) of tuples and of batches."""
    rows = (
        [((row["key"],), {"users": row["users"]["value"], "n": row["n"]}) for row in answers.to_pylist()]
        if isinstance(answers, pa.RecordBatch)
        else [(answers[0], {"users": answers[1]["users"].value, "n": answers[1]["n"]})]
    )
    for (key,), row in rows:
        yield int(window.start) - EARLY, key, int(row["users"]), row["n"]


@pytest.mark.parametrize("window", ["10s/5s", "15s/10s", "day America/Sao_Paulo"])
def test_windows_are_made_of_their_panes(in_process: Any, window: str) -> None:
    rows = [
        {"at": NOON + timedelta(seconds=second), "lang": "en" if second % 3 else "pt"} for second in range(0, 60, 4)
    ]
    if window.startswith("day"):  # an hour before the clocks were put on, at midnight, and an hour after
        rows = [{"at": datetime(2018, 11, 4, hour, tzinfo=UTC), "lang": "pt"} for hour in (1, 2, 3, 4)]
    policy = WindowPolicy(window)
    expected: Counter[Any] = Counter()
    for row in rows:
        at = round(row["at"].timestamp() * 1e6)
        (start,), (end,) = (bound.tolist() for bound in policy.window.last(np.array([at])))
        while end > at:
            expected[start, end, row["lang"]] += 1
            period = policy.window.period * 1e6 if isinstance(policy.window, Sliding) else at
            start, end = start - period, end - period
    with in_process() as pipeline:
        batches = pipeline | beam.Create(
            [pa.RecordBatch.from_pylist(rows[:7], SCHEMA), pa.RecordBatch.from_pylist(rows[7:], SCHEMA)]
        )
        measure = MeasureBatches(by=["lang"], measures={"n": Measure(None, count())}, windows=policy, event_time="at")
        told = (
            batches
            | measure
            | beam.Map(
                lambda answer, window=beam.DoFn.WindowParam: (
                    (window.start.micros, window.end.micros, *answer[0]),
                    answer[1]["n"],
                )
            )
        )
        assert_that(told, equal_to(list(expected.items())))


@pytest.mark.parametrize(
    ("policy", "advice"),
    [("session 10s", "windows of session 10s do not have"), ("10s, early every 5 records", "use a time, as every 5s")],
)
def test_what_batches_cannot_tell_is_refused_when_the_pipeline_is_built(policy: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        MeasureBatches(
            by=[], measures={"n": Measure(None, count())}, windows=WindowPolicy.parse(policy), event_time="at"
        )

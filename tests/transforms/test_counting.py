"""CountByValue: the counts of a Counter, whatever the windows, the bundles and the lateness."""

from __future__ import annotations

from collections import Counter
from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.counting import CountByValue
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000


def placed(counted: tuple[str, int], window: Any = beam.DoFn.WindowParam) -> tuple[str, int, int]:
    return (*counted, int(window.start) - NOON)


def test_counts_are_those_of_a_counter_in_every_window(in_process: Any) -> None:
    words = [("to", 1), ("be", 2), ("to", 9), ("or", 10), ("be", 11), ("be", 19)]
    expected = Counter(
        (word, start) for word, time in words for start in range(-10, 20, 5) if start <= time < start + 10
    )
    with in_process() as pipeline:
        stamped = pipeline | beam.Create(words) | beam.MapTuple(lambda word, time: TimestampedValue(word, NOON + time))
        counted = stamped | ApplyWindow(WindowPolicy("10s/5s")) | CountByValue() | beam.Map(placed)
        assert_that(counted, equal_to([(word, count, start) for (word, start), count in expected.items()]))


def test_late_and_early_values_are_told_as_the_policy_says() -> None:
    def told(policy: WindowPolicy) -> beam.PCollection:
        arrivals = (
            TestStream(coder=FastPrimitivesCoder())
            .add_elements([TimestampedValue("to", NOON + 1), TimestampedValue("to", NOON + 2)])
            .add_elements([TimestampedValue("to", NOON + 3)])
            .advance_watermark_to(NOON + 11)
            .add_elements([TimestampedValue("to", NOON + 4)])
            .advance_watermark_to(NOON + 100)
            .advance_watermark_to_infinity()
        )
        return pipeline | arrivals | ApplyWindow(policy) | CountByValue() | beam.Values()

    for clause, expected in (("accumulating", [3, 4]), ("discarding", [3, 1]), ("early every 2 records", [2, 1, 1])):
        with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
            assert_that(told(WindowPolicy.parse(f"10s, lateness 1m, {clause}")), equal_to(expected))

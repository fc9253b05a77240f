"""Observe and CountStep: a pipeline's own reports are right."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.metrics import MetricsFilter
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.observing import CountStep, Observe, WindowReport
from transforms.progress import NAMESPACE
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000


def clock() -> float:
    return NOON + 30.0


def plain(report: WindowReport) -> tuple[Any, ...]:
    assert report.start is not None
    return report.start.timestamp() - NOON, report.timing, report.index, report.records, report.lag


def test_every_answer_of_a_window_is_reported() -> None:
    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements([TimestampedValue(name, NOON + time) for name, time in (("ana", 1), ("bo", 2), ("cy", 12))])
        .advance_watermark_to(NOON + 25)
        .add_elements([TimestampedValue("di", NOON + 3)])
        .advance_watermark_to(NOON + 100)
        .advance_watermark_to_infinity()
    )
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        reports = pipeline | arrivals | ApplyWindow(WindowPolicy("10s", allowed_lateness="1m")) | Observe(clock)
        expected = [(0, "on time", 0, 2, 20.0), (10, "on time", 0, 1, 10.0), (0, "late", 1, 1, 20.0)]
        assert_that(reports | beam.Map(plain), equal_to(expected))


def test_a_step_counts_what_it_passes_on(in_process: Any) -> None:
    pipeline = in_process()
    passed = pipeline | beam.Create([1, 2, 3]) | CountStep("Clean")
    assert_that(passed, equal_to([1, 2, 3]))
    result = pipeline.run()
    result.wait_until_finish()
    counters = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE).with_name("Clean"))["counters"]
    assert sum(counter.committed for counter in counters) == 3

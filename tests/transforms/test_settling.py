"""AwaitFinal and Retract: answers that are told again, told once, or withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.distinct import Distinct
from transforms.panes import WithPane
from transforms.settling import AwaitFinal, Retract
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
POLICY = WindowPolicy("10s", allowed_lateness="1m", accumulation="accumulating")


def clicks(*times_and_counts: tuple[int, int]) -> list[TimestampedValue]:
    return [TimestampedValue(("page", count), NOON + time) for time, count in times_and_counts]


def arrivals() -> TestStream:
    """Two windows of ten seconds; to the first something comes late, twice, and once too late."""
    return (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements(clicks((1, 1), (2, 2), (11, 4)))
        .advance_watermark_to(NOON + 25)
        .add_elements(clicks((3, 8)))
        .advance_watermark_to(NOON + 60)
        .add_elements(clicks((4, 16)))
        .advance_watermark_to(NOON + 75)
        .add_elements(clicks((5, 32)))
        .advance_watermark_to(NOON + 200)
        .advance_watermark_to_infinity()
    )


def streaming() -> TestPipeline:
    return TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))


def sums(clicked: beam.PCollection) -> beam.PCollection:
    return clicked | ApplyWindow(POLICY) | beam.CombinePerKey(sum).with_output_types(tuple[str, int])


def placed(answer: Any, window: Any = beam.DoFn.WindowParam) -> tuple[Any, int]:
    return answer[1], int(window.start) - NOON


def test_every_answer_is_withdrawn_before_the_next() -> None:
    with streaming() as pipeline:
        changes = pipeline | arrivals()
        told = sums(changes) | Retract() | beam.Map(placed)
        expected = [((3, 1), 0), ((4, 1), 10), ((3, -1), 0), ((11, 1), 0), ((11, -1), 0), ((27, 1), 0)]
        assert_that(told, equal_to(expected))


def test_a_sum_of_sums_is_right_after_late_data() -> None:
    with streaming() as pipeline:
        told = sums(pipeline | arrivals()) | Retract()
        total = (
            told
            | beam.MapTuple(lambda _, change: change[0] * change[1])
            | "InAll" >> ApplyWindow(WindowPolicy("1000s"))
            | beam.CombineGlobally(sum).without_defaults()
        )
        assert_that(total, equal_to([1 + 2 + 4 + 8 + 16]))


def test_the_last_answer_is_told_once_when_nothing_can_change_it() -> None:
    with streaming() as pipeline:
        final = sums(pipeline | arrivals()) | AwaitFinal() | beam.Map(placed)
        assert_that(final, equal_to([(27, 0), (4, 10)]))


def test_answers_keep_the_coder_of_their_type(in_process: Callable[..., Any]) -> None:
    with in_process() as pipeline:
        users = pipeline | beam.Create(
            [TimestampedValue(("page", "ana"), NOON), TimestampedValue(("page", "bo"), NOON)]
        )
        sketches = users | ApplyWindow(POLICY) | Distinct.PerKey(output="sketch")
        final = sketches | AwaitFinal() | beam.MapTuple(lambda page, sketch: (page, sketch.estimate().value))
        assert_that(final, equal_to([("page", 2.0)]))


def test_two_of_a_kind_in_one_stage_keep_their_timers_apart(in_process: Callable[..., Any]) -> None:
    with in_process() as pipeline:
        counted = sums(pipeline | beam.Create(clicks((1, 1), (12, 2))) | beam.Map(lambda click: click))
        finals = [counted | label >> AwaitFinal() | f"{label} placed" >> beam.Map(placed) for label in ("One", "Other")]
        withdrawn = counted | Retract() | beam.Map(placed)
        for number, final in enumerate(finals):
            assert_that(final, equal_to([(1, 0), (2, 10)]), f"final {number}")
        assert_that(withdrawn, equal_to([((1, 1), 0), ((2, 1), 10)]), "withdrawn")


@pytest.mark.parametrize("settle", [AwaitFinal, Retract])
@pytest.mark.parametrize(
    ("policy", "advice"), [("10s", "accumulation='accumulating'"), ("session 10s, accumulating", "sessions merge")]
)
def test_answers_that_do_not_replace_each_other_are_refused(settle: Any, policy: str, advice: str) -> None:
    counted = (
        beam.Pipeline() | beam.Create([("a", 1)]) | ApplyWindow(WindowPolicy.parse(policy)) | beam.CombinePerKey(sum)
    )
    with pytest.raises(ValueError, match=advice):
        _ = counted | settle()


def test_a_pane_says_which_answer_it_is() -> None:
    def plain(answer: Any) -> tuple[Any, ...]:
        (_, count), pane = answer
        return count, pane.start.timestamp() - NOON, pane.end.timestamp() - NOON, pane.index, pane.timing, pane.final

    for policy, final in ((POLICY, False), (WindowPolicy("10s", accumulation="accumulating"), True)):
        with streaming() as pipeline:
            panes = (
                pipeline
                | arrivals()
                | ApplyWindow(policy)
                | beam.CombinePerKey(sum)
                | WithPane(policy)
                | beam.Map(plain)
            )
            late = [(11, 0, 10, 1, "late", False), (27, 0, 10, 2, "late", False)] if policy.allowed_lateness else []
            assert_that(panes, equal_to([(3, 0, 10, 0, "on time", final), (4, 10, 20, 0, "on time", final), *late]))

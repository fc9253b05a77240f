"""JoinPerWindow: what belongs together by key in a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.joining import JoinPerWindow
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
LEFTS = [(1, ("a", 1)), (2, ("a", 2)), (3, ("b", 3)), (11, ("c", 4))]
RIGHTS = [(9, ("a", "x")), (5, ("c", "y")), (12, ("c", "z"))]

INNER = [(10, ("a", (1, "x"))), (10, ("a", (2, "x"))), (20, ("c", (4, "z")))]
LEFT = [(10, ("b", (3, None)))]
RIGHT = [(10, ("c", (None, "y")))]


def sides(pipeline: beam.Pipeline, policy: WindowPolicy) -> tuple[beam.PCollection, ...]:
    return tuple(
        pipeline
        | f"Create {name}" >> beam.Create([TimestampedValue(pair, NOON + time) for time, pair in pairs])
        | f"Window {name}" >> ApplyWindow(policy)
        for name, pairs in (("lefts", LEFTS), ("rights", RIGHTS))
    )


@pytest.mark.parametrize(
    ("how", "expected"),
    [("inner", INNER), ("left", INNER + LEFT), ("right", INNER + RIGHT), ("full", INNER + LEFT + RIGHT)],
)
def test_values_meet_in_their_window_or_are_told_alone(in_process: Callable[..., Any], how: Any, expected: Any) -> None:
    with in_process() as pipeline:
        joined = sides(pipeline, WindowPolicy("10s")) | JoinPerWindow(how)
        ends = joined | beam.Map(lambda pair, window=beam.DoFn.WindowParam: (int(window.end) - NOON, pair))
        assert_that(ends, equal_to(expected))


@pytest.mark.parametrize("how", ["inner", "full"])
def test_panes_that_do_not_accumulate_are_refused(how: Any) -> None:
    windowed = sides(beam.Pipeline(runner="FnApiRunner"), WindowPolicy("10s", allowed_lateness="1m"))
    with pytest.raises(ValueError, match="what joins what comes in several panes needs panes that replace each other"):
        windowed | JoinPerWindow(how)


def test_another_kind_of_join_is_refused() -> None:
    with pytest.raises(ValueError, match="a join must be inner or left or right or full, got 'cross'"):
        JoinPerWindow("cross")  # type: ignore[arg-type]

"""WindowPolicy: read from one line, refused with advice, and cut as it says."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import GlobalWindow, TimestampedValue

from transforms.windowing import ApplyWindow, Every, ForgetTime, WindowPolicy
from transforms.windows import Sliding


@pytest.mark.parametrize(
    "text",
    [
        "all",
        "90m",
        "1h/5m, lateness 10m",
        "session 30m, lateness 1d, accumulating",
        "day Europe/Paris, early every 100 records",
        "10s, lateness 1m, early every 5s, late every 30s, accumulating",
    ],
)
def test_a_policy_is_written_as_it_is_read(text: str) -> None:
    policy = WindowPolicy.parse(text)
    assert str(policy) == text
    assert eval(repr(policy).replace("WindowPolicy(", "WindowPolicy.parse(")) == policy  # noqa: S307


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("0s", "longer than 0 seconds, got 0"),
        ("10s, lateness", "a duration must be a number"),
        ("10s, early 5s", "must be like every 5s, every 100 records or every record, got '5s'"),
        ("10s, early every 1.5s", "counts whole seconds, got every 1500ms"),
        ("10s, early every 0 records", "after more than 0"),
        ("10s, late every 2 records", "not held back until there are more, got late='every 2 records': use every rec"),
        ("session 5s, late every 2s", "sessions tell each late record at once"),
        ("10s, accumulate", "may stand once each: lateness, early, late, accumulating or discarding; got 'accumulate'"),
        ("10s, lateness 1s, lateness 2s", "may stand once each"),
    ],
)
def test_policies_that_cannot_be_are_refused_with_advice(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        WindowPolicy.parse(text)


def test_a_policy_takes_values_as_well_as_text() -> None:
    policy = WindowPolicy(Sliding(60, 5), allowed_lateness=60, early=Every(seconds=5), accumulation="accumulating")
    assert policy == WindowPolicy.parse("1m/5s, lateness 1m, early every 5s, accumulating")
    with pytest.raises(ValueError, match="at least 0 seconds, got -5; use 0"):
        WindowPolicy("10s", allowed_lateness=-5)
    with pytest.raises(ValueError, match="accumulation must be discarding or accumulating"):
        WindowPolicy("10s", accumulation="retracting")  # type: ignore[arg-type]


def _with_window(value: str, window: Any = beam.DoFn.WindowParam) -> tuple[str, Any]:
    return value, "all" if isinstance(window, GlobalWindow) else (int(window.start), int(window.end))


def test_records_fall_into_their_windows_and_out_again(in_process: Any) -> None:
    with in_process() as pipeline:
        stamped = pipeline | beam.Create([("a", 9), ("b", 10)]) | beam.MapTuple(TimestampedValue)
        cut = stamped | ApplyWindow(WindowPolicy("10s"))
        assert_that(cut | "W" >> beam.Map(_with_window), equal_to([("a", (0, 10)), ("b", (10, 20))]), "cut")
        whole = cut | ForgetTime() | "V" >> beam.Map(_with_window)
        assert_that(whole, equal_to([("a", "all"), ("b", "all")]), "whole")


def test_a_day_of_a_zone_is_a_window(in_process: Any) -> None:
    night = 1_792_879_200  # 24 October 2026, 22:00 UTC: midnight in Paris, and a day of 25 hours
    with in_process() as pipeline:
        stamped = (
            pipeline
            | beam.Create(
                [("before", night - 1), ("first", night), ("last", night + 25 * 3600 - 1), ("after", night + 25 * 3600)]
            )
            | beam.MapTuple(TimestampedValue)
        )
        cut = stamped | ApplyWindow(WindowPolicy("day Europe/Paris")) | beam.Map(lambda name: (name[0] in "fl", 1))
        counted = cut | beam.CombinePerKey(sum) | beam.Map(_with_window)
        day = night, night + 25 * 3600
        assert_that(
            counted,
            equal_to(
                [((True, 2), day), ((False, 1), (night - 86_400, night)), ((False, 1), (day[1], day[1] + 86_400))]
            ),
        )

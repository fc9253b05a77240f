"""WindowPolicy: read from one line, refused with advice, and cut as it says."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import GlobalWindow, TimestampedValue

from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("10s", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86400), (" 5s ", 5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-5s", "10 s", "1w", "1e3s", "٣s"])
def test_a_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration must be a number and one of ms, s, m, h, d"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["all", "10s", "90m", "1h", "250ms"])
def test_a_policy_is_written_as_it_is_read(text: str) -> None:
    assert str(WindowPolicy.parse(text)) == text


def test_policies_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="longer than 0 seconds, got 0"):
        WindowPolicy.parse("0s")
    with pytest.raises(ValueError, match="at least 0 seconds, got -5; 0 drops"):
        WindowPolicy(size=10, allowed_lateness=-5)


def _with_window(value: str, window: Any = beam.DoFn.WindowParam) -> tuple[str, Any]:
    return value, "all" if isinstance(window, GlobalWindow) else (int(window.start), int(window.end))


def test_records_fall_into_their_windows_and_out_again(in_process: Any) -> None:
    with in_process() as pipeline:
        stamped = pipeline | beam.Create([("a", 9), ("b", 10)]) | beam.MapTuple(TimestampedValue)
        cut = stamped | ApplyWindow(WindowPolicy(size=10))
        assert_that(cut | "W" >> beam.Map(_with_window), equal_to([("a", (0, 10)), ("b", (10, 20))]), "cut")
        whole = cut | ForgetTime() | "V" >> beam.Map(_with_window)
        assert_that(whole, equal_to([("a", "all"), ("b", "all")]), "whole")

"""WindowPolicy: read from one line, refused with advice, and cut and answered as it says, story by story."""

from __future__ import annotations

from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import GlobalWindow, TimestampedValue

from transforms.testing import Story, panes_of
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


# Records are of one key; each counts for a power of two, so that a sum tells which of them it holds.
A, B, C, D, E = (("a", 2**power) for power in range(5))


def answers(policy: str, story: Story, *, batch: bool = False) -> list[str]:
    """What a sum for each key tells: the window, when it is told, the number of the pane, and the sum."""
    sums = ApplyWindow(WindowPolicy.parse(policy)) | beam.CombinePerKey(sum).with_output_types(tuple[str, int])
    return [
        f"{start} {end} {when} {index}: {pair[1]}"
        for start, end, when, index, pair in panes_of(sums, story, batch=batch)
    ]


STRAGGLING = (
    Story()
    .at("12:00:01", A)
    .watermark("12:00:12")
    .at("12:00:02", B)
    .watermark("12:01:10")  # the lateness ends at this moment, in which the runner still waits
    .at("12:00:03", C)
    .watermark("12:01:10.001")
    .at("12:00:04", D)
)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("10s", ["on time 0: 1"]),
        ("10s, accumulating", ["on time 0: 1"]),
        ("10s, lateness 1m", ["on time 0: 1", "late 1: 2", "late 2: 4"]),
        ("10s, lateness 1m, accumulating", ["on time 0: 1", "late 1: 3", "late 2: 7"]),
        ("10s, lateness 2m, accumulating", ["on time 0: 1", "late 1: 3", "late 2: 7", "late 3: 15"]),
    ],
)
def test_a_late_record_counts_while_lateness_lasts_and_not_after(policy: str, told: list[str]) -> None:
    assert answers(policy, STRAGGLING) == [f"12:00:00 12:00:10 {pane}" for pane in told]
    # In a batch nothing is late.
    assert answers(policy, STRAGGLING, batch=True) == ["12:00:00 12:00:10 on time 0: 15"]


def test_a_window_of_which_all_is_late_has_a_late_answer_first() -> None:
    assert answers("10s, lateness 1m", Story().watermark("12:00:12").at("12:00:02", A).at("12:00:03", B)) == [
        "12:00:00 12:00:10 late 0: 1",
        "12:00:00 12:00:10 late 1: 2",
    ]


BY_AND_BY = (  # The clock waits for 30 seconds after B, and again after E.
    Story()
    .at("12:00:01", A)
    .watermark("12:00:12")
    .at("12:00:02", B)
    .wait("10s")
    .at("12:00:03", C)
    .wait("19s")
    .at("12:00:04", D)
    .wait("1s")
    .wait("1m")
    .at("12:00:05", E)
    .wait("30s")
)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("10s, lateness 1m, late every 30s", ["on time 0: 1", "late 1: 14", "late 2: 16"]),
        ("10s, lateness 1m, late every 30s, accumulating", ["on time 0: 1", "late 1: 15", "late 2: 31"]),
        ("10s, lateness 1m", ["on time 0: 1", "late 1: 2", "late 2: 4", "late 3: 8", "late 4: 16"]),
    ],
)
def test_late_records_are_told_together_as_often_as_the_policy_says(policy: str, told: list[str]) -> None:
    assert answers(policy, BY_AND_BY) == [f"12:00:00 12:00:10 {pane}" for pane in told]


def test_late_records_that_wait_for_the_clock_are_told_when_their_window_is_given_up() -> None:
    waiting = Story().at("12:00:01", A).watermark("12:00:12").at("12:00:02", B).watermark("12:01:20").at("12:00:03", C)
    assert answers("10s, lateness 1m, late every 30s, accumulating", waiting) == [
        "12:00:00 12:00:10 on time 0: 1",
        "12:00:00 12:00:10 late 1: 3",
    ]


GROWING = Story().at("12:00:01", A).wait("3s").at("12:00:02", B).wait("2s").at("12:00:03", C).watermark("12:00:10")


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("10s, early every 5s", ["early 0: 3", "on time 1: 4"]),
        ("10s, early every 5s, accumulating", ["early 0: 3", "on time 1: 7"]),
        ("10s, early every 2 records", ["early 0: 3", "on time 1: 4"]),
        ("10s, early every 2 records, accumulating", ["early 0: 3", "on time 1: 7"]),
        ("10s, early every record, accumulating", ["early 0: 1", "early 1: 3", "early 2: 7", "on time 3: 7"]),
        # An answer on time comes in any case: empty where windows discard, the same again where they accumulate.
        ("10s, early every record", ["early 0: 1", "early 1: 2", "early 2: 4", "on time 3: 0"]),
        ("10s, early every 3 records", ["early 0: 7", "on time 1: 0"]),
        ("10s, early every 3 records, accumulating", ["early 0: 7", "on time 1: 7"]),
    ],
)
def test_a_window_answers_early_as_often_as_the_policy_says(policy: str, told: list[str]) -> None:
    assert answers(policy, GROWING) == [f"12:00:00 12:00:10 {pane}" for pane in told]


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        ("all, early every 2 records", ["early 0: 3", "on time 1: 4"]),
        ("all, early every 5s, accumulating", ["early 0: 3", "early 1: 7", "on time 2: 7"]),
    ],
)
def test_time_left_whole_answers_early_and_at_its_end(policy: str, told: list[str]) -> None:
    assert answers(policy, GROWING) == [f"None None {pane}" for pane in told]


MERGING = (
    Story()
    .at("12:00:00", A)
    .watermark("12:00:09")
    .at("12:00:03", B)  # lengthens a session that has answered,
    .at("12:00:06", C)  # so that it ends when it is not over yet
    .watermark("12:00:31")
    .at("12:00:05", D)
)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            "session 5s, lateness 1m",
            ["12:00:05 on time 0: 1", "12:00:08 late 0: 2", "12:00:11 on time 0: 4", "12:00:11 late 1: 8"],
        ),
        (
            "session 5s, lateness 1m, accumulating",
            ["12:00:05 on time 0: 1", "12:00:08 late 0: 3", "12:00:11 on time 0: 7", "12:00:11 late 1: 15"],
        ),
        (
            "session 5s, lateness 1m, early every record, accumulating",
            [
                *("12:00:05 early 0: 1", "12:00:05 on time 1: 1", "12:00:08 late 0: 3"),
                *("12:00:11 early 0: 7", "12:00:11 on time 1: 7", "12:00:11 late 2: 15"),
            ],
        ),
    ],
)
def test_late_records_lengthen_sessions_that_have_answered(policy: str, told: list[str]) -> None:
    assert answers(policy, MERGING) == [f"12:00:00 {pane}" for pane in told]


@pytest.mark.parametrize(
    ("policy", "merged"), [("session 5s, lateness 1m", 4), ("session 5s, lateness 1m, accumulating", 7)]
)
def test_a_late_record_makes_one_session_of_two(policy: str, merged: int) -> None:
    assert answers(policy, Story().at("12:00:00", A).at("12:00:08", B).watermark("12:00:20").at("12:00:04", C)) == [
        "12:00:00 12:00:05 on time 0: 1",
        "12:00:08 12:00:13 on time 0: 2",
        f"12:00:00 12:00:13 late 0: {merged}",
    ]


SLID = Story().at("12:00:04", A).watermark("12:00:06").at("12:00:07", B).watermark("12:00:11").at("12:00:03", C)


@pytest.mark.parametrize(
    ("policy", "late"),
    [
        ("10s/5s", []),
        ("10s/5s, lateness 1m", ["11:59:55 12:00:05 late 1: 4", "12:00:00 12:00:10 late 1: 4"]),
        ("10s/5s, lateness 1m, accumulating", ["11:59:55 12:00:05 late 1: 5", "12:00:00 12:00:10 late 1: 7"]),
        # Within the lateness of the second window, and not of the first.
        ("10s/5s, lateness 3s, accumulating", ["12:00:00 12:00:10 late 1: 7"]),
    ],
)
def test_a_late_record_comes_to_all_windows_that_slide_over_it_and_wait(policy: str, late: list[str]) -> None:
    told = answers(policy, SLID)
    assert [pane for pane in told if "on time" in pane] == [
        "11:59:55 12:00:05 on time 0: 1",
        "12:00:00 12:00:10 on time 0: 3",
        "12:00:05 12:00:15 on time 0: 2",
    ]
    assert sorted(pane for pane in told if "late" in pane) == late


def test_days_of_a_zone_answer_at_its_midnight_when_clocks_go_back() -> None:
    night = (
        Story("2026-10-25")
        .at("2026-10-24 21:59:59.999", A)
        .bundle(("2026-10-24 22:00:00", B), ("22:59:59.999", C))  # midnight in Paris, and 25 hours later
        .watermark("22:59:59.998")
        .at("12:00:00", D)  # not late yet
        .watermark("23:00:00")
        .at("13:00:00", E)
    )
    assert answers("day Europe/Paris, lateness 1h, accumulating", night) == [
        "2026-10-23 22:00:00 2026-10-24 22:00:00 on time 0: 1",
        "2026-10-24 22:00:00 23:00:00 on time 0: 14",
        "2026-10-24 22:00:00 23:00:00 late 1: 30",
    ]


def test_a_day_of_a_zone_is_short_when_clocks_go_forward() -> None:
    spring = Story("2026-03-29").at("2026-03-28 23:00:00", A).at("21:59:59.999", B).at("22:00:00", C)
    assert answers("day Europe/Paris", spring.watermark("22:00:00")) == [
        "2026-03-28 23:00:00 22:00:00 on time 0: 3",
        "22:00:00 2026-03-30 22:00:00 on time 0: 4",
    ]


NEW_YEAR = (
    Story("2026-12-31")
    .at("22:59:59.999", A)
    .at("23:00:00", B)  # midnight in Paris
    .at("23:59:59.999", C)
    .at("2027-01-01 00:00:00", D)
    .watermark("2027-01-01 00:00:00")
)


@pytest.mark.parametrize(
    ("policy", "told"),
    [
        (
            "year",
            [
                "2026-01-01 00:00:00 2027-01-01 00:00:00 on time 0: 7",
                "2027-01-01 00:00:00 2028-01-01 00:00:00 on time 0: 8",
            ],
        ),
        (
            "month",
            [
                "2026-12-01 00:00:00 2027-01-01 00:00:00 on time 0: 7",
                "2027-01-01 00:00:00 2027-02-01 00:00:00 on time 0: 8",
            ],
        ),
        ("week", ["2026-12-28 00:00:00 2027-01-04 00:00:00 on time 0: 15"]),
        (
            "year Europe/Paris",
            ["2025-12-31 23:00:00 23:00:00 on time 0: 1", "23:00:00 2027-12-31 23:00:00 on time 0: 14"],
        ),
    ],
)
def test_a_year_ends_at_its_midnight(policy: str, told: list[str]) -> None:
    assert answers(policy, NEW_YEAR) == told
    assert answers(policy, NEW_YEAR, batch=True) == told

"""Windows as values: which window an event falls into, whatever the calendar does, and how they are written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from transforms.windows import (
    AllTime,
    Calendar,
    Fixed,
    Sessions,
    Sliding,
    format_duration,
    parse_duration,
    parse_window,
)

ZONES = ["UTC", "Europe/Paris", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Asia/Beirut"]
MOMENTS = some.integers(
    int(datetime(1972, 1, 1, tzinfo=UTC).timestamp()), int(datetime(2037, 1, 1, tzinfo=UTC).timestamp())
)


def micros(*moments: datetime) -> np.ndarray:
    return np.array([round(moment.timestamp() * 1e6) for moment in moments], np.int64)


@pytest.mark.parametrize(
    ("text", "seconds"), [("250ms", 0.25), ("10s", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86400), (" 5s ", 5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds
    assert parse_duration(format_duration(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "10", "s", "-5s", "10 s", "1w", "1e3s", "٣s"])
def test_a_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration must be a number and one of ms, s, m, h, d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "window"),
    [
        ("10s", Fixed(10)),
        ("1h/5m", Sliding(3600, 300)),
        ("session 30m", Sessions(1800)),
        ("day Europe/Paris", Calendar("day", "Europe/Paris")),
        ("month UTC", Calendar("month")),
        ("all", AllTime()),
    ],
)
def test_a_window_is_written_as_it_is_read(text: str, window: Fixed) -> None:
    assert parse_window(text) == window
    assert str(window) == text


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("0s", "a window must be longer than 0 seconds, got 0; use 'all'"),
        ("5m/1h", "must not leave gaps, got 5m/1h: the period must be at most the size 5m"),
        ("1h/0s", "the period of sliding windows must be longer than 0"),
        ("session 0s", "the gap of a session must be longer than 0 seconds"),
        ("day Mars/Olympus", "a time zone must be a name such as Europe/Paris or UTC, got 'Mars/Olympus'"),
        ("day /etc/passwd", "a time zone must be a name"),
        (
            "fortnight UTC",
            "a window must be like 10s, 1h/5m, session 30m, day Europe/Paris or all, got 'fortnight UTC'",
        ),
        ("", "a window must be like"),
    ],
)
def test_what_is_no_window_is_refused_with_advice(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error.replace("(", r"\(")):
        parse_window(text)


@given(some.sampled_from(ZONES), MOMENTS, some.integers(0, 999_999))
def test_a_day_is_the_day_of_its_zone(zone: str, second: int, micro: int) -> None:
    moment = datetime.fromtimestamp(second, UTC) + timedelta(microseconds=micro)
    (start,), (end,) = Calendar("day", zone).last(micros(moment))
    day = moment.astimezone(ZoneInfo(zone)).date()
    for at, expected in ((start, day), (end - 1, day), (start - 1, day - timedelta(1)), (end, day + timedelta(1))):
        assert (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(at))).astimezone(
            ZoneInfo(zone)
        ).date() == expected


@pytest.mark.parametrize(
    ("day", "zone", "hours"),
    [
        ((2026, 3, 29), "Europe/Paris", 23),
        ((2026, 10, 25), "Europe/Paris", 25),
        ((2026, 6, 1), "Europe/Paris", 24),
        ((2018, 11, 4), "America/Sao_Paulo", 23),  # midnight itself was missing
        ((2018, 2, 17), "America/Sao_Paulo", 25),  # the hour before midnight came twice
        ((2026, 10, 4), "Australia/Lord_Howe", 23.5),
    ],
)
def test_a_day_lasts_as_long_as_its_clocks_say(day: tuple[int, int, int], zone: str, hours: float) -> None:
    (start,), (end,) = Calendar("day", zone).last(micros(datetime(*day, 12, tzinfo=ZoneInfo(zone))))
    assert (end - start) / 3.6e9 == hours


def test_years_weeks_and_months_end_where_calendars_do() -> None:
    eve = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)  # a Thursday
    bounds = {
        "day": (datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        "week": (datetime(2026, 12, 28, tzinfo=UTC), datetime(2027, 1, 4, tzinfo=UTC)),
        "month": (datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        "year": (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
    }
    for unit, (start, end) in bounds.items():
        starts, ends = parse_window(unit).last(micros(eve))
        assert (starts[0], ends[0]) == tuple(micros(start, end)), unit
    assert Calendar("year", "Europe/Paris").last(micros(eve))[0][0] == micros(datetime(2026, 12, 31, 23, tzinfo=UTC))[0]


@given(some.integers(1, 50), some.integers(1, 50), some.integers(-(10**9), 10**9))
def test_a_pane_lies_in_a_window_or_outside_it(one: int, other: int, second: int) -> None:
    size, period = max(one, other), min(one, other)
    at = second * 1_000_000
    pane_end = int(Sliding(size, period).pane_ends(np.array([at]))[0])
    start, end = (int(bound[0]) for bound in Sliding(size, period).last(np.array([at])))
    while end > at:  # every window that holds the event
        assert start <= at < pane_end <= end
        start, end = start - period * 1_000_000, end - period * 1_000_000
    assert end <= at - (at % 1_000_000) or end <= pane_end


def test_all_time_has_no_end() -> None:
    starts, ends = AllTime().last(np.array([0, 2**60]))
    assert (starts < -(2**62)).all()
    assert (ends > 2**62).all()

"""The watermark of a live source: the slowest shard's latest event minus a bound, and what must not move it."""

from __future__ import annotations

import orjson
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.connectors.event_clock import EventClock

SECOND = 1_000_000
UNKNOWN = MIN_TIMESTAMP.micros


def clock_at(*times: int, bound: float = 0, idle: float = 10) -> EventClock:
    clock = EventClock(bound=bound, idle=idle)
    clock.see("", [time * SECOND for time in times])
    return clock


def test_it_follows_the_latest_event_minus_the_bound() -> None:
    assert clock_at(100, 120, 110, bound=5).watermark(0) == 115 * SECOND


def test_the_slowest_shard_holds_it() -> None:
    clock = clock_at(100)
    clock.see("other", [90 * SECOND])
    assert clock.watermark(0) == 90 * SECOND


def test_a_shard_that_has_told_nothing_holds_it_until_it_rests() -> None:
    clock = clock_at(100)
    clock.rest({"": False, "new": True}, now=0)
    assert clock.watermark(9) == UNKNOWN
    assert clock.watermark(11) == 100 * SECOND


def test_a_shard_that_cannot_be_reached_holds_it_for_good() -> None:
    clock = clock_at(100)
    clock.see("other", [90 * SECOND])
    clock.rest({"": True, "other": False}, now=0)
    assert clock.watermark(1000) == 90 * SECOND


def test_a_shard_at_rest_goes_on_with_the_clock() -> None:
    clock = clock_at(100)
    clock.rest({"": True}, now=0)
    assert clock.watermark(10) == 100 * SECOND
    assert clock.watermark(17) == 107 * SECOND
    clock.see("", [103 * SECOND])  # news: it follows events again, and does not go back
    assert clock.watermark(18) == 107 * SECOND


def test_shards_that_are_gone_hold_nothing() -> None:
    clock = clock_at(100)
    clock.see("gone", [10 * SECOND])
    clock.rest({"": False}, now=0)
    assert clock.watermark(0) == 100 * SECOND


def test_one_clock_that_is_wrong_moves_nothing() -> None:
    assert clock_at(100, 101, 5_000_000, 102).watermark(0) == 102 * SECOND
    assert clock_at(100, 5_000_000, 101, 5_000_000, 102, 5_000_000).watermark(0) == 102 * SECOND


def test_a_gap_in_time_is_believed_when_ten_events_in_a_row_tell_it() -> None:
    after = [90_000 + number for number in range(10)]
    assert clock_at(100, *after[:9]).watermark(0) == 100 * SECOND
    assert clock_at(100, *after).watermark(0) == 90_000 * SECOND


def test_after_a_rest_the_clock_tells_that_an_event_is_not_ahead() -> None:
    clock = clock_at(100)
    clock.rest({"": True}, now=0)
    clock.watermark(now=90_010)
    clock.see("", [90_101 * SECOND])
    clock.rest({"": True}, now=90_010)
    assert clock.watermark(now=90_010) == 90_101 * SECOND


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 10**9), st.booleans()), max_size=30), st.data())
def test_it_never_goes_back_and_goes_on_where_its_state_was_told(
    events: list[tuple[str, int, bool]], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(events)))
    whole, first = EventClock(bound=3, idle=1e9), EventClock(bound=3, idle=1e9)
    told = [UNKNOWN]
    for index, (shard, time, rests) in enumerate(events):
        if index == cut:
            state = orjson.loads(orjson.dumps(first.state()))
            first = EventClock(bound=3, idle=1e9)
            first.restore(state)
        for clock in (whole, first):
            clock.see(shard, [time])
            clock.rest({"a": rests, "b": False}, now=index)
        told.append(whole.watermark(index))
        assert told[-1] >= told[-2]
        assert first.watermark(index) == told[-1]

"""Steps cut any range as a query does, into pieces of a round length that a chart can show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.steps import POINTS, cut, round_step

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([timedelta(milliseconds=250), timedelta(seconds=7), timedelta(seconds=10), timedelta(hours=1), DAY, 5 * DAY]),
    st.integers(1, 1_000_000),
)  # fmt: skip
def test_a_round_step_is_of_whole_windows_and_cuts_into_few_pieces(
    begin: datetime, window: timedelta, windows: int
) -> None:
    end = (
        min(begin + windows * window, datetime(9000, 1, 1, tzinfo=UTC))
        if windows * window < 2_000_000 * DAY
        else begin + DAY
    )
    step = round_step(begin, end, window)
    assert not step % window
    assert (end - begin) / step <= POINTS
    shorter = [timedelta(seconds=n) for n in (1, 10, 60, 600, 3600, 86400) if timedelta(seconds=n) < step]
    for other in shorter:  # none of those would have done
        assert other % window or (end - begin) / other > POINTS - 2


@pytest.mark.parametrize(("skip", "step"), [(0, None), (7, None), (7, timedelta(minutes=4)), (0, timedelta(minutes=7))])
def test_pieces_are_those_of_a_query(new_store: Any, skip: int, step: timedelta | None) -> None:
    store = new_store({"lang": ["en"]}, 29, skip=lambda at: at < skip)
    steps = cut(store, step=step)
    answers = store.query(measures=["count"], start=steps.first, end=steps.end, step=steps.step)
    assert [(answer.start, answer.end) for answer in answers] == steps.bounds
    assert not (steps.first - datetime(1970, 1, 1, tzinfo=UTC)) % steps.step


def test_pieces_of_a_range_that_is_asked_for_begin_with_it(new_store: Any) -> None:
    store = new_store({"lang": ["en"]}, 29)
    begin = NOON + timedelta(minutes=3)
    steps = cut(store, begin, NOON + timedelta(minutes=14), timedelta(minutes=5))
    assert [piece[0] for piece in steps.bounds] == [begin, begin + timedelta(minutes=5), begin + timedelta(minutes=10)]
    assert [steps.whole(*piece) for piece in steps.bounds] == [True, True, False]
    assert steps.partial

"""Steps cut any range as a query does, into pieces of a round length that a chart can show."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.steps import POINTS, cut, round_step

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from([timedelta(milliseconds=250), timedelta(seconds=7), timedelta(seconds=10), HOUR, DAY, 5 * DAY]),
    st.integers(1, 1_000_000),
)
def test_a_round_step_is_of_whole_windows_and_cuts_into_few_pieces_but_not_too_few(
    begin: datetime, window: timedelta, windows: int
) -> None:
    end = begin + min(windows, 50_000 * DAY // window) * window
    step = round_step(begin, end, window)
    assert not step % window
    assert len(list(pieces(begin, end, step))) <= POINTS
    assert step == window or (end - begin) / step > POINTS / 10


def pieces(begin: datetime, end: datetime, step: timedelta) -> Iterator[datetime]:
    """Where the pieces begin, from 1970 on in steps."""
    at = begin - (begin - datetime(1970, 1, 1, tzinfo=UTC)) % step
    while at < end:
        yield at
        at += step


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

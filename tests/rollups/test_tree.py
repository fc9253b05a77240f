"""The tree covers any range once, with few spans."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from rollups.tree import Span, above, cover, height

WINDOWS = st.integers(-(2**40), 2**40)


@given(first=WINDOWS, length=st.integers(0, 300), top=st.integers(0, 12), stale=st.sets(st.integers(0, 8)))
def test_any_range_is_covered_once_and_in_order_whatever_cannot_be_used(
    first: int, length: int, top: int, stale: set[int]
) -> None:
    spans = list(cover(first, first + length, top, lambda span: span.level not in stale))
    assert [window for span in spans for window in range(span.first, span.end)] == list(range(first, first + length))
    assert all(span.level <= top and (span.level == 0 or span.level not in stale) for span in spans)


@given(first=WINDOWS, length=st.integers(2, 2**20), data=st.data())
def test_a_range_takes_at_most_two_spans_of_each_level(first: int, length: int, data: st.DataObject) -> None:
    begin = data.draw(st.integers(first, first + length - 1))
    end = data.draw(st.integers(begin + 1, first + length))
    spans = list(cover(begin, end, height(first, first + length)))
    assert len(spans) <= 2 * math.log2(length) + 2


@given(first=WINDOWS, length=st.integers(1, 2**20))
def test_two_of_the_longest_spans_hold_all_windows(first: int, length: int) -> None:
    top = height(first, first + length)
    assert (first + length - 1 >> top) - (first >> top) <= 1
    assert top == 0 or (first + length - 1 >> top - 1) - (first >> top - 1) >= 1


@given(windows=st.sets(WINDOWS, max_size=20), top=st.integers(0, 45))
def test_what_is_above_a_window_holds_it_level_by_level(windows: set[int], top: int) -> None:
    spans = list(above(windows, top))
    assert len(set(spans)) == len(spans)
    expected = {Span(level, window >> level) for window in windows for level in range(1, top + 1)}
    assert set(spans) == expected
    assert [span.level for span in spans] == sorted(span.level for span in spans)
    assert all(span.parent in expected for span in spans if span.level < top)
    assert all(span in (half.parent for half in span.children) for span in spans)

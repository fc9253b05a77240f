"""check_batch_equals_stream: bugs are found, shrunk and told again; their correct twins pass."""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import TupleCoder, VarIntCoder, StrUtf8Coder
from apache_beam.transforms.combiners import MeanCombineFn
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from transforms.deduplication import DeduplicateApproximately
from transforms.testing import Story, StreamDiffers, check_batch_equals_stream, within
from transforms.testing.schedules import in_time, schedule
from transforms.testing.stories import Bundle, Watermark
from transforms.windowing import ApplyWindow, WindowPolicy, given_up

POLICY = WindowPolicy("10s", allowed_lateness="30s", accumulation="accumulating")
DISCARDING = WindowPolicy("10s", allowed_lateness="30s")
LATENESS = 30_000_000  # microseconds
RECORDS = [
    ("12:00:01", ("ana", 1)),
    ("12:00:03", ("bo", 2)),
    ("12:00:04", ("ana", 3)),
    ("12:00:08", ("ana", 4)),
    ("12:00:11", ("ana", 5)),
    ("12:00:14", ("bo", 6)),
    ("12:00:25", ("ana", 7)),
    ("12:00:38", ("bo", 8)),
]

Pairs = beam.typehints.Tuple[str, int]


class Planted(beam.PTransform):
    """A transform that is right or wrong in one point."""

    def __init__(self, right: bool) -> None:
        super().__init__()
        self.right = right


class CountByTime(Planted):
    """Wrong: takes the time at which a record is handled for the time at which it happened."""

    CLOCK: Any = staticmethod(time.time)

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        clock = self.CLOCK
        if not self.right:
            records = records | beam.Map(lambda pair: TimestampedValue(pair, clock()))
        return records | ApplyWindow(POLICY) | beam.CombinePerKey(sum)


class CountByDatetime(CountByTime):
    CLOCK: Any = staticmethod(lambda: datetime.now(UTC).timestamp())


class _SumInState(beam.DoFn):
    VALUES = BagStateSpec("values", VarIntCoder())
    CLOSED = TimerSpec("closed", TimeDomain.WATERMARK)

    def __init__(self, clears: bool) -> None:
        self._clears = clears

    def process(
        self,
        pair: tuple[str, int],
        window: Any = beam.DoFn.WindowParam,
        values: Any = beam.DoFn.StateParam(VALUES),
        closed: Any = beam.DoFn.TimerParam(CLOSED),
    ) -> None:
        values.add(pair[1])
        closed.set(window.max_timestamp())

    @on_timer(CLOSED)
    def tell(
        self, key: Any = beam.DoFn.KeyParam, values: Any = beam.DoFn.StateParam(VALUES)
    ) -> Iterator[tuple[str, int]]:
        yield key, sum(values.read())
        if self._clears:
            values.clear()


class SumInState(Planted):
    """Wrong: keeps in state what was told, and tells it again with what comes late."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        windowed = records | ApplyWindow(DISCARDING)
        return windowed | beam.ParDo(_SumInState(self.right)).with_output_types(Pairs)


class Digits(Planted):
    """Wrong: what is reduced depends on the order of what comes."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        def number(values: Iterable[int]) -> int:
            ordered = sorted(values) if self.right else values
            return functools.reduce(lambda digits, digit: 10 * digits + digit, ordered, 0)

        # A list is no partial result, so nothing is reduced twice.
        grouped = records | ApplyWindow(POLICY) | beam.GroupByKey()
        return grouped | beam.MapTuple(lambda key, values: (key, number(values)))


class SumWithLateness(Planted):
    """Wrong: forgets that late records were promised to count."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        lateness = 30 if self.right else 0
        return records | beam.WindowInto(FixedWindows(10), allowed_lateness=lateness) | beam.CombinePerKey(sum)


class _FirstOfWindow(beam.DoFn):
    FIRST = BagStateSpec("first", TupleCoder([VarIntCoder(), VarIntCoder()]))
    CLOSED = TimerSpec("closed", TimeDomain.WATERMARK)

    def __init__(self, by_time: bool) -> None:
        self._by_time = by_time

    def process(
        self,
        pair: tuple[str, int],
        at: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
        first: Any = beam.DoFn.StateParam(FIRST),
        closed: Any = beam.DoFn.TimerParam(CLOSED),
    ) -> None:
        known = list(first.read())
        if not known or (self._by_time and at.micros < known[0][0]):
            first.clear()
            first.add((at.micros, pair[1]))
        closed.set(given_up(window, LATENESS))

    @on_timer(CLOSED)
    def tell(
        self, key: Any = beam.DoFn.KeyParam, first: Any = beam.DoFn.StateParam(FIRST)
    ) -> Iterator[tuple[str, int]]:
        for _, value in first.read():
            yield key, value
        first.clear()


class FirstOfWindow(Planted):
    """Wrong: takes the first to come for the first to have happened."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return records | ApplyWindow(DISCARDING) | beam.ParDo(_FirstOfWindow(self.right)).with_output_types(Pairs)


def sum_when_closed(domain: str) -> beam.DoFn:
    values_spec, closed_spec = BagStateSpec("values", VarIntCoder()), TimerSpec("closed", domain)

    class Sum(beam.DoFn):
        def process(
            self,
            pair: tuple[str, int],
            window: Any = beam.DoFn.WindowParam,
            values: Any = beam.DoFn.StateParam(values_spec),
            closed: Any = beam.DoFn.TimerParam(closed_spec),
        ) -> None:
            values.add(pair[1])
            closed.set(given_up(window, LATENESS))

        @on_timer(closed_spec)
        def tell(
            self, key: Any = beam.DoFn.KeyParam, values: Any = beam.DoFn.StateParam(values_spec)
        ) -> Iterator[tuple[str, int]]:
            yield key, sum(values.read())
            values.clear()

    return Sum()


class SumOnce(Planted):
    """Wrong: a timer of the clock, set for the end of a window, fires while records of the window still come."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        summed = sum_when_closed(TimeDomain.WATERMARK if self.right else TimeDomain.REAL_TIME)
        return records | ApplyWindow(DISCARDING) | beam.ParDo(summed).with_output_types(Pairs)


class _SeenInSelf(beam.DoFn):
    def setup(self) -> None:
        self._seen: set[Any] = set()

    def process(self, item: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        if (item, window) not in self._seen:
            self._seen.add((item, window))
            yield item


class Deduplicated(Planted):
    """Wrong: what was seen is remembered in the DoFn, which sees some bundles of many."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        items = records | ApplyWindow(DISCARDING)
        if self.right:
            return (items | DeduplicateApproximately(1000, error=1e-6, key=repr)).fresh
        return items | beam.ParDo(_SeenInSelf())


BUGS: dict[type[Planted], dict[str, Any]] = {
    # Those that the check was written for,
    CountByTime: {},
    CountByDatetime: {},
    SumInState: {"final": sum},
    Digits: {},
    SumWithLateness: {"policy": DISCARDING},
    # and others.
    FirstOfWindow: {},
    SumOnce: {},
    Deduplicated: {"repeats": True},
}


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_found_and_its_correct_twin_passes(bug: type[Planted]) -> None:
    check_batch_equals_stream(bug(right=True), RECORDS, **BUGS[bug])
    with pytest.raises(StreamDiffers) as found:
        check_batch_equals_stream(bug(right=False), RECORDS, **BUGS[bug])
    # It is shrunk as far as people would: one or two records, and at most one step that makes them differ.
    story = found.value.story
    assert len(story.records) <= 2
    assert len(story.steps) <= 3
    # What it prints is a test that can be pasted here: it runs, and fails for the same reason.
    assert found.value.test in str(found.value)
    pasted: dict[str, Any] = {}
    exec(found.value.test, {**globals(), "bug": bug}, pasted)  # noqa: S102
    (test,) = (value for name, value in pasted.items() if name.startswith("test_"))
    test.__globals__.update(pasted)
    with pytest.raises(StreamDiffers) as again:
        test()
    assert again.value.story == story
    assert _problem(again.value) == _problem(found.value)


def _problem(found: StreamDiffers) -> str:
    return str(found).split("\n", 1)[1].split("To tell it again")[0]

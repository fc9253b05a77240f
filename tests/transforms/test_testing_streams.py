"""check_batch_equals_stream: bugs are found, shrunk and told again; their correct twins pass."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import TupleCoder, VarIntCoder
from apache_beam.transforms.combiners import MeanCombineFn
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import BagStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from transforms.deduplication import DeduplicateApproximately
from transforms.lateness import Gate
from transforms.testing import Story, StreamDiffers, check_batch_equals_stream, within
from transforms.testing.schedules import in_time, schedule
from transforms.testing.stories import Bundle, Watermark
from transforms.watermarks import FromTimers
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
    check_batch_equals_stream(bug(right=True), RECORDS, schedules=10, **BUGS[bug])
    with pytest.raises(StreamDiffers) as found:
        check_batch_equals_stream(bug(right=False), RECORDS, **BUGS[bug])
    # It is shrunk as far as people would: one or two records, and at most one step that makes them differ.
    story = found.value.story
    assert len(story.records) <= 2
    assert len(story.steps) <= 3
    # What it prints is a test that can be pasted here: it runs, and fails for the same reason.
    assert found.value.test in str(found.value)
    pasted = {**globals(), "bug": bug}
    exec(found.value.test, pasted)  # noqa: S102
    with pytest.raises(StreamDiffers) as again:
        pasted["test_a_stream_tells_what_a_batch_tells"]()
    assert again.value.story == story
    assert _problem(again.value) == _problem(found.value)


def _problem(found: StreamDiffers) -> str:
    said = str(found).split("\n", 1)[1].split("To tell it again")[0]
    return re.sub(r"\d\d:\d\d:\d\d", "now", said)  # what follows the clock is told at another time


OWN_TEST = """
import apache_beam as beam

from transforms.testing import check_batch_equals_stream
from transforms.windowing import ApplyWindow, WindowPolicy

FIRST_TO_COME = (
    ApplyWindow(WindowPolicy("10s", allowed_lateness="1m", accumulation="accumulating"))
    | beam.GroupByKey()
    | beam.MapTuple(lambda key, values: (key, next(iter(values))))
)


def test_the_first_of_each_window():
    readings = [("12:00:01", ("a", 20.5)), ("12:00:04", ("a", 21.0)), ("12:00:11", ("a", 19.0))]
    check_batch_equals_stream(
        FIRST_TO_COME,
        readings,
        schedules=20,
        seed=3,
    )
"""


def test_what_a_failure_prints_runs_in_the_file_that_it_is_pasted_into(tmp_path: Path) -> None:
    def failures(source: str) -> tuple[str, list[str]]:
        (tmp_path / "test_readings.py").write_text(source)
        command = [sys.executable, "-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
        run = subprocess.run(
            [*command, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path, timeout=120, check=False
        )
        assert run.returncode == pytest.ExitCode.TESTS_FAILED, run.stdout
        names = re.findall(r"^FAILED \S+::(\w+)", run.stdout, re.MULTILINE)
        # Counted where a failure is told: what pytest's summary repeats of it depends on the width and on $CI.
        assert len(re.findall(r"^E .*\bStreamDiffers: ", run.stdout, re.MULTILINE)) == len(names)
        return run.stdout, names

    printed, failed = failures(OWN_TEST)
    assert failed == ["test_the_first_of_each_window"]
    shown = re.findall(r"^E {7}(.*)$", printed[printed.index("paste this test:") :], re.MULTILINE)
    shown = shown[shown.index("from transforms.testing import Story, check_batch_equals_stream") :]
    _, failed = failures(OWN_TEST + "\n".join(shown))
    assert failed == ["test_the_first_of_each_window", "test_a_stream_tells_what_a_batch_tells"]


def test_the_same_seed_finds_the_same_story() -> None:
    found = []
    for _ in range(2):
        with pytest.raises(StreamDiffers) as caught:
            check_batch_equals_stream(SumWithLateness(right=False), RECORDS, DISCARDING, seed=5)
        found.append((caught.value.story, caught.value.test))
    assert found[0] == found[1]


STAMPED = [(Story().micros_of(time), value) for time, value in RECORDS]
POLICIES = ["10s", "10s, lateness 30s", "20s/5s, lateness 7s", "session 5s, lateness 30s", "day Europe/Paris", "all"]


@pytest.mark.parametrize("policy", POLICIES)
def test_no_schedule_brings_a_record_too_late_for_a_window_unless_asked(policy: str) -> None:
    """An oracle without the schedules' arithmetic: windows of a record by stepping through them."""
    parsed = WindowPolicy.parse(policy)
    late = 0
    for seed in range(200):
        story = schedule(STAMPED, parsed, str(seed))
        assert sorted(story.records) == sorted(STAMPED)
        assert schedule(STAMPED, parsed, str(seed)) == story
        assert in_time(story, parsed) == story.records
        watermark = -1
        for step in story.steps:
            if isinstance(step, Watermark):
                assert step.at > watermark
                watermark = step.at
            elif isinstance(step, Bundle):
                for time, _ in step.records:
                    late += time < watermark
                    assert watermark <= _first_end(policy, time) + parsed.allowed_lateness * 1e6
    assert late or policy == "10s"


def _first_end(policy: str, time: int) -> float:
    """When the first window of an event is over."""
    second = 1_000_000
    size = policy.partition(",")[0]
    if size == "20s/5s":
        return time // (5 * second) * 5 * second + 5 * second
    if size == "session 5s":  # the first record of the session in the batch
        first = time
        while earlier := [other for other, _ in STAMPED if first - 5 * second < other < first]:
            first = min(earlier)
        return first + 5 * second
    if size == "10s":
        return time // (10 * second) * 10 * second + 10 * second
    return float("inf")  # beyond all of these records


def test_records_come_too_late_and_twice_where_that_is_asked() -> None:
    lost = repeated = 0
    for seed in range(50):
        story = schedule(STAMPED, DISCARDING, str(seed), repeats=True, too_late=True)
        assert set(story.records) == set(STAMPED)
        repeated += len(story.records) - len(STAMPED)
        kept = in_time(story, DISCARDING)
        lost += len(story.records) - len(kept)
    assert repeated > 50
    assert lost > 50


def test_what_comes_too_late_must_change_nothing_and_be_told() -> None:
    gate = Gate(DISCARDING, FromTimers(shards=1))

    def gated(records: beam.PCollection) -> beam.PCollection:
        return (records | gate).in_time | ApplyWindow(DISCARDING) | beam.CombinePerKey(sum)

    def late(records: beam.PCollection) -> beam.PCollection:
        return (records | gate).late

    def all_late(records: beam.PCollection) -> beam.PCollection:
        return records | beam.Filter(lambda pair: pair[0] == "ana")

    check_batch_equals_stream(gated, RECORDS, late_dropped=late, schedules=3)
    check_batch_equals_stream(gated, RECORDS, late_dropped=True, schedules=3)
    with pytest.raises(StreamDiffers, match=r"\d records come too late, and \d are told to be late"):
        check_batch_equals_stream(gated, RECORDS, late_dropped=all_late, schedules=5)
    longer = WindowPolicy("10s", allowed_lateness="10m")
    takes_all = ApplyWindow(longer) | beam.CombinePerKey(sum)
    with pytest.raises(StreamDiffers, match="the stream tells"):
        check_batch_equals_stream(takes_all, RECORDS, DISCARDING, late_dropped=True, schedules=5)


def test_answers_may_differ_by_rounding_and_be_made_of_all_that_was_told() -> None:
    def means(policy: WindowPolicy) -> beam.PTransform:
        return ApplyWindow(policy) | beam.CombinePerKey(MeanCombineFn())

    thirds = [(time, (key, value / 3)) for time, (key, value) in RECORDS]
    check_batch_equals_stream(means(POLICY), thirds, equal=within(relative=1e-12), schedules=5)
    with pytest.raises(StreamDiffers):  # means of some are no parts of a mean
        check_batch_equals_stream(means(DISCARDING), RECORDS)
    values = ApplyWindow(DISCARDING) | beam.GroupByKey() | beam.MapTuple(lambda key, values: (key, sorted(values)))
    check_batch_equals_stream(
        values, RECORDS, final=lambda lists: sorted(value for values in lists for value in values), schedules=5
    )
    with pytest.raises(ValueError, match="answers of windows that discard must be numbers"):
        check_batch_equals_stream(values, RECORDS)


def test_sessions_are_the_longest_that_were_told_about_whatever_their_microseconds() -> None:
    policy = WindowPolicy("session 5s", allowed_lateness="30s", accumulation="accumulating")
    odd = [(Story().micros_of(time) / 1e6 + 0.000_017, value) for time, value in RECORDS]
    check_batch_equals_stream(ApplyWindow(policy) | beam.CombinePerKey(sum), odd)


def test_records_may_be_anything_that_has_a_time() -> None:
    records = [{"at": time, "user": user} for time, (user, _) in RECORDS]
    users = beam.Map(lambda record: (record["user"], 1)).with_output_types(Pairs)
    counts = users | ApplyWindow(POLICY) | beam.CombinePerKey(sum)
    check_batch_equals_stream(counts, records, time=lambda record: record["at"], schedules=3)


@pytest.mark.parametrize(
    ("transform", "records", "given", "complaint"),
    [
        (beam.Map(str), RECORDS, {}, "got 0 in the transform: pass the one that holds for the records"),
        (beam.Map(str), [], {}, "records must hold at least one"),
        (beam.Map(str), RECORDS, {"schedules": 0}, "schedules must be at least 1, got 0"),
        (beam.Map(str), [("noon", 1)], {}, "a moment must be like 12:00:01"),
        (
            ApplyWindow(POLICY) | beam.CombinePerKey(sum) | beam.FlatMap(lambda pair: [pair, pair]),
            RECORDS,
            {},
            "one answer about each window and key, got 2 about 12:00:00 to 12:00:10, 'ana': pass final",
        ),
    ],
)
def test_what_cannot_be_checked_is_refused(
    transform: Any, records: list[Any], given: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        check_batch_equals_stream(transform, records, **given)


def test_the_page_shows_what_streams_really_tell(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    page = page[page.index("## A stream tells what a batch tells") :]
    checked, told = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (said,) = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    example = tmp_path / "example.py"  # what is printed has the call as its file has it
    example.write_text(checked)
    names: dict[str, Any] = {"__name__": "example", "beam": beam}
    exec(compile(checked, str(example), "exec"), names)  # noqa: S102
    with pytest.raises(StreamDiffers) as found:
        names["test_first_reading"]()
    assert str(found.value).strip() == said.strip()
    exec(told, names)  # noqa: S102
    names["test_late_records_are_told_once_the_clock_has_gone_on"]()

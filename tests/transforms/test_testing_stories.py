"""Stories, and what is told of them: panes as plain data, an end that comes, a runner that keeps Beam's promises."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import VarIntCoder
from apache_beam.transforms import trigger
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.utils.timestamp import Timestamp

from transforms.settling import AwaitFinal, Retract
from transforms.testing import Story, StoryStuck, collect_panes, panes_of
from transforms.windowing import ApplyWindow, WindowPolicy

A, B, C, D = (("a", 2**power) for power in range(4))
LATE = Story().at("12:00:01", A).watermark("12:00:12").at("12:00:02", B).wait("31s").at("12:00:03", C)


def sums(policy: str) -> beam.PTransform:
    return ApplyWindow(WindowPolicy.parse(policy)) | beam.CombinePerKey(sum).with_output_types(tuple[str, int])


@pytest.mark.parametrize(
    "story",
    [
        Story(),
        LATE,
        Story("2026-10-25").at("00:59:59.5", "ana", {"bo": 1}).bundle(("2026-10-26 00:00:00", 1), ("00:00:01", 2)),
        Story().at(0, None).at(datetime(2026, 1, 1, 12, tzinfo=UTC), 1.5).watermark("2026-01-01T13:00+01:00").wait(90),
    ],
)
def test_a_story_prints_the_python_that_makes_it(story: Story) -> None:
    assert eval(repr(story)) == story  # noqa: S307
    assert eval(f"({story.script()})") == story  # noqa: S307


def test_stories_share_a_beginning() -> None:
    begin = Story().at("12:00:01", A)
    assert begin.watermark("12:00:10") != begin.at("12:00:02", B)
    assert len(begin.steps) == 1


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (
            lambda: Story().at("noon", A),
            "like 12:00:01, 2026-01-01 12:00:01 or a number of seconds since 1970, got 'noon'",
        ),
        (lambda: Story().at(datetime(2026, 1, 1), A), "a datetime must have a zone"),
        (lambda: Story().watermark("12:00:01").at("12:00:00", A).watermark("12:00:01"), "where it stood at 12:00:01"),
        (lambda: Story().wait("0s"), "the clock must go on, got a wait of 0 seconds"),
        (lambda: Story("someday"), "Invalid isoformat"),
    ],
)
def test_what_is_no_story_is_refused(make: Callable[[], Story], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_panes_are_plain_data_in_the_words_of_the_story() -> None:
    told = panes_of(sums("10s, lateness 1m, accumulating"), LATE)
    assert told == [
        ("12:00:00", "12:00:10", "on time", 0, ("a", 1)),
        ("12:00:00", "12:00:10", "late", 1, ("a", 3)),
        ("12:00:00", "12:00:10", "late", 2, ("a", 7)),
    ]
    assert told[0].value == A
    assert panes_of(sums("10s, lateness 1m, accumulating"), LATE, batch=True) == [
        ("12:00:00", "12:00:10", "on time", 0, ("a", 7))
    ]


def test_times_keep_their_microseconds_in_a_stream_and_in_a_batch() -> None:
    def micros(value: Any, time: Any = beam.DoFn.TimestampParam) -> int:
        return int(time.micros % 1_000_000) + value

    story = Story().at("12:00:01.000017", 0).watermark("12:00:01.000018").at("12:00:01.000016", 0)
    for batch in (True, False):
        told = panes_of(lambda records: records | beam.Map(micros), story, batch=batch)
        assert told == [(None, None, "unknown", 0, 17), (None, None, "unknown", 0, 16)]


def test_a_transform_cannot_change_a_story() -> None:
    story = Story().at("12:00:01", [1])

    def lengthen(values: list[int]) -> list[int]:
        values.append(2)
        return values

    for batch in (True, False):
        (told,) = panes_of(lambda records: records | beam.Map(lengthen), story, batch=batch)
        assert told.value == [1, 2]
    assert story == Story().at("12:00:01", [1])


def test_panes_can_be_collected_in_a_pipeline_of_ones_own() -> None:
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        numbers = pipeline | beam.Create([1, 2, 3])
        odd = collect_panes(numbers | "Odd" >> beam.Filter(lambda number: number % 2))
        all_numbers = collect_panes(numbers)
        assert odd == []
    assert sorted(pane.value for pane in odd) == [1, 3]
    assert len(all_numbers) == 3


def test_more_than_one_collection_is_refused() -> None:
    with pytest.raises(TypeError, match="in one collection, got DoOutputsTuple: choose one, as in lambda records"):
        panes_of(lambda records: records | beam.Map(lambda word: word).with_outputs("b", main="a"), LATE)


def test_what_a_transform_raises_comes_out() -> None:
    with pytest.raises(ZeroDivisionError):
        panes_of(lambda records: records | beam.Map(lambda pair: pair[1] // 0), LATE)


def test_the_clock_does_not_pass_for_the_watermark() -> None:
    """Beam's runner takes the one for the other: what comes late would never be told, and the pipeline stall."""
    told = panes_of(sums("10s, lateness 1m, early every 5s, late every 30s"), LATE)
    assert [(pane.timing, pane.value[1]) for pane in told if pane.value[1]] == [
        ("on time", 1),
        ("late", 2),
        ("late", 4),
    ]
    lagging = Story().at("12:00:01", A).watermark("12:00:05").wait("1h").at("12:00:09", B).watermark("12:00:10")
    told = panes_of(sums("10s, lateness 1m, early every 5s, late every 30s"), lagging)
    assert [(pane.timing, pane.value[1]) for pane in told if pane.value[1]] == [("early", 1), ("on time", 2)]


def test_a_late_session_does_not_wait_for_that_of_another_key() -> None:
    """Beam's runner tells it the watermark that the other session holds, and the pipeline stalls."""
    lengthened = Story().at("12:00:00", A).bundle(("12:00:03", B), ("12:00:06", C)).watermark("12:00:09")
    assert panes_of(sums("session 4s, lateness 30s"), lengthened.at("12:00:01", ("b", 1))) == [
        ("12:00:01", "12:00:05", "late", 0, ("b", 1)),
        ("12:00:00", "12:00:10", "on time", 0, ("a", 7)),
    ]


class Tick(beam.DoFn):
    """Tells a number every ten seconds after the first record of a key, twenty times."""

    COUNT = ReadModifyWriteStateSpec("count", VarIntCoder())
    TICK = TimerSpec("tick", TimeDomain.WATERMARK)

    def process(self, _: Any, at: Any = beam.DoFn.TimestampParam, tick: Any = beam.DoFn.TimerParam(TICK)) -> None:
        tick.set(at + 10)

    @on_timer(TICK)
    def again(
        self,
        key: Any = beam.DoFn.KeyParam,
        at: Any = beam.DoFn.TimestampParam,
        tick: Any = beam.DoFn.TimerParam(TICK),
        count: Any = beam.DoFn.StateParam(COUNT),
    ) -> Iterator[tuple[str, int]]:
        told = (count.read() or 0) + 1
        count.write(told)
        if told < 20:
            tick.set(at + 10)
        yield key, told


def test_a_timer_is_not_late_however_far_the_watermark_goes() -> None:
    """Beam's runner lets the watermark pass timers that are set one by the other: what they tell would be dropped."""

    def ticks(records: beam.PCollection) -> beam.PCollection:
        ticked = records | beam.ParDo(Tick()).with_output_types(tuple[str, int])
        return ticked | ApplyWindow(WindowPolicy("1m")) | beam.CombinePerKey(sum)

    told = panes_of(ticks, Story().at("12:00:00", A).watermark("12:00:01"))
    sums_of = {pane.start: pane.value[1] for pane in told if pane.value[1]}
    assert sums_of == {"12:00:00": 15, "12:01:00": 51, "12:02:00": 87, "12:03:00": 57}


def test_sums_of_final_sums_are_told_without_steps_for_each_timer() -> None:
    def sum_of_sums(records: beam.PCollection) -> beam.PCollection:
        changes = records | sums("10s, lateness 1m, accumulating") | Retract()
        signed = changes | beam.MapTuple(lambda key, change: (key, change[0] * change[1]))
        return signed | "Again" >> sums("30s, lateness 5m, accumulating") | AwaitFinal()

    assert [pane.value for pane in panes_of(sum_of_sums, LATE)] == [("a", 7)]


class Remind(beam.DoFn):
    """Tells a key when the real clock has gone on by an hour."""

    REMIND = TimerSpec("remind", TimeDomain.REAL_TIME)
    AGAIN = False

    def process(self, _: Any, remind: Any = beam.DoFn.TimerParam(REMIND)) -> None:
        remind.set(Timestamp(time.time()) + 3600)

    @on_timer(REMIND)
    def tell(self, key: Any = beam.DoFn.KeyParam, remind: Any = beam.DoFn.TimerParam(REMIND)) -> Iterator[str]:
        if self.AGAIN:
            remind.set(Timestamp(0.001))
        yield key


class RemindForEver(Remind):
    AGAIN = True


def test_timers_of_the_real_clock_fire_before_a_story_ends() -> None:
    assert [pane.value for pane in panes_of(lambda records: records | beam.ParDo(Remind()), LATE)] == ["a"]


def test_a_story_that_waits_for_ever_is_given_up() -> None:
    with pytest.raises(StoryStuck, match=r"not over within 1 seconds\. Steps that wait .*ParDo\(RemindForEver\)"):
        panes_of(lambda records: records | beam.ParDo(RemindForEver()), LATE, limit=1)


def test_a_trigger_that_never_answers_is_named() -> None:
    window = beam.WindowInto(
        beam.window.FixedWindows(10),
        trigger=trigger.Repeatedly(trigger.AfterCount(50)),
        accumulation_mode=trigger.AccumulationMode.DISCARDING,
    )
    with pytest.raises(StoryStuck, match=r"CombinePerKey.* still holds it\. A trigger that waits for more records"):
        panes_of(window | beam.CombinePerKey(sum), LATE)

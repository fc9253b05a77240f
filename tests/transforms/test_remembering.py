"""MapWithState: what each record says, given the state of its key. PySpark lacks it: plain Python is the oracle."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from transforms.remembering import MapWithState
from transforms.windowing import ApplyWindow, WindowPolicy

if TYPE_CHECKING:
    from tests.transforms.conftest import Held, Tell

NOON = 1_000_000


def running(key: str, value: int, state: int | None) -> tuple[str | None, int | None]:
    """The running sum of a key; odd values say nothing, and a value of 0 removes the key."""
    total = (state or 0) + value
    return f"{key}{total}" if value % 2 == 0 else None, total if value else None


def gone(key: str, state: int) -> str:
    return f"{key}{state} gone"


def remember(pairs: beam.PCollection, **options: Any) -> beam.PCollection:
    return pairs | MapWithState(running, **({"state": int, "timeout": "2s", "timed_out": gone} | options))


def timed(*pairs: tuple[float, tuple[str, int]]) -> beam.Create:
    stamped = [TimestampedValue(pair, NOON + time) for time, pair in pairs]
    return beam.Create(stamped, reshuffle=False).with_output_types(tuple[str, int])


def reference(records: list[tuple[float, tuple[str, int]]], timeout: float) -> list[tuple[float, None, str]]:
    """What is told of records that arrive one after the other, and of their keys when all is over."""
    states: dict[str, int | None] = {}
    latest: dict[str, float] = {}
    told: list[tuple[float, None, str]] = []
    for time, (key, value) in records:
        state = states.get(key)
        if state is not None and time > latest[key] + timeout:
            told.append((time, None, gone(key, state)))
            state = None
        answer, states[key] = running(key, value, state)
        if answer is not None:
            told.append((time, None, answer))
        latest[key] = time if state is None else max(time, latest[key])
    over = [(round(latest[key] + timeout + 0.001, 3), None, gone(key, s)) for key, s in states.items() if s is not None]
    return [*told, *over]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_answers_are_those_of_a_dictionary(tell: Tell, held: Held, seed: int) -> None:
    chance = random.Random(seed)
    moments = sorted(chance.randrange(0, 20_000, 250) / 1000 + chance.choice((0, 0, 1.5)) for _ in range(40))
    for place in range(0, 40, 3):  # not quite in order
        moments[place : place + 2] = reversed(moments[place : place + 2])
    records = [(moment, (chance.choice("abc"), chance.randrange(4))) for moment in moments]
    # The watermark waits until all came, so that it is the records alone that tell the time.
    tell([*records, 40.0], remember, reference(records, 2))
    assert (held.cells(), held.timers()) == (0, 0)


def test_a_key_is_told_that_was_quiet_for_the_timeout_and_begins_anew(tell: Tell, held: Held) -> None:
    story = [(0.5, ("a", 2)), 1.0, (1.5, ("a", 4)), 2.0, 3.0, 3.4, 3.6, 4.0, (4.5, ("a", 8)), 5.0, 6.0, 7.0]
    answers = [(0.5, "a2"), (1.5, "a6"), (3.501, "a6 gone"), (4.5, "a8"), (6.501, "a8 gone")]
    tell(story, remember, [(time, None, answer) for time, answer in answers])
    assert (held.cells(), held.timers()) == (0, 0)


def test_records_are_taken_as_they_arrive_and_late_ones_do_not_shorten_the_wait(tell: Tell) -> None:
    story = [(3.5, ("a", 2)), (1.0, ("a", 4)), 4.0, (3.0, ("a", 6)), 5.0, 5.4, 6.0]
    answers = [(3.5, "a2"), (1.0, "a6"), (3.0, "a12"), (5.501, "a12 gone")]
    tell(story, remember, [(time, None, answer) for time, answer in answers])


def test_a_removed_key_holds_nothing_and_is_not_told(tell: Tell, held: Held) -> None:
    story = [(0.5, ("a", 2)), (0.6, ("a", 0)), (0.7, ("b", 2)), 1.0, (1.5, ("b", 0)), 2.0, 3.0, 4.0]
    tell(story, remember, [(0.5, None, "a2"), (0.6, None, "a2"), (0.7, None, "b2"), (1.5, None, "b2")])
    assert (held.cells(), held.timers()) == (0, 0)


def test_in_windows_states_end_with_them_and_their_lateness(tell: Tell, held: Held) -> None:
    story = [(0.5, ("a", 2)), (1.5, ("a", 4)), 2.5, (0.7, ("a", 6)), 2.9, 3.1, 4.5, 6.0]

    def by_window(pairs: beam.PCollection) -> beam.PCollection:
        return remember(pairs | ApplyWindow(WindowPolicy("1s", allowed_lateness="2s")), timeout=None)

    answers = [(0.5, 1, "a2"), (1.5, 2, "a4"), (0.7, 1, "a8"), (0.999999, 1, "a8 gone"), (1.999999, 2, "a4 gone")]
    tell(story, by_window, answers)
    assert (held.cells(), held.timers()) == (0, 0)


def test_by_the_processing_clock_a_key_is_told_when_nothing_came_for_so_long(held: Held) -> None:
    stream = (
        TestStream(coder=FastPrimitivesCoder())
        .advance_watermark_to(NOON)
        .advance_processing_time(1000)
        .add_elements([TimestampedValue(("a", 2), NOON + 1)])
        .advance_processing_time(1)
        .add_elements([TimestampedValue(("a", 4), NOON + 50)])
        .advance_processing_time(10**10)
        .add_elements([TimestampedValue(("a", 8), NOON + 51)])
        .advance_processing_time(10**10)
        .advance_watermark_to_infinity()
    )
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        pairs = pipeline | stream | beam.Map(lambda pair: pair).with_output_types(tuple[str, int])
        answers = remember(pairs, clock="processing") | beam.Map(
            lambda answer, time=beam.DoFn.TimestampParam: (answer, int(time) - NOON)
        )
        assert_that(answers, equal_to([("a2", 1), ("a6", 50), ("a6 gone", 50), ("a8", 51), ("a8 gone", 51)]))
    assert (held.cells(), held.timers()) == (0, 0)


def test_initial_states_are_those_before_the_first_record_and_not_after_a_removal(
    in_process: Callable[..., Any],
) -> None:
    with in_process() as pipeline:
        initial = pipeline | "Initial" >> beam.Create([("a", 100), ("b", 100)]).with_output_types(tuple[str, int])
        pairs = pipeline | timed((1, ("a", 2)), (2, ("b", 0)), (3, ("b", 2)), (9, ("a", 2)))
        answers = remember(pairs, initial=initial)
        assert_that(answers, equal_to(["a102", "b100", "b2", "a102 gone", "a2", "b2 gone", "a2 gone"]))


@pytest.mark.parametrize(
    ("options", "window", "message"),
    [
        ({"timeout": 0}, "all", "timeout must be longer than 0 seconds, got 0"),
        ({"timeout": None}, "all", "would never end"),
        ({"clock": "sun"}, "all", "clock must be event or processing, got 'sun'"),
        ({"state": object}, "all", "the form of its bytes must be known"),
        ({}, "session 5m", "windows that merge have no state"),
    ],
)
def test_what_cannot_be_is_refused(options: dict[str, Any], window: str, message: str) -> None:
    pairs = beam.Pipeline(runner="FnApiRunner") | timed((0, ("a", 1))) | ApplyWindow(WindowPolicy(window))
    with pytest.raises(ValueError, match=message):
        remember(pairs, **options)

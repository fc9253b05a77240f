"""Watermarks beside records: a function of the data, or learnt from timers, at a cost that jumps do not multiply."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as some

from transforms import bundling
from transforms.lateness import Gate
from transforms.watermarks import FromData, FromTimers, _Learn
from transforms.windowing import ApplyWindow, ForgetTime, WindowPolicy

NOON = 1_000_000
SECOND = 1_000_000
Reading = tuple[str, int, float]  # device, number, event time


class Cell:
    """A state of one key."""

    value: bytes | None = None

    def read(self) -> bytes | None:
        return self.value

    def write(self, value: bytes) -> None:
        self.value = value


class Timers(dict[str, int]):
    """The timers of one key, by tag."""

    def set(self, at: Timestamp, *, dynamic_timer_tag: str) -> None:
        self[dynamic_timer_tag] = at.micros


class Shard:
    """A key of the step, under a runner that fires all timers that are due together, or one after the other."""

    def __init__(self, policy: str, together: bool) -> None:
        self.step, self.cell, self.timers = _Learn(WindowPolicy.parse(policy), SECOND), Cell(), Timers()
        self.step.setup()
        self.together = together
        self.fired = self.rounds = 0
        self.meet()

    def meet(self) -> int:
        """The watermark that a record meets."""
        ((_, met, _),) = self.step.process((0, (b"", b"", ["record"])), self.cell, self.timers)
        return int(np.frombuffer(met, "<i8")[0])

    def advance_to(self, watermark: int) -> None:
        while due := sorted((at, tag) for tag, at in self.timers.items() if at <= watermark):
            due = due if self.together else due[:1]
            self.rounds += 1
            for at, tag in due:
                if self.timers[tag] == at:
                    del self.timers[tag]
            for at, tag in due:
                self.fired += 1
                self.step.reach(Timestamp(micros=at), tag, self.cell, self.timers)


def deadlines_between(policy: str, start: int, end: int) -> list[int]:
    """Brute force: the deadline of every second of event time."""
    cut = WindowPolicy.parse(policy)
    lateness = round(cut.allowed_lateness * SECOND)
    times = np.arange(start - 2 * lateness, end, SECOND // 2)
    return sorted({int(at) for at in cut.window.last(times)[1] + lateness if start < at <= end})


@given(
    some.sampled_from(["10s", "7s, lateness 3s", "20s/8s, lateness 10s"]),
    some.lists(some.integers(1, 120).map(lambda half: half * SECOND // 2), min_size=1, max_size=20),
    some.booleans(),
)
def test_whether_a_deadline_is_over_is_known_exactly(policy: str, steps: list[int], together: bool) -> None:
    shard, watermark = Shard(policy, together), 5000 * SECOND
    shard.advance_to(watermark)
    for step in steps:
        watermark += step
        shard.advance_to(watermark)
        met = shard.meet()
        assert met >= watermark
        assert deadlines_between(policy, watermark, met) == []


def test_of_sessions_the_watermark_is_known_to_a_resolution() -> None:
    shard = Shard("session 30m, lateness 1m", together=True)
    for watermark in (NOON * SECOND, NOON * SECOND + 700_000, NOON * SECOND + 1_200_000):
        shard.advance_to(watermark)
        assert watermark <= shard.meet() < watermark + SECOND


@pytest.mark.parametrize(
    "policy", ["10s", "1h/5m, lateness 10m", "day Europe/Paris, lateness 1d", "month", "session 30m"]
)
def test_a_jump_costs_the_logarithm_of_the_deadlines_that_it_skips(policy: str) -> None:
    shard = Shard(policy, together=True)
    now = 1_790_000_000 * SECOND
    shard.advance_to(now)  # from 1970 on
    assert shard.rounds < 30
    assert shard.fired < 400
    shard.fired = 0
    met = [shard.meet()]
    for _ in range(100):  # one deadline after the other
        shard.advance_to(shard.meet() + 1)
        met.append(shard.meet())
    assert all(one < other for one, other in pairwise(met))
    assert shard.fired <= 150
    shard.rounds = 0
    shard.advance_to(2**62)  # the end of all input
    assert shard.rounds < 10
    assert not [at for at in shard.timers.values() if at <= 2**62]


def met_of_data(readings: list[Reading], policy: str, bound: float) -> tuple[set[Reading], set[Reading], set[Reading]]:
    """By plain arithmetic, for windows of equal size: what is in time, what late, and what from the future."""
    cut = WindowPolicy.parse(policy)
    size = int(policy.split("s", maxsplit=1)[0])
    latest: dict[int, float] = {}
    in_time, late, future = set(), set(), set()
    for reading in readings:
        partition, time = partition_of(reading), reading[2]
        if time > clock() + 100:
            future.add(reading)
            continue
        end = time // size * size + size
        is_late = end + cut.allowed_lateness <= latest.get(partition, float("-inf")) - bound
        (late if is_late else in_time).add(reading)
        latest[partition] = max(latest.get(partition, time), time)
    return in_time, late, future


def partition_of(reading: Reading) -> int:
    return reading[1] % 3


def timed(reading: Reading) -> TimestampedValue:
    return TimestampedValue(reading, reading[2])


def named(value: Any, name: str, window: Any = beam.DoFn.WindowParam) -> tuple[str, Any]:
    return name, (float(window.start), value) if name == "pane" else value


def outcome(readings: beam.PCollection, policy: str, watermark: FromData, max_future: float | None) -> beam.PCollection:
    """What a gate and the windows after it tell, which wait for a day: the runner has a watermark of its own."""
    gate = readings | Gate(WindowPolicy.parse(policy), watermark, max_future=max_future, clock=clock)
    panes = (
        gate.in_time
        | ApplyWindow(WindowPolicy(WindowPolicy.parse(policy).window, allowed_lateness="1d"))
        | "One" >> beam.Map(lambda _: ("all", 1)).with_output_types(tuple[str, int])
        | beam.CombinePerKey(sum)
        | beam.Values()
    )
    late = gate.late | "Record" >> beam.Keys()
    future = gate.future | "Future" >> beam.Keys()
    everything = {"in time": gate.in_time, "late": late, "future": future, "pane": panes}
    outputs = [each | f"Name {name}" >> beam.Map(named, name) for name, each in everything.items()]
    return [each | f"Forget {number}" >> ForgetTime() for number, each in enumerate(outputs)] | beam.Flatten()


def clock() -> float:
    return NOON + 1000


def check_data(readings: list[Reading], policy: str, bound: float, bunches: list[int] | None) -> None:
    """Over bounded input; or with bunches, over a stream in which the runner's watermark does something else."""
    in_time, late, future = met_of_data(readings, policy, bound)
    size = int(policy.split("s", maxsplit=1)[0])
    panes = Counter(time // size * size for _, _, time in in_time)

    def check(told: list[tuple[str, Any]]) -> None:
        assert {one for name, one in told if name == "late"} == late
        assert {one for name, one in told if name == "in time"} == in_time
        assert {one for name, one in told if name == "future"} == future
        assert len([name for name, _ in told if name != "pane"]) == len(readings)
        counted: Counter[float] = Counter()
        for name, one in told:
            if name == "pane":
                counted[one[0]] += one[1]
        assert counted == panes

    watermark = FromData(bound, shard=partition_of)
    if bunches is None:
        with TestPipeline(runner="FnApiRunner") as pipeline:
            source = pipeline | beam.Create([readings], reshuffle=False) | beam.FlatMap(list) | beam.Map(timed)
            assert_that(outcome(source, policy, watermark, 100), check)
        return
    stream, now, begin = TestStream(coder=FastPrimitivesCoder()), NOON - 500, 0
    for bunch in bunches:
        if begin < len(readings):
            stream = stream.add_elements(list(map(timed, readings[begin : begin + bunch])))
            begin, now = begin + bunch, now + 7 * bunch
            stream = stream.advance_watermark_to(now)
    if begin < len(readings):
        stream = stream.add_elements(list(map(timed, readings[begin:])))
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        source = pipeline | stream.advance_watermark_to(NOON + 200_000).advance_watermark_to_infinity()
        assert_that(outcome(source, policy, watermark, 100), check)


def made_up_readings(number: int, seed: int) -> list[Reading]:
    """Clocks that are ahead and behind by ten minutes, and one reading of twenty that comes far too late."""
    chance = random.Random(seed)
    skew = {"ahead": 600.0, "behind": -600.0}
    readings = []
    for at in range(number):
        device = chance.choices(["a", "b", "ahead", "behind"], [48, 48, 2, 2])[0]
        late = chance.uniform(60, 120) if chance.random() < 0.05 else chance.expovariate(0.5)
        readings.append((device, at, round(NOON + 940 + 60 * at / number - late + skew.get(device, 0), 2)))
    return readings


@pytest.mark.parametrize("batch", [7, 10_000])
def test_what_is_late_is_a_function_of_the_data_in_batch_and_in_a_stream(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundling, "_BATCH", batch)
    readings = made_up_readings(700, seed=batch)
    _, late, future = met_of_data(readings, "10s, lateness 5s", 3)
    assert len(late) > 0.05 * len(readings)
    assert {device for device, _, _ in future} == {"ahead"}
    assert len(future) > 5
    check_data(readings, "10s, lateness 5s", 3, bunches=None)
    check_data(readings, "10s, lateness 5s", 3, bunches=[40, 1, 300, 5, 200])


orders = given(
    some.lists(some.integers(2000, 2300), min_size=1, max_size=25),
    some.sampled_from(["10s", "10s, lateness 5s"]),
    some.sampled_from([0, 3, 10]),
    some.none() | some.lists(some.integers(1, 6), min_size=1, max_size=5),
)


@orders
@settings(max_examples=3, deadline=None, derandomize=True)
def test_any_order_is_judged_as_plain_arithmetic_does(
    halves: list[int], policy: str, bound: float, bunches: list[int] | None
) -> None:
    check_data([("a", number, NOON + half / 2) for number, half in enumerate(halves)], policy, bound, bunches)


@pytest.mark.schedules
@orders
@settings(max_examples=100, deadline=None)
def test_hundreds_of_orders_are(halves: list[int], policy: str, bound: float, bunches: list[int] | None) -> None:
    check_data([("a", number, NOON + half / 2) for number, half in enumerate(halves)], policy, bound, bunches)


def test_one_bad_clock_does_not_move_the_watermark() -> None:
    times = [990.0, 90_000.0, 980.0, 991.0]
    readings = [("a", 3 * number, NOON + time) for number, time in enumerate(times)]  # of one partition
    in_time, late, future = met_of_data(readings, "10s", 10)
    assert (len(in_time), len(late), len(future)) == (3, 0, 1)
    check_data(readings, "10s", 10, bunches=None)


def test_bounded_input_has_no_watermark_to_learn(in_process: Any) -> None:
    readings = [("a", 0, NOON + 990.0), ("a", 1, float(NOON))]
    with in_process() as pipeline:
        source = pipeline | beam.Create(readings, reshuffle=False) | beam.Map(timed)
        gate = source | Gate(WindowPolicy("10s"), FromTimers())
        assert_that(gate.in_time, equal_to(readings), "in time")
        assert_that(gate.late, equal_to([]), "late")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        (lambda: FromData(-1), "bound must be at least 0 seconds, got -1; use how far"),
        (lambda: FromData("5"), "a duration must be a number and one of"),
        (lambda: FromTimers(shards=0), "shards must be at least 1, got 0; use as many as workers"),
        (lambda: FromTimers(resolution=0), "resolution must be more than 0 seconds, got 0; for example 1"),
    ],
)
def test_what_cannot_be_is_refused_with_advice(wrong: Any, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        wrong()

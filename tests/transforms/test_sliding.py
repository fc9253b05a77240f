"""ReduceByKeyAndWindow: the same answers as Beam's SlidingWindows, from panes."""

from __future__ import annotations

import operator
import random
import sys
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.coders import FastPrimitivesCoder, VarIntCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.combiners import MeanCombineFn, TopCombineFn
from apache_beam.transforms.window import TimestampedValue
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming

from transforms import sliding
from transforms.distinct import distinct_count
from transforms.exact import total
from transforms.panes import WithPane
from transforms.settling import Retract
from transforms.sliding import ReduceByKeyAndWindow
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import Calendar, Fixed, Sliding

NOON = 1_000_000


def streaming() -> TestPipeline:
    return TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"]))


def at(*records: tuple[str, int, float]) -> list[TimestampedValue]:
    """Records of a key and a number, so many seconds after noon."""
    return [TimestampedValue((key, number), NOON + time) for key, number, time in records]


def typed(pairs: beam.PCollection) -> beam.PCollection:
    return pairs | "Typed" >> beam.Map(lambda pair: pair).with_output_types(tuple[str, int])


def told(
    answer: tuple[str, Any], window: Any = beam.DoFn.WindowParam, pane: PaneInfo = beam.DoFn.PaneInfoParam
) -> tuple[tuple[str, float], tuple[int, Any]]:
    """((key, start of the window), (number of the pane, answer))."""
    return (answer[0], float(window.start) - NOON), (pane.index, answer[1])


def same_answers(answers: Iterable[tuple[str, Any]]) -> None:
    """Raises where the last answers of the two ways differ."""
    last: dict[str, dict[Any, tuple[int, Any]]] = {"ours": {}, "Beam's": {}}
    for way, (place, answer) in answers:
        if place not in last[way] or last[way][place][0] < answer[0]:
            last[way][place] = answer
    ours, beams = ({place: answer for place, (_, answer) in last[way].items()} for way in last)
    assert ours == beams
    assert ours, "a check of nothing"


def compare(
    pairs: beam.PCollection, ours: beam.PTransform, policy: WindowPolicy, theirs: Any, read: Any = None
) -> None:
    read = read or (lambda value: value)
    both = (
        pairs | "Ours" >> ours | "OursRead" >> beam.MapTuple(lambda key, value: (key, read(value)))
        | "OursTold" >> beam.Map(told) | "OursNamed" >> beam.Map(lambda told: ("ours", told)),
        pairs | ApplyWindow(policy) | beam.CombinePerKey(theirs)
        | "BeamsRead" >> beam.MapTuple(lambda key, value: (key, read(value)))
        | "BeamsTold" >> beam.Map(told) | "BeamsNamed" >> beam.Map(lambda told: ("Beam's", told)),
    )  # fmt: skip
    assert_that(both | beam.Flatten(), same_answers)


REDUCTIONS: dict[str, tuple[Any, Any, Any]] = {
    "a function and its inverse": (operator.add, operator.sub, sum),
    "a function": (max, None, max),
    "a CombineFn": (MeanCombineFn(), None, MeanCombineFn()),
    "a CombineFn that changes its accumulators": (TopCombineFn(3), None, TopCombineFn(3)),
    "a sketch that subtracts": (total(), None, total()),
    "a sketch that merges": (distinct_count(), None, distinct_count()),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("size", "period"), [(60, 5), (25, 10), (7, 3), (10, 10)])
def test_all_windows_of_bounded_input_are_those_of_beam(name: str, size: int, period: int, in_process: Any) -> None:
    ours, inverse, theirs = REDUCTIONS[name]
    chance = random.Random(f"{name} {size}")
    times = [
        chance.choice([chance.uniform(-90, 90), chance.randrange(-9, 9) * 5, chance.gauss(0, 3)]) for _ in range(60)
    ]
    records = [TimestampedValue((chance.choice("abc"), chance.randrange(-50, 50)), time) for time in times]
    policy = WindowPolicy(Sliding(size, period))
    with in_process() as pipeline:
        pairs = typed(pipeline | beam.Create(records, reshuffle=False))
        compare(pairs, ReduceByKeyAndWindow(ours, inverse, window=policy, shards=2), policy, theirs)


def script(seed: int, lateness: int) -> TestStream:
    """Records in any order, at most as late as may be, and a watermark that steps and jumps."""
    chance = random.Random(seed)
    stream = TestStream(coder=FastPrimitivesCoder())
    now = 0
    for _ in range(10):
        for _ in range(chance.randrange(3)):
            records = [
                (chance.choice("ab"), chance.randrange(100), now + chance.uniform(-lateness, 40))
                for _ in range(chance.randrange(1, 4))
            ]
            stream = stream.add_elements(at(*records))
        now += chance.choice([1, 5, 10, 30])
        stream = stream.advance_watermark_to(NOON + now)
    for end in range(now + 20, now + 160, 20):
        stream = stream.advance_watermark_to(NOON + end)
    return stream.advance_watermark_to_infinity()


@pytest.mark.parametrize(("seed", "name"), list(enumerate(REDUCTIONS)))
def test_the_last_answers_of_a_stream_are_those_of_beam(seed: int, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where nothing is remembered from one timer to the next, as after a restart."""
    if seed % 3:
        recall = sliding._Compose._recall

        def recall_nothing(self: Any, *arguments: Any) -> Any:
            self._remembered.clear()
            return recall(self, *arguments)

        monkeypatch.setattr(sliding._Compose, "_recall", recall_nothing)
        monkeypatch.setattr(sliding, "_SLACK", 3)
    ours, inverse, theirs = REDUCTIONS[name]
    size, period = [(30, 5), (25, 10), (7, 3)][seed // 2]
    # Nothing is too late for any of its windows: where nothing was due, we know the watermark less well than Beam.
    policy = WindowPolicy(Sliding(size, period), allowed_lateness=60, accumulation="accumulating")
    with streaming() as pipeline:
        pairs = typed(pipeline | script(seed, 59))
        compare(pairs, ReduceByKeyAndWindow(ours, inverse, window=policy, shards=2), policy, theirs)


def answers(stream: TestStream, step: beam.PTransform) -> list[tuple[Any, ...]]:
    """All that a step tells, in order: (key, start and end of the window, timing, answer)."""
    _TOLD.clear()
    with streaming() as pipeline:
        _ = typed(pipeline | stream) | step | "Note" >> beam.ParDo(_Note())
    return list(_TOLD)


_TOLD: list[tuple[Any, ...]] = []


class _Note(beam.DoFn):
    def process(
        self,
        answer: tuple[str, Any],
        window: Any = beam.DoFn.WindowParam,
        time: Timestamp = beam.DoFn.TimestampParam,
        pane: PaneInfo = beam.DoFn.PaneInfoParam,
    ) -> None:
        assert time == window.max_timestamp()
        bounds = int(window.start) - NOON, int(window.end) - NOON
        sys.modules[__name__]._TOLD.append((answer[0], *bounds, PaneInfoTiming.to_string(pane.timing), answer[1]))


def test_windows_begin_empty_and_a_silent_key_slides_out() -> None:
    stream = TestStream(coder=FastPrimitivesCoder()).add_elements(at(("a", 1, 3), ("a", 2, 14), ("b", 4, 14)))
    for now in range(10, 90, 10):
        stream = stream.advance_watermark_to(NOON + now)
    step = ReduceByKeyAndWindow(operator.add, operator.sub, window="30s/10s")
    assert answers(stream.advance_watermark_to_infinity(), step) == [
        ("a", -20, 10, "ON_TIME", 1),
        ("a", -10, 20, "ON_TIME", 3),
        ("b", -10, 20, "ON_TIME", 4),
        ("a", 0, 30, "ON_TIME", 3),
        ("b", 0, 30, "ON_TIME", 4),
        ("a", 10, 40, "ON_TIME", 2),
        ("b", 10, 40, "ON_TIME", 4),
    ]


@pytest.mark.parametrize("inverse", [operator.sub, None])
def test_what_is_late_corrects_the_windows_that_may_still_change(inverse: Callable[[int, int], int] | None) -> None:
    stream = TestStream(coder=FastPrimitivesCoder()).add_elements(at(("a", 1, 3), ("a", 2, 31)))
    for now in range(10, 50, 10):
        stream = stream.advance_watermark_to(NOON + now)
    stream = stream.add_elements(at(("a", 8, 14)))
    for now in range(50, 120, 10):
        stream = stream.advance_watermark_to(NOON + now)
    policy = WindowPolicy("30s/10s", allowed_lateness="10s", accumulation="accumulating")
    assert answers(
        stream.advance_watermark_to_infinity(), ReduceByKeyAndWindow(operator.add, inverse, window=policy)
    ) == [
        ("a", -20, 10, "ON_TIME", 1),
        ("a", -10, 20, "ON_TIME", 1),
        ("a", 0, 30, "ON_TIME", 1),
        ("a", 10, 40, "ON_TIME", 2),
        ("a", 0, 30, "LATE", 9),  # and not the one that ended at 20: at 40 it is 20 s old
        ("a", 10, 40, "LATE", 10),
        ("a", 20, 50, "ON_TIME", 2),
        ("a", 30, 60, "ON_TIME", 2),
    ]


def test_changes_are_told_alone_and_nothing_when_nothing_is_left() -> None:
    stream = TestStream(coder=FastPrimitivesCoder()).add_elements(at(("a", 1, 3), ("a", 2, 31)))
    for now in range(20, 140, 20):
        stream = stream.advance_watermark_to(NOON + now)
    step = ReduceByKeyAndWindow(operator.add, operator.sub, window="60s/10s", tell="changes")
    assert answers(stream.advance_watermark_to_infinity(), step) == [
        ("a", -50, 10, "ON_TIME", 1),
        ("a", -20, 40, "ON_TIME", 3),
        ("a", 10, 70, "ON_TIME", 2),
        ("a", 40, 100, "ON_TIME", None),
    ]


def test_answers_that_are_told_again_can_be_withdrawn() -> None:
    stream = TestStream(coder=FastPrimitivesCoder()).add_elements(at(("a", 1, 3)))
    stream = stream.advance_watermark_to(NOON + 10).add_elements(at(("a", 4, 4)))
    for now in range(20, 80, 10):
        stream = stream.advance_watermark_to(NOON + now)
    policy = "20s/10s, lateness 20s, accumulating"
    with streaming() as pipeline:
        sums = typed(pipeline | stream.advance_watermark_to_infinity())
        told = sums | ReduceByKeyAndWindow(operator.add, operator.sub, window=policy) | Retract()
        assert_that(told, equal_to([("a", (1, 1)), ("a", (1, -1)), ("a", (5, 1)), ("a", (5, 1))]))


def test_floats_do_not_drift_in_an_exact_total(in_process: Any) -> None:
    records = at(("a", 1e100, 0), ("a", 0.1, 12), ("a", 0.2, 12))  # type: ignore[arg-type]
    with in_process() as pipeline:
        pairs = pipeline | beam.Create(records) | beam.Map(lambda pair: pair).with_output_types(tuple[str, float])
        sums = pairs | ReduceByKeyAndWindow(total(), window="20s/10s") | beam.Values()
        assert_that(sums, equal_to([1e100, 1e100, 0.30000000000000004]))


def test_windows_may_lie_side_by_side(in_process: Any) -> None:
    with in_process() as pipeline:
        pairs = typed(pipeline | beam.Create(at(("a", 1, 0), ("a", 2, 10), ("a", 4, 19))))
        counts = pairs | ReduceByKeyAndWindow(operator.add, window=Fixed(10)) | WithPane(WindowPolicy("10s"))
        short = counts | beam.MapTuple(lambda counted, pane: (counted, pane.start.second, pane.timing, pane.final))
        assert_that(short, equal_to([(("a", 1), 40, "on time", True), (("a", 6), 50, "on time", True)]))


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"window": "session 5m"}, "windows must slide, got session 5m; for example 24h/10s"),
        ({"window": Calendar("day")}, "windows must slide"),
        ({"window": "1s/0.5ms"}, "by whole milliseconds, as runners count time, got Sliding.size=1.0, period=0.0005."),
        ({"window": "1h/10s, early every 5s"}, "answer once in a period, got early every 5s: leave it out"),
        ({"window": "1h/10s, lateness 5s, accumulating, late every 30s"}, "corrects at once, got late every 30s"),
        ({"window": "1h/10s, lateness 5s"}, "use accumulation='accumulating'"),
        ({"window": "1h/10s", "tell": "each"}, "tell must be 'every window' or 'changes', got 'each'"),
        ({"window": "1h/10s", "shards": 0}, "shards must be at least 1, got 0"),
        ({"window": "1h/10s", "reduce": MeanCombineFn(), "inverse": operator.sub}, "an inverse belongs to a function"),
        ({"window": "1h/10s", "reduce": 3}, "reduce must be a function of two values, or a CombineFn, got 3"),
        ({"window": "1h/10s", "inverse": 3}, "inverse must be a function of two values, got 3"),
    ],
)
def test_what_cannot_slide_is_refused_with_advice(arguments: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        ReduceByKeyAndWindow(**({"reduce": operator.add} | arguments))


def test_records_without_an_event_time_are_refused(in_process: Any) -> None:
    with pytest.raises(Exception, match="records must have an event time"), in_process() as pipeline:
        _ = typed(pipeline | beam.Create([("a", 1)])) | ReduceByKeyAndWindow(operator.add, window="20s/10s")


class Cell:
    """One cell of state, or a timer."""

    def __init__(self) -> None:
        self.held: Any = None

    def read(self) -> Any:
        return self.held

    def write(self, value: Any) -> None:
        self.held = value

    set = write

    def clear(self) -> None:
        self.held = None


class BagCell(Cell):
    def read(self) -> list[bytes]:
        return self.held or []

    def add(self, value: bytes) -> None:
        self.held = [*self.read(), value]


@pytest.mark.parametrize("tell", ["every window", "changes"])
def test_state_is_the_panes_of_a_window_and_of_no_keys_that_went(tell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sliding, "_SLACK", 10)
    step = ReduceByKeyAndWindow(operator.add, operator.sub, window="60s/10s, lateness 20s, accumulating", tell=tell)
    plan = sliding._Plan(step._policy, step._reduction, tell, VarIntCoder(), VarIntCoder())
    reduce, compose = sliding._ReduceBundle(plan, 1), sliding._Compose(plan)
    came, held, done, wakes, due = BagCell(), BagCell(), Cell(), Cell(), Cell()

    def advance(until: float) -> None:
        while due.held is not None and due.held <= Timestamp(until):
            time, due.held = due.held, None
            list(compose.compose(0, time, came, held, done, wakes, due))

    most = 0
    for number in range(2000):  # one new key a second
        reduce.start_bundle()
        assert not list(reduce.process((number, 1), Timestamp(number)))
        for partial in reduce.finish_bundle():
            compose.process(partial.value, came, wakes, due)
        advance(number)
        most = max(most, sum(map(len, held.read())))
    advance(5000)
    assert most < 2000, "bytes, for about 90 keys held and twice as many until they are cleared away"
    assert not came.read()
    assert not held.read()
    assert wakes.held is due.held is None
    assert sum(map(len, done.held[3:])) <= 8
    assert not compose._remembered[0][1]._keys

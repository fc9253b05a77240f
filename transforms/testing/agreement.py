"""Whether a transform gives one answer, whether its records come as a batch or as a stream, in whatever order."""

from __future__ import annotations

import inspect
import time as clock
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import apache_beam as beam
from apache_beam.pipeline import PipelineVisitor
from apache_beam.transforms.core import Windowing

from transforms.testing.answers import Equal, Final, Reading, reading_of
from transforms.testing.closeness import exactly
from transforms.testing.moments import Moment
from transforms.testing.panes import Told, Transform, applied, panes_of, tell
from transforms.testing.pasting import pasted
from transforms.testing.schedules import Record, in_time, schedule
from transforms.testing.shrinking import smallest
from transforms.testing.stories import Bundle, Story
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import to_micros


class StreamDiffers(AssertionError):  # noqa: N818  it says what happened, as a test report should
    """A story of which a stream tells something else than a batch, the smallest found, and a test that tells it."""

    def __init__(self, message: str, story: Story, test: str) -> None:
        super().__init__(message)
        self.story = story
        self.test = test


def check_batch_equals_stream(
    transform: Transform,
    records: Iterable[Any] | Story,
    policy: WindowPolicy | str | None = None,
    *,
    time: Callable[[Any], Moment] | None = None,
    final: Final | None = None,
    equal: Equal = exactly,
    repeats: bool = False,
    late_dropped: Transform | bool = False,
    schedules: int = 20,
    seed: int = 0,
) -> None:
    """Checks that a transform tells the same of a stream as of a batch, however late and disordered the stream is.

    `transform` takes records to one collection of answers: a PTransform, or a function that builds one. `records` are
    pairs of a moment and a value, or anything of which `time` gives the moment. They are given to the transform as a
    batch, in the order of their times, and as `schedules` streams, drawn by `seed`: shuffled, bunched, late, between
    steps of the watermark. What was told in the end about each window and key must be equal (`equal`).

    A stream keeps to what `policy` promises, by default the policy of the transform's own ApplyWindow: no record comes
    too late. With `repeats` some come twice, for a transform that puts repeated ones aside. With `late_dropped` some
    come when the lateness of all of their windows is over, and must change nothing; where it is a transform, that must
    tell as many answers as records came so, for example a Gate's `.late`.

    The final answer about a window and key (of pairs, the first) is the last where windows accumulate, the sum of all
    where they discard, and what `final` makes of the list of all where you give it. Of what is not grouped, everything
    that is told counts, in any order.

    Raises StreamDiffers, an AssertionError, with the smallest story found that shows a difference, as a test to paste.
    A story may be given for the records: it alone is told. Raises ValueError where policy or final must be given, and
    what the transform raises for the batch.

    >>> from transforms.counting import CountByValue
    >>> counts = ApplyWindow(WindowPolicy("10s", allowed_lateness="1m")) | CountByValue()
    >>> check_batch_equals_stream(counts, [("12:00:01", "a"), ("12:00:02", "b"), ("12:00:12", "a")], schedules=3)
    """
    __tracebackhide__ = True  # what pytest shows is the call, and what differs
    if schedules < 1:
        raise ValueError(f"schedules must be at least 1, got {schedules}; use 20")
    frame = inspect.currentframe()
    caller = frame.f_back if frame else None
    given = records.records if isinstance(records, Story) else _stamped(records, time)
    promised, windowing = _promise(transform, given, policy)
    check = _Check(transform, promised, windowing, final, equal, repeats, late_dropped)
    if isinstance(records, Story):
        check.require(records, "this story", caller)
        return
    for number in range(schedules):
        drawn = schedule(given, promised, f"{seed}:{number}", repeats=repeats, too_late=bool(late_dropped))
        check.require(drawn, f"schedule {number + 1} of {schedules}, seed {seed}", caller, shrink=True)


@dataclass
class _Check:
    """What is checked of each story."""

    transform: Transform
    policy: WindowPolicy
    windowing: Windowing
    final: Final | None
    equal: Equal
    repeats: bool
    late_dropped: Transform | bool
    began: float = field(default_factory=clock.time)  # in seconds since 1970
    _batches: dict[str, list[Told]] = field(default_factory=dict)

    def require(self, story: Story, which: str, caller: FrameType | None, *, shrink: bool = False) -> None:
        """Raises StreamDiffers where the stream tells something else than the batch."""
        __tracebackhide__ = True
        problem = self._problem(story)
        if problem and shrink:
            story, problem = smallest(story, problem, self._problem_if_any)
        if problem:
            test = pasted(story, caller, check_batch_equals_stream.__name__)
            name = getattr(self.transform, "label", None) or getattr(self.transform, "__name__", "the transform")
            raise StreamDiffers(
                f"{name} tells something else of a stream than of a batch ({which}):\n  {problem}\n"
                f"To tell it again, paste this test:\n\n{test}",
                story,
                test,
            )

    def _problem_if_any(self, story: Story) -> str | None:
        try:
            return self._problem(story)
        except Exception:  # noqa: BLE001  a smaller story on which the batch itself fails shows nothing
            return None

    def _problem(self, story: Story) -> str | None:
        kept = in_time(story, self.policy) if self.late_dropped else story.records
        batch = self._batch(kept, story)
        also = [] if isinstance(self.late_dropped, bool) else [self.late_dropped]
        try:
            stream, *late = tell(story, [self.transform, *also])
        except Exception as error:  # noqa: BLE001  whatever it raises, the batch did not
            return f"the stream fails with {type(error).__name__}: {error}"
        lost = len(story.records) - len(kept)
        if late and len(late[0]) != lost:
            return f"{lost} records come too late, and {len(late[0])} are told to be late"
        return self._now(batch + stream, story) or self._difference(batch, stream, story)

    def _now(self, told: list[Told], story: Story) -> str | None:
        """Whether something is told of the time of this check, of which there is no record."""
        for start, end in {(pane.start, pane.end) for pane in told if pane.start and pane.end}:
            begins, ends = story.micros_of(start), story.micros_of(end)
            now = begins <= to_micros(clock.time()) and to_micros(self.began) < ends
            if now and not any(begins <= time < ends for time, _ in story.records):
                return f"about {start} to {end}, which is now, and no record is: the clock was taken for event time"
        return None

    def _batch(self, records: list[Record], story: Story) -> list[Told]:
        """What is told of some records in the order of their times, each once where repeated ones are put aside."""
        ordered = {f"{record!r} {number * (not self.repeats)}": record for number, record in enumerate(records)}
        bundle = Bundle(tuple(sorted(ordered.values(), key=lambda record: (record[0], repr(record[1])))))
        if repr(bundle) not in self._batches:
            self._batches[repr(bundle)] = panes_of(self.transform, Story(story.day, (bundle,)), batch=True)
        return self._batches[repr(bundle)]

    def _difference(self, batch: list[Told], stream: list[Told], story: Story) -> str | None:
        reading = reading_of(batch, self.windowing, story, self.final, self.equal)
        by_batch, by_stream = reading.places(batch, story), reading.places(stream, story)
        for place in sorted(by_batch.keys() | by_stream.keys(), key=lambda place: tuple(part or "" for part in place)):
            expected, found = by_batch.get(place), by_stream.get(place)
            if not (expected and found and reading.equal(reading.answer(found), reading.answer(expected))):
                said = f"the stream tells {_said(found, reading)}\n    the batch tells {_said(expected, reading)}"
                return f"about {place}\n    {said}"
        return None


def _said(told: list[Told] | None, reading: Reading) -> str:
    if not told:
        return "nothing"
    panes = f" ({', '.join(f'{pane.timing}: {reading.answer([pane])!r}' for pane in told)})" if len(told) > 1 else ""
    return f"{reading.answer(told)!r}{panes}"


def _stamped(records: Iterable[Any], time: Callable[[Any], Moment] | None) -> list[Record]:
    pairs = [(time(record), record) for record in records] if time else list(records)
    if not pairs:
        raise ValueError("records must hold at least one, got none: give some that the transform may see")
    return [(Story().micros_of(moment), value) for moment, value in pairs]


def _promise(
    transform: Transform, records: list[Record], policy: WindowPolicy | str | None
) -> tuple[WindowPolicy, Windowing]:
    """The policy that holds for the records, and the windowing of the answers."""
    found: list[WindowPolicy] = []

    class Policies(PipelineVisitor):
        def enter_composite_transform(self, transform_node: Any) -> None:
            if isinstance(transform_node.transform, ApplyWindow):
                found.append(transform_node.transform.policy)

    pipeline = beam.Pipeline(runner="FnApiRunner")
    answers = applied(transform, pipeline | beam.Create([value for _, value in records]))
    pipeline.visit(Policies())
    if policy is None and len(set(found)) != 1:
        raise ValueError(
            f"a policy must say which records are in time, got {len(set(found))} in the transform: pass the one that "
            "holds for the records, such as policy='10s, lateness 1m'"
        )
    return (WindowPolicy.parse(policy) if isinstance(policy, str) else policy or found[0]), answers.windowing

"""What a transform tells, as plain data: each answer with its window and pane."""

from __future__ import annotations

import copy
import itertools
import weakref
from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple, TypeAlias

import apache_beam as beam
from apache_beam.utils.windowed_value import PaneInfo

from transforms.panes import describe
from transforms.schemas import EPOCH
from transforms.testing.moments import MICRO, text_of
from transforms.testing.stories import Story
from transforms.testing.telling import telling

Transform: TypeAlias = beam.PTransform | Callable[[beam.PCollection], beam.PCollection]


class Told(NamedTuple):
    """One answer: its window, when it was told, which answer of its window and key it is, and what it says."""

    start: str | None  # of the window, as a story writes moments; None where time is whole
    end: str | None
    timing: str  # a Timing; "unknown" where nothing was grouped since the records came
    index: int  # type: ignore[assignment]  # hides a method of tuples that nobody asks
    value: Any


class _Told(list[Told]):
    """A list that can be forgotten."""


_NUMBERS = itertools.count()
_LISTS: weakref.WeakValueDictionary[int, _Told] = weakref.WeakValueDictionary()


def panes_of(transform: Transform, story: Story, *, batch: bool = False, limit: float = 60.0) -> list[Told]:
    """What a transform tells when a story is told to it, in order, as plain data.

    `transform` takes the story's records to one collection: a PTransform, or a function such as `lambda records:
    records | …`. With `batch` the same records come as a bounded collection, in one go: no watermark, no clock.

    Raises StoryStuck where a pipeline does not end, after `limit` seconds where it waits for a clock.

    >>> from transforms.windowing import ApplyWindow, WindowPolicy
    >>> sums = ApplyWindow(WindowPolicy("10s", allowed_lateness="1m")) | beam.CombinePerKey(sum)
    >>> story = Story().at("12:00:01", ("a", 1)).watermark("12:00:10").at("12:00:02", ("a", 2))
    >>> for pane in panes_of(sums, story):
    ...     print(*pane)
    12:00:00 12:00:10 on time 0 ('a', 1)
    12:00:00 12:00:10 late 1 ('a', 2)
    """
    (told,) = tell(story, [transform], batch=batch, limit=limit)
    return told


def tell(
    story: Story, transforms: Sequence[Transform], *, batch: bool = False, limit: float = 60.0
) -> list[list[Told]]:
    """What each of several transforms tells, as `panes_of` does, in one pipeline."""
    with telling(story, limit=limit, batch=batch) as records:
        return [collect_panes(applied(transform, records), story.day) for transform in transforms]


def collect_panes(answers: beam.PCollection, day: str = Story.day) -> list[Told]:
    """The answers of a collection in a pipeline of your own: a list that is complete when the pipeline has run.

    The runner must be one in this process: FnApiRunner or BundleBasedDirectRunner.
    """
    number, told = next(_NUMBERS), _Told()
    _LISTS[number] = told
    _ = answers | f"Collect {number}" >> beam.ParDo(_Collect(number, day))
    return told


def applied(transform: Transform, records: beam.PCollection) -> beam.PCollection:
    """What a transform, or a function that builds one, makes of records."""
    step = transform if isinstance(transform, beam.PTransform) else _Made(transform)
    answers = records | f"Transform {next(_NUMBERS)}" >> step
    if not isinstance(answers, beam.PCollection):
        raise TypeError(
            f"a transform must tell its answers in one collection, got {type(answers).__name__}: choose one, as in "
            "lambda records: (records | …).late"
        )
    return answers


class _Made(beam.PTransform):
    """What a function builds."""

    def __init__(self, build: Callable[[beam.PCollection], beam.PCollection]) -> None:
        super().__init__()
        self._build = build

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return self._build(records)


class _Collect(beam.DoFn):
    """Tells the list of that number what came, once a bundle is over."""

    def __init__(self, number: int, day: str) -> None:
        self._number, self._day = number, day

    def start_bundle(self) -> None:
        self._told: list[Told] = []

    def process(
        self, value: Any, window: Any = beam.DoFn.WindowParam, pane: PaneInfo = beam.DoFn.PaneInfoParam
    ) -> None:
        told = describe(window, pane, final=False)
        # A copy, as a runner with more than one process makes: what is told must not change afterwards.
        self._told.append(
            Told(self._text(told.start), self._text(told.end), told.timing, told.index, copy.deepcopy(value))
        )

    def finish_bundle(self) -> None:
        told = _LISTS.get(self._number)
        if told is not None:
            told.extend(self._told)

    def _text(self, moment: datetime | None) -> str | None:
        return None if moment is None else text_of((moment - EPOCH) // MICRO, date.fromisoformat(self._day))

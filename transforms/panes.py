"""Answers with their panes: which window, which time round, and whether anything can still change it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, TypeAlias

import apache_beam as beam
from apache_beam.utils.windowed_value import PaneInfo, PaneInfoTiming

from transforms.schemas import EPOCH, register
from transforms.windowing import WindowPolicy, window_bounds

Timing: TypeAlias = Literal["early", "on time", "late", "unknown"]

_TIMINGS: dict[int, Timing] = {
    PaneInfoTiming.EARLY: "early",
    PaneInfoTiming.ON_TIME: "on time",
    PaneInfoTiming.LATE: "late",
    PaneInfoTiming.UNKNOWN: "unknown",
}


@register
@dataclass(frozen=True, slots=True)
class Pane:
    """One answer of a window among several: early ones, the one on time, and one more for each late record."""

    start: datetime | None  # of the window, in UTC; None where time is whole
    end: datetime | None
    index: int  # of the answers of a key and window, from 0
    timing: str  # a Timing
    final: bool  # nothing that comes later can change it


class WithPane(beam.PTransform):
    """Pairs each answer of a windowed aggregation with its pane: PCollection[T] -> PCollection[tuple[T, Pane]].

    Must follow the aggregation, with steps between them that neither group nor window. Without lateness the answer on
    time is final; where late records may come, AwaitFinal tells when none can any more.
    """

    def __init__(self, policy: WindowPolicy) -> None:
        super().__init__()
        self._waits = policy.allowed_lateness > 0

    def expand(self, answers: beam.PCollection) -> beam.PCollection:
        pair: Any = beam.typehints.Tuple[answers.element_type or Any, Pane]
        return answers | "Pane" >> beam.Map(_with_pane, self._waits).with_output_types(pair)


def _with_pane(
    answer: Any, waits: bool, window: Any = beam.DoFn.WindowParam, pane: PaneInfo = beam.DoFn.PaneInfoParam
) -> tuple[Any, Pane]:
    return answer, describe(window, pane, final=not waits and pane.timing != PaneInfoTiming.EARLY)


def describe(window: Any, pane: PaneInfo, *, final: bool) -> Pane:
    """A pane of Beam as plain data."""
    return Pane(*window_times(window), pane.index, _TIMINGS[pane.timing], final)


def window_times(window: Any) -> tuple[datetime | None, datetime | None]:
    """Start and end of a window of Beam, in UTC; None and None where time is whole."""
    start, end = (bound and EPOCH + timedelta(microseconds=bound.micros) for bound in window_bounds(window))
    return start, end

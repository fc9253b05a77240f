"""What a running pipeline does, as data: windows closed, records, late ones, and how far behind it is.

DStreams' StreamingListener, for Beam: counters of each step for the runner's own metrics, and a report for each answer
of each window, which goes wherever other data goes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import PaneInfo

from transforms.counting import CountByValue
from transforms.panes import describe
from transforms.progress import advance
from transforms.schemas import register


@register
@dataclass(frozen=True, slots=True)
class WindowReport:
    """One answer of a window: how many records it is of, and when it was told."""

    start: datetime | None  # of the window, in UTC; None where time is whole
    end: datetime | None
    timing: str  # early, on time, late or unknown
    index: int  # of the answers of the window, from 0
    records: int  # since the answer before, or in all where panes accumulate
    lag: (
        float | None
    )  # seconds from the window's end to the telling: of the answer on time, how far the watermark is behind


class Observe(beam.PTransform):
    """Reports each answer of each window of some records: PCollection[T] -> PCollection[WindowReport].

    Goes beside the aggregation, over the same windowed records, and costs one number a window and bundle.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        super().__init__()
        self._clock = clock

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return (
            records
            | "Any" >> beam.Map(_nothing).with_output_types(None)
            | "Count" >> CountByValue()
            | "Report" >> beam.Map(_report, self._clock).with_output_types(WindowReport)
        )


class CountStep(beam.PTransform):
    """Passes records on, and counts them in Beam's metrics under a name: PCollection[T] -> PCollection[T].

    Metrics repeat where a runner repeats a bundle; the ledger does not.
    """

    def __init__(self, step: str) -> None:
        super().__init__()
        self._step = step

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return records | "Count" >> beam.ParDo(_CountStep(self._step)).with_output_types(records.element_type or Any)


class _CountStep(beam.DoFn):
    def __init__(self, step: str) -> None:
        self._step = step

    def start_bundle(self) -> None:
        self._records = 0

    def process(self, record: Any) -> Iterator[Any]:
        self._records += 1
        yield record

    def finish_bundle(self) -> None:
        advance(self._step, self._records)


def _nothing(record: Any) -> None:
    del record


def _report(
    counted: tuple[None, int],
    clock: Callable[[], float],
    window: Any = beam.DoFn.WindowParam,
    pane: PaneInfo = beam.DoFn.PaneInfoParam,
) -> WindowReport:
    told = describe(window, pane, final=False)
    lag = None if told.end is None else clock() - told.end.timestamp()
    return WindowReport(told.start, told.end, told.timing, told.index, counted[1], lag)

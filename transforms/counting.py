"""How often each value comes, or any, exactly: DStreams' countByValue and countByWindow, for each window."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from transforms.windowing import counts_records


class CountByValue(beam.PTransform):
    """How often each value came in a window: PCollection[T] -> PCollection[tuple[T, int]].

    Values are counted before anything is shuffled, so that on every runner state and shuffle hold one number for each
    value, window and bundle; Beam's own Count holds every record where a runner does not combine early.
    """

    def expand(self, values: beam.PCollection) -> beam.PCollection:
        if counts_records(values.windowing):  # so records must come to the windows one by one
            return values | "Count" >> beam.combiners.Count.PerElement()
        counted: Any = beam.typehints.Tuple[values.element_type or Any, int]
        return (
            values
            | "CountBundle" >> beam.ParDo(_CountBundle()).with_output_types(counted)
            | "Sum" >> beam.CombinePerKey(sum).with_output_types(counted)
        )


class CountByWindow(beam.PTransform):
    """How many values came in a window: PCollection[T] -> PCollection[int]; of a window without values, nothing."""

    def expand(self, values: beam.PCollection) -> beam.PCollection:
        alike = values | "Alike" >> beam.Map(_alike).with_output_types(bool)
        return alike | "Count" >> CountByValue() | "Counts" >> beam.Values()


def _alike(value: Any) -> bool:  # noqa: ARG001
    return True


class _CountBundle(beam.DoFn):
    def start_bundle(self) -> None:
        self._counts: dict[Any, Counter[Any]] = defaultdict(Counter)

    def process(self, value: Any, window: Any = beam.DoFn.WindowParam) -> None:
        self._counts[window][value] += 1

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window, counts in self._counts.items():
            for counted in counts.items():
                # At the window's last moment, so that a count never precedes what it holds.
                yield WindowedValue(counted, window.max_timestamp(), [window])

"""One value of all in a window: DStreams' reduce and reduceByWindow."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import apache_beam as beam
from apache_beam.utils.windowed_value import WindowedValue

from transforms.windowing import counts_records

V = TypeVar("V")


class ReduceByWindow(beam.PTransform):
    """All values of a window made one, two at a time: PCollection[V] -> PCollection[V].

    `reduce` must be associative and commutative, and leave its arguments as they are. A window without values has no
    answer. Values are reduced before anything is shuffled, so that on every runner state and shuffle hold one value for
    each bundle and window. Windows that overlap much are cheaper by ReduceByKeyAndWindow, with one key.
    """

    def __init__(self, reduce: Callable[[V, V], V]) -> None:
        super().__init__()
        self._reduce = reduce

    def expand(self, values: beam.PCollection) -> beam.PCollection:
        kind = values.element_type or Any
        if not counts_records(values.windowing):  # where records must come to the windows one by one
            values = values | "ReduceBundle" >> beam.ParDo(_ReduceBundle(self._reduce)).with_output_types(kind)
        together = beam.CombineGlobally(functools.partial(_reduced, reduce=self._reduce)).without_defaults()
        return values | "Reduce" >> together.with_output_types(kind)


def _reduced(values: Iterable[V], reduce: Callable[[V, V], V]) -> V:
    return functools.reduce(reduce, values)


class _ReduceBundle(beam.DoFn):
    def __init__(self, reduce: Callable[[Any, Any], Any]) -> None:
        self._reduce = reduce

    def start_bundle(self) -> None:
        self._totals: dict[Any, Any] = {}

    def process(self, value: Any, window: Any = beam.DoFn.WindowParam) -> None:
        self._totals[window] = self._reduce(self._totals[window], value) if window in self._totals else value

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window, total in self._totals.items():
            # At the window's last moment, so that a total never precedes what it holds.
            yield WindowedValue(total, window.max_timestamp(), [window])

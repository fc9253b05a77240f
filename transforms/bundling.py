"""The items of a bundle, handled together: a vector costs little more than one item."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

import apache_beam as beam
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

_BATCH = 10_000  # items of a bundle that are handled together at most


class InBatches(beam.DoFn):
    """Gathers a bundle's items by window, and handles those of a window together; every item keeps its time.

    Beam's BatchElements would move them to the end of their window. `process` gives each item to `wait`.
    """

    def start_bundle(self) -> None:
        self._waiting: dict[Any, list[tuple[Any, Timestamp]]] = {}
        self._count = 0

    def wait(self, item: Any, time: Timestamp, window: Any) -> Iterator[WindowedValue]:
        self._waiting.setdefault(window, []).append((item, time))
        self._count += 1
        if self._count >= _BATCH:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        for window, waiting in self._waiting.items():
            items, times = map(list, zip(*waiting, strict=True))
            yield from self.handle(items, times, window)
        InBatches.start_bundle(self)

    @abstractmethod
    def handle(self, items: list[Any], times: list[Timestamp], window: Any) -> Iterator[WindowedValue]:
        """What comes of a window's items, each with its time."""

"""What a bundle wrote into a system, counted by window and told when the system has it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.windowed_value import WindowedValue

from transforms.schemas import WrittenFile


class Written:
    """Counts records by their windows, from the begin of a bundle to its end."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._records: Counter[Any] = Counter()

    def add(self, window: Any) -> None:
        """Counts a record of a window."""
        self._records[window] += 1

    @property
    def until(self) -> int:
        """The end of the latest of the windows, in microseconds since 1970."""
        return max((window.max_timestamp().micros for window in self._records), default=0)

    def told(self) -> Iterator[WindowedValue]:
        """For each window, in it, what was written where."""
        for window, records in self._records.items():
            at = GlobalWindow().start if isinstance(window, GlobalWindow) else window.max_timestamp()
            yield WindowedValue(WrittenFile(self._place, records), at, [window])

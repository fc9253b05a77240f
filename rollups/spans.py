"""Which spans are stored, and which of them answer a range."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from rollups.errors import StoreError
from rollups.query import EPOCH, rfc3339
from rollups.tree import Span, cover


@dataclass(frozen=True)
class StoredSpans:
    """The spans of a store at one moment.

    Of the windows from `first` to before `end` those before `floors[0]` are gone, and spans of a higher level before
    its floor; a level without one is whole, as all are from `top` on. Floors of higher levels lie no later.
    """

    window: int  # microseconds
    top: int
    first: int
    end: int
    stale: Collection[Span]
    floors: Mapping[int, int]

    def answering(self, first: int, end: int) -> Iterator[Span]:
        """The spans that hold the windows from `first` to before `end`, each window once, in order.

        Raises StoreError where that takes windows that are gone, naming the nearest bounds that do not.
        """
        for bound in (first, end):
            self._require_bound(bound)
        # Nothing lies outside of all windows, so that longer spans answer a range which goes up to there.
        first = first if first > self.first else self.first >> self.top << self.top
        end = end if end < self.end else -(-self.end >> self.top << self.top)
        for span in cover(first, end, self.top, lambda span: span not in self.stale):
            if span.end > self.first and span.first < self.end:
                yield span

    def nearest_bounds(self, bound: int) -> tuple[int, int]:
        """The latest bound of what is kept up to here, and the earliest from here on; both are `bound` if it is one."""
        if not self.first < bound < self.end:
            return bound, bound
        level = min(level for level in range(self.top + 1) if self.floors.get(level, bound) <= bound)
        return bound >> level << level, -(-bound >> level << level)

    def _require_bound(self, bound: int) -> None:
        near = self.nearest_bounds(bound)
        if near != (bound, bound):
            down, up = (self._told(place) for place in near)
            raise StoreError(
                f"a range must begin and end where what is kept does: single windows are kept from "
                f"{self._told(self.floors[0])} on, longer spans before; got {self._told(bound)}: use {down} or {up}"
            )

    def _told(self, place: int) -> str:
        return rfc3339(EPOCH + timedelta(microseconds=place * self.window))

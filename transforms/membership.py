"""Seen before? What one collection holds, asked of another, in fixed memory.

A Bloom says "no" with certainty and "yes" with a stated error, so every answer here errs to one side only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.bundling import InBatches
from transforms.combining import SketchCombineFn, globally, per_key
from transforms.sketches import DEFAULT, Hasher, Sketch
from transforms.sketches.bloom import Bloom

Key = Callable[[Any], Any]


def membership(capacity: int, error: float = 0.01, *, hasher: Hasher = DEFAULT) -> SketchCombineFn[Bloom, Bloom]:
    """Items of any kind that hashes -> the Bloom that holds them, which answers by itself: `item in bloom`.

    No item is ever denied; one that was not among up to `capacity` different ones is taken for one at the rate
    `error`. Raises ValueError where no Bloom is as exact.
    """
    make = partial(Bloom.for_error, capacity, error, hasher=hasher)
    make()
    return SketchCombineFn(make)


class Membership:
    """The Bloom of a collection, to look up the items of others."""

    Globally = staticmethod(globally(membership))
    PerKey = staticmethod(per_key(membership))


class DropSeen(beam.PTransform):
    """Drops the items that a Bloom holds: PCollection[T] -> PCollection[T].

    `seen` is a collection of one Bloom a window, as `Membership.Globally` makes; where it has none, nothing was seen.
    What the Bloom was given never passes; of the rest, the share `bloom.error_now()` is dropped as well. Items are
    looked up by `key(item)` where they are not what the Bloom was given.
    """

    _passes = False

    def __init__(self, seen: beam.PCollection, *, key: Key | None = None) -> None:
        super().__init__()
        self._seen, self._key = seen, key or itself

    def expand(self, items: beam.PCollection) -> beam.PCollection:
        bloom = self._seen | "Seen" >> beam.Map(_require_bloom).with_output_types(Sketch)
        one = beam.pvalue.AsSingleton(bloom, default_value=None)
        look_up = beam.ParDo(_LookUp(self._passes, self._key), one)
        return items | "LookUp" >> look_up.with_output_types(items.element_type)


class KeepSeen(DropSeen):
    """Keeps the items that a Bloom holds, and drops the others: PCollection[T] -> PCollection[T].

    `seen` is a collection of one Bloom a window, as `Membership.Globally` makes; where it has none, nothing was seen.
    What the Bloom was given always passes; of the rest, the share `bloom.error_now()` passes as well. Items are
    looked up by `key(item)` where they are not what the Bloom was given.
    """

    _passes = True


class _LookUp(InBatches):
    """Passes the items that are in the Bloom of their window, or those that are not."""

    def __init__(self, passes: bool, key: Key) -> None:
        self._passes, self._key = passes, key

    def start_bundle(self) -> None:
        super().start_bundle()
        self._blooms: dict[Any, Bloom | None] = {}

    def process(
        self,
        item: Any,
        bloom: Bloom | None,
        time: Timestamp = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[WindowedValue]:
        self._blooms[window] = bloom
        yield from self.wait(item, time, window)

    def handle(self, items: list[Any], times: list[Timestamp], window: Any) -> Iterator[WindowedValue]:
        bloom = self._blooms.pop(window)
        held = bloom.contains_many(list(map(self._key, items))) if bloom is not None else np.zeros(len(items), np.bool_)
        for place in np.flatnonzero(held == self._passes).tolist():
            yield WindowedValue(items[place], times[place], [window])


def itself(item: Any) -> Any:
    """The key of an item that is its own."""
    return item


def _require_bloom(seen: Any) -> Bloom:
    if not isinstance(seen, Bloom):
        raise ValueError(
            f"seen must be a collection of one Bloom, got {seen!r}: make it with Membership.Globally(capacity)"
        )
    return seen

"""What comes again, put aside: in fixed memory, with a stated error to one side only."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.metrics import Metrics
from apache_beam.transforms.timeutil import TimeDomain
from apache_beam.transforms.userstate import ReadModifyWriteStateSpec, TimerSpec, on_timer
from apache_beam.transforms.window import NonMergingWindowFn
from apache_beam.utils.timestamp import Duration, Timestamp
from apache_beam.utils.windowed_value import WindowedValue
from numpy.typing import NDArray

from transforms.bundling import InBatches
from transforms.combining import SketchCoder
from transforms.membership import Key, itself
from transforms.sketches import DEFAULT, Hasher
from transforms.sketches.bloom import Bloom
from transforms.timers import with_own_timers


class DeduplicateApproximately(beam.PTransform):
    """Puts aside what came before in its window: PCollection[T] -> `.fresh` and `.repeated`, each PCollection[T].

    A duplicate is always found: of equal keys exactly one item, the first to arrive, may be fresh. An item that never
    came before is taken for a duplicate with a probability of at most `error`, while a window has up to `capacity`
    different keys. So what is fresh is without duplicates, and what is lost of it lies in `.repeated`. The counter
    `expected_wrongly_repeated` tells how many those are likely to be, `beyond_capacity` how many items came as fresh
    when the error was higher than stated.

    Keys are what `key` makes of an item, or the items themselves, and may be of any kind that hashes. State is a
    sealed Bloom (`to_bytes`) a window and shard, in all some 1.3 bytes for each of `capacity` at 1 % (2 where it is
    1,000). It is read and written once for up to 10,000 items of a bundle, and cleared when the window and its allowed
    lateness are over; in the one global window it stays. Raises ValueError where no Bloom is as exact, and for session
    windows, which have no state while they merge.
    """

    def __init__(
        self,
        capacity: int,
        error: float = 0.01,
        *,
        key: Key | None = None,
        shards: int = 16,
        hasher: Hasher = DEFAULT,
    ) -> None:
        super().__init__()
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1 item, got {capacity}")
        if shards < 1:
            raise ValueError(f"shards must be at least 1, got {shards}; use as many as workers at most")
        share = capacity / shards
        # Chance spreads keys unevenly: a shard has room for five standard deviations above its share.
        self._make = partial(Bloom.for_error, math.ceil(share + 5 * math.sqrt(share)), error)
        self._make()
        self._error, self._key, self._shards, self._hasher = error, key or itself, shards, hasher

    def expand(self, items: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        windowing, kind = items.windowing, items.element_type
        if not isinstance(windowing.windowfn, NonMergingWindowFn):
            raise ValueError(
                f"windows that merge cannot be deduplicated, got {type(windowing.windowfn).__name__}: "
                "use fixed or sliding ones"
            )
        shard = _Shard(self._key, self._shards, self._hasher)
        remember = with_own_timers(_Remember(self._make, self._error, windowing.allowed_lateness), items)
        return (
            items
            | "Shard" >> beam.ParDo(shard).with_output_types(tuple[int, tuple[bytes, bytes, list[kind]]])  # type: ignore[valid-type]
            | "Remember"
            >> beam.ParDo(remember).with_output_types(kind, repeated=kind).with_outputs("repeated", main="fresh")
        )


class _Shard(InBatches):
    """Sends the items of a bundle and window to the shards of their keys: a batch is hashes, times, and items."""

    def __init__(self, key: Key, shards: int, hasher: Hasher) -> None:
        self._key, self._shards, self._hasher = key, shards, hasher

    def process(
        self, item: Any, time: Timestamp = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WindowedValue]:
        yield from self.wait(item, time, window)

    def handle(self, items: list[Any], times: list[Timestamp], window: Any) -> Iterator[WindowedValue]:
        hashes = self._hasher.hash_many(list(map(self._key, items)))
        micros = np.array([time.micros for time in times], "<i8")
        shards = hashes % np.uint64(self._shards)
        for shard in np.unique(shards).tolist():
            places = np.flatnonzero(shards == shard)
            batch = hashes[places].astype("<u8").tobytes(), micros[places].tobytes(), [items[at] for at in places]
            # At its earliest time, so that no item comes out behind the watermark that this batch holds.
            yield WindowedValue((shard, batch), Timestamp(micros=int(micros[places].min())), [window])


_SEEN = beam.DoFn.StateParam(ReadModifyWriteStateSpec("seen", SketchCoder()))
_EXPIRY = TimerSpec("expiry", TimeDomain.WATERMARK)
_EXPIRY_TIMER = beam.DoFn.TimerParam(_EXPIRY)


class _Remember(beam.DoFn):
    """Tells a batch's fresh items from the repeated ones, by a Bloom of all hashes of keys in the window and shard."""

    def __init__(self, make: Callable[[], Bloom], error: float, lateness: Duration) -> None:
        self._make, self._error, self._lateness = make, error, lateness
        self._wrongly = Metrics.counter("streamsketch.deduplication", "expected_wrongly_repeated")
        self._beyond = Metrics.counter("streamsketch.deduplication", "beyond_capacity")

    def process(
        self,
        sharded: tuple[int, tuple[bytes, bytes, list[Any]]],
        window: Any = beam.DoFn.WindowParam,
        seen: Any = _SEEN,
        expiry: Any = _EXPIRY_TIMER,
    ) -> Iterable[Any]:
        hashes, times, items = np.frombuffer(sharded[1][0], "<i8"), np.frombuffer(sharded[1][1], "<i8"), sharded[1][2]
        bloom = seen.read() or self._make()
        first = np.zeros(hashes.size, np.bool_)
        first[np.unique(hashes, return_index=True)[1]] = True
        fresh = first & ~bloom.contains_many(hashes)
        self._count(bloom.error_now(), hashes[fresh])
        if fresh.any():
            bloom.add_many(hashes[fresh])
            seen.write(bloom)
            expiry.set(window.max_timestamp() + self._lateness)
        for item, micros, is_fresh in zip(items, times.tolist(), fresh.tolist(), strict=True):
            # Not a TimestampedValue: Beam would put it into every window of its time again.
            told = WindowedValue(item, Timestamp(micros=micros), [window])
            yield told if is_fresh else beam.pvalue.TaggedOutput("repeated", told)

    @on_timer(_EXPIRY)
    def expire(self, seen: Any = _SEEN) -> None:
        seen.clear()

    def _count(self, error: float, fresh: NDArray[np.int64]) -> None:
        if not fresh.size:
            return
        # Of n items that never came before, n (1 - error) are fresh. Counters are whole: the rest is rounded up or down
        # by chance, which the hashes have, so that sums are right and a replay counts the same.
        wrongly = fresh.size * error / (1.0 - error)
        self._wrongly.inc(int(wrongly + int(fresh[0]) % 2**32 / 2**32))
        if error > self._error:
            self._beyond.inc(int(fresh.size))

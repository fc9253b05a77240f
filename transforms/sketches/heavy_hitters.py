"""The most frequent items: Misra-Gries counters that merge.

Sources: Misra and Gries, Finding repeated elements (1982); Agarwal, Cormode, Huang, Phillips, Wei and Yi, Mergeable
summaries (2012), whose merge cuts all counters by the largest one that has no place.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.sketches.canonical import canonical, column_of, value_of
from transforms.sketches.estimate import Estimate
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_LIMIT = 2**63
_LONGEST = 1024  # bytes of an item: items are kept whole, so this bounds memory
_HEADER = struct.Struct("<QQI")  # total, uncertainty, counters
_TEXT = ord("s")  # the tag of texts
_NUMBERS = b"bif"  # any 8 bytes are one
_COUNTER = struct.Struct("<QH")  # count, bytes of the item that follows


class HeavyHitters(Sketch):
    """The items that make up most of a stream, with their counts, in `capacity` counters and the items themselves.

    Every item that is more than total / (capacity + 1) of the stream is held. True counts lie between an answer's low
    and high, with certainty; high - low is at most total / (capacity + 1). While no more than `capacity` different
    items have come, counts are exact and equal contents have equal bytes. Items are told apart as hashing tells them
    (1, True, 1.0 and "1" are four) and come back as Python values. Raises ValueError for a capacity below 1 and for
    items over 1 KiB.

    >>> tags = HeavyHitters(capacity=100)
    >>> tags.add_many(["beam", "beam", "flink"])
    >>> [(tag, count.value) for tag, count in tags.top(2)]
    [('beam', 2.0), ('flink', 1.0)]
    """

    KIND: ClassVar[str] = "heavy_hitters"

    def __init__(self, capacity: int = 100) -> None:
        if not 1 <= capacity < 2**24:
            raise ValueError(f"capacity must be from 1 to 2^24 - 1 counters, got {capacity}; 100 is sure to 1 %")
        self._capacity = int(capacity)
        self._counts: dict[bytes, int] = {}  # by the item's canonical bytes, the tag last; each a lower bound
        self._uncertainty = 0  # what has been cut from every counter: a true count is at most this much more
        self._total = 0

    @classmethod
    def for_error(cls, error: float) -> Self:
        """The smallest sketch whose counts are sure to `error` of the total, and which holds all items above that.

        >>> HeavyHitters.for_error(0.001).parameters
        {'capacity': 999}
        """
        if not 0.0 < error < 1.0:
            raise ValueError(f"error must be between 0 and 1, relative to the total, got {error}; use 0.01 for 1 %")
        return cls(max(1, -int(-1 // error) - 1))

    @property
    def parameters(self) -> Parameters:
        return {"capacity": self._capacity}

    @property
    def total(self) -> int:
        """How many items were added; exact."""
        return self._total

    @property
    def uncertainty(self) -> int:
        """How far a count may be off: 0 while all different items fit, at most total / (capacity + 1)."""
        return self._uncertainty

    @property
    def prepare(self) -> Callable[[Any], pa.Array]:
        return _encoded

    def add_many(self, values: Any) -> None:
        """Adds values of any kind that hashes; raises ValueError for missing or overlong ones and adds nothing."""
        items = values if isinstance(values, pa.Array | pa.ChunkedArray | np.ndarray) else list(values)
        column = column_of(items)
        if column is not None:
            self._absorb(*_counted(column, self._capacity))
        else:
            counts = Counter(map(_key, items))
            self._absorb(counts, counts.total(), 0)

    def merge(self, other: Self) -> None:
        self._require_alike(other)
        self._absorb(other._counts, other._total, other._uncertainty)

    def top(self, n: int) -> list[tuple[Any, Estimate]]:
        """The n items with the largest counts, largest first, equal ones in order of their bytes; fewer if unknown.

        The value is the upper bound, which is the true count of an item that was held from the start.
        """
        if n < 1:
            raise ValueError(f"n must be at least 1 item, got {n}")
        largest = sorted(self._counts.items(), key=lambda counter: (-counter[1], counter[0]))[:n]
        return [(value_of(key[:-1], key[-1]), self._between(count)) for key, count in largest]

    def count(self, item: Any) -> Estimate:
        """How often an item came."""
        return self._between(self._counts.get(_key(item), 0))

    def lower_counts(self) -> dict[Any, int]:
        """All items that are held, each with the count that it has for certain."""
        return {value_of(key[:-1], key[-1]): count for key, count in self._counts.items()}

    def memory(self) -> int:
        return sum(map(len, self._counts)) + 8 * len(self._counts)

    def _between(self, count: int) -> Estimate:
        high = float(count + self._uncertainty)
        return Estimate(high, float(count), high, 1.0)

    def _absorb(self, counts: dict[bytes, int], total: int, uncertainty: int) -> None:
        """Adds counts, then cuts all by the largest that has no place, so that at most `capacity` are left."""
        if self._total + total >= _LIMIT:
            raise OverflowError(f"the total must stay below 2^63, got {self._total} and {total}: count larger units")
        ours = self._counts
        for key, count in counts.items():
            ours[key] = ours.get(key, 0) + count
        if len(ours) > self._capacity:
            cut = sorted(ours.values(), reverse=True)[self._capacity]
            self._counts = {key: count - cut for key, count in ours.items() if count > cut}
            uncertainty += cut
        self._total += total
        self._uncertainty += uncertainty

    def _payload(self) -> bytes:
        def parts() -> Iterable[bytes]:
            yield _HEADER.pack(self._total, self._uncertainty, len(self._counts))
            for key, count in sorted(self._counts.items()):
                yield _COUNTER.pack(count, len(key))
                yield key

        return b"".join(parts())

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        sketch = cls(int(parameters["capacity"]))
        sketch._total, sketch._uncertainty, size = _HEADER.unpack_from(payload)
        at, previous = _HEADER.size, b""
        for _ in range(size):
            count, length = _COUNTER.unpack_from(payload, at)
            start, at = at + _COUNTER.size, at + _COUNTER.size + length
            key = payload[start:at]
            if key <= previous or not count:
                raise ValueError("counters must be whole, sorted by item, and above 0")
            sketch._counts[key], previous = count, key
        _require_items(sketch._counts)
        if at != len(payload) or size > sketch._capacity:
            raise ValueError(f"{len(payload)} bytes are not {size} counters of at most {sketch._capacity}")
        # Each cut took as much from this many counters, and from the item that had no place.
        if sum(sketch._counts.values()) + sketch._uncertainty * (sketch._capacity + 1) > sketch._total:
            raise ValueError("counters and what was cut from them must not come to more than their total")
        return sketch


def _require_items(keys: Iterable[bytes]) -> None:
    """Raises ValueError where a key is no item. Texts are read together: a line break ends whatever is cut short."""
    texts: list[bytes] = []
    for key in keys:
        if key[-1] == _TEXT:
            texts.append(key)
        elif key[-1] not in _NUMBERS or len(key) != 9:
            value_of(key[:-1], key[-1])
    b"\n".join(texts).decode()


def _key(item: Any) -> bytes:
    payload, tag = canonical(item)
    _require_short(len(payload))
    return payload + bytes([tag])


def _counted(column: pa.Array, capacity: int) -> tuple[dict[bytes, int], int, int]:
    """Counts of a column's values, their total, and what was cut from them all to leave at most `capacity`."""
    if _has_length(column.type):
        _require_short(pc.max(pc.binary_length(column)).as_py() or 0)
    table, cut = pc.value_counts(column), 0
    numbers = table.field("counts").to_numpy()
    if numbers.size > capacity:  # leave behind what has no place, before it becomes Python values
        cut = int(np.partition(numbers, -capacity - 1)[-capacity - 1])
        kept = numbers > cut
        table, numbers = table.filter(pa.array(kept)), numbers[kept] - cut
    counts: dict[bytes, int] = {}
    for item, number in zip(table.field("values").to_pylist(), numbers.tolist(), strict=True):
        key = _key(item)
        counts[key] = counts.get(key, 0) + number  # 0.0 and -0.0 are one
    return counts, len(column), cut


def _encoded(values: pa.Array) -> pa.Array:
    return values if pa.types.is_dictionary(values.type) else values.dictionary_encode()


def _has_length(kind: pa.DataType) -> bool:
    return any(test(kind) for test in (pa.types.is_string, pa.types.is_large_string, pa.types.is_large_binary))


def _require_short(length: int) -> None:
    if length > _LONGEST:
        raise ValueError(f"an item must have at most {_LONGEST} bytes, got {length}: cut it, or add its hash")

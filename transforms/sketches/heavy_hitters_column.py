"""A column of heavy hitters: the counters of all in one array, the items of all once each."""

# ruff: noqa: SLF001 - a column is made of what its sketches are made of

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.sketches.answers import estimate_array, list_array
from transforms.sketches.canonical import MISSING
from transforms.sketches.canonical_columns import tagged, untagged
from transforms.sketches.cells import ranked, summed
from transforms.sketches.heavy_hitters import _LONGEST, HeavyHitters, _require_short
from transforms.sketches.narrow import pack_narrow, unpack_narrow
from transforms.sketches.sketch_column import Groups, SketchColumn

_Whole = NDArray[np.int64]

_ITEMS = struct.Struct("<Q")  # how many different items the column has


class _Counters(NamedTuple):
    """Counts of items in groups: the group of each, the number of the item, and how often it came."""

    group: Groups
    item: NDArray[np.intp]
    times: _Whole


class HeavyHittersColumn(SketchColumn):
    """The most frequent items of many groups: 24 bytes a counter, and each item once for all groups."""

    KIND: ClassVar[str] = "heavy_hitters_column"
    empty: HeavyHitters

    def __init__(
        self, empty: Any, totals: _Whole, cut: _Whole, counters: _Counters, items: pa.LargeBinaryArray
    ) -> None:
        super().__init__(empty, totals.size)
        self._totals = totals
        self._cut = cut  # how much less than the truth a count may be, by sketch
        self._counters = counters  # sorted by group and item
        self._items = items  # canonical bytes and tag, sorted; each is used

    @classmethod
    def of(cls, empty: Any, values: Any, groups: Groups, size: int) -> Self:
        column = values if pa.types.is_dictionary(values.type) else values.dictionary_encode()
        if column.null_count:
            raise ValueError(MISSING)
        different, codes = column.dictionary, column.indices.to_numpy().astype(np.intp)
        limit = max(len(different), 1)
        cells, counts = summed(groups * limit + codes, None, size * limit)
        group, code = np.divmod(cells, limit)
        code, present = ranked(code, limit)
        items = tagged(different.take(pa.array(present)))
        _require_short(max(0, (pc.max(pc.binary_length(items)).as_py() or 0) - 1))
        totals = np.bincount(groups, minlength=size)
        return cls._settled(empty, totals, np.zeros(size, np.int64), _Counters(group, code, counts), items)

    @classmethod
    def _united(cls, empty: Any, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        totals, cut = np.zeros(size, np.int64), np.zeros(size, np.int64)
        for part, places in parts:
            totals[places] += part._totals
            cut[places] += part._cut
            if (totals < 0).any():
                raise OverflowError("the total of a sketch must stay below 2^63: count larger units")
        groups = [places[part._counters.group] for part, places in parts]
        starts = np.cumsum([0, *(len(part._items) for part, _ in parts)])
        codes = [part._counters.item + start for (part, _), start in zip(parts, starts, strict=False)]
        counts = [part._counters.times for part, _ in parts]
        counters = _Counters(*map(np.concatenate, (groups, codes, counts)))
        return cls._settled(empty, totals, cut, counters, pa.concat_arrays([part._items for part, _ in parts]))

    @classmethod
    def _settled(cls, empty: Any, totals: _Whole, cut: _Whole, counters: _Counters, items: pa.LargeBinaryArray) -> Self:
        """The column of counters in any order and of items which may repeat; what has no place is cut from all."""
        size, encoded = totals.size, items.dictionary_encode()
        items, limit = encoded.dictionary, max(len(encoded.dictionary), 1)
        item = encoded.indices.to_numpy().astype(np.intp)[counters.item]
        cells, count = summed(counters.group * limit + item, counters.times, size * limit)
        group, item = np.divmod(cells, limit)
        capacity = empty._capacity
        if (np.bincount(group, minlength=size) > capacity).any():
            order = np.lexsort((-count, group))
            starts = np.searchsorted(group, np.arange(size))
            over = np.flatnonzero(np.diff(starts, append=group.size) > capacity)
            least = np.zeros(size, np.int64)
            least[over] = count[order[starts[over] + capacity]]
            kept = count > least[group]
            group, item, count, cut = group[kept], item[kept], (count - least[group])[kept], cut + least
        item, used = ranked(item, limit)
        items = items.take(pa.array(used))
        order = pc.array_sort_indices(items)
        rank = np.empty(len(order), np.intp)
        rank[order.to_numpy()] = np.arange(len(order))
        cells, count = summed(group * limit + rank[item], count, size * limit)
        return cls(empty, totals, cut, _Counters(*np.divmod(cells, limit), count), items.take(order))

    def top(self, n: int) -> pa.ListArray:
        """The n items with the largest counts of each, as HeavyHitters.top; ValueError for items of two kinds."""
        self.empty.top(n)  # raises where n is no number of items
        group, item, count = self._counters
        order = np.lexsort((item, -count, group))
        group, item, count = group[order], item[order], count[order]
        first = np.arange(group.size) - np.searchsorted(group, group) < n
        group, item, low = group[first], item[first], count[first].astype(np.float64)
        item, used = ranked(item, max(len(self._items), 1))
        labels = untagged(self._items.take(pa.array(used))).take(pa.array(item))
        high = low + self._cut[group]
        return list_array(np.bincount(group, minlength=len(self)), "item", labels, estimate_array(high, low, high, 1.0))

    def sketch(self, place: int) -> HeavyHitters:
        sketch = self.empty.copy()
        here = slice(*np.searchsorted(self._counters.group, [place, place + 1]).tolist())
        items = self._items.take(pa.array(self._counters.item[here])).to_pylist()
        sketch._counts = dict(zip(items, self._counters.times[here].tolist(), strict=True))
        sketch._total, sketch._uncertainty = int(self._totals[place]), int(self._cut[place])
        return sketch

    def memory(self) -> int:
        return 2 * self._totals.nbytes + sum(array.nbytes for array in self._counters) + int(self._items.nbytes)

    def _pieces(self) -> list[bytes]:
        group, item, count = self._counters
        sizes = np.bincount(group, minlength=len(self))
        lengths = pc.binary_length(self._items).to_numpy()
        numbers = [pack_narrow(array) for array in (self._totals, self._cut, sizes, item, count, lengths)]
        return [_ITEMS.pack(len(self._items)), *numbers, b"".join(self._items.to_pylist())]

    @classmethod
    def _restore(cls, empty: Any, size: int, pieces: list[bytes]) -> Self:
        number, *packed, data = pieces
        (different,) = _ITEMS.unpack(number)
        totals, cut, sizes = (unpack_narrow(piece, size) for piece in packed[:3])
        filled = sum(sizes.tolist())
        item, count = (unpack_narrow(piece, filled) for piece in packed[3:5])
        lengths = unpack_narrow(packed[5], different)
        if sum(lengths.tolist()) != len(data) or lengths.max(initial=1) > _LONGEST + 1:
            raise ValueError(f"{different} items must take {len(data)} bytes, and at most {_LONGEST} each")
        ends = pa.py_buffer(np.concatenate([[0], lengths.cumsum()]))
        items = pa.Array.from_buffers(pa.large_binary(), different, [None, ends, pa.py_buffer(data)])
        untagged(items)  # raises where one is no item
        group = np.repeat(np.arange(size), sizes)
        if item.max(initial=-1) >= different or ((group[1:] == group[:-1]) & (item[1:] <= item[:-1])).any():
            raise ValueError("the counters of a sketch must be sorted by item")
        if not count.all() or sizes.max(initial=0) > empty._capacity:
            raise ValueError(f"a sketch must have at most {empty._capacity} counters, each above 0")
        # Each cut took as much from this many counters, and from the item that had no place.
        most = totals - cut * (empty._capacity + 1)
        sums = np.bincount(group, count, size)  # in floats, which do not overflow
        if (cut > totals // (empty._capacity + 1)).any() or (sums > most * (1.0 + 2.0**-50)).any():
            raise ValueError("counters and what was cut from them must not come to more than their total")
        return cls(empty, totals, cut, _Counters(group, item, count), items)

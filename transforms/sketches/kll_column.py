"""A column of Klls: the values of small ones end to end in one array, large ones as they are."""

# ruff: noqa: SLF001 - a column is made of what its sketches are made of

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.answers import estimate_array, list_array
from transforms.sketches.columns import float_column
from transforms.sketches.kll import Kll
from transforms.sketches.narrow import pack_narrow, unpack_narrow
from transforms.sketches.ranks import places_of
from transforms.sketches.sketch_column import Groups, SketchColumn
from transforms.sketches.sorting import stable_order

_Floats = NDArray[np.float64]


class KllColumn(SketchColumn):
    """Quantiles of many groups, exact up to k values: 8 bytes for each of these."""

    KIND: ClassVar[str] = "kll_column"
    empty: Kll

    def __init__(self, empty: Any, sizes: NDArray[np.int64], values: _Floats, large: dict[int, Kll]) -> None:
        super().__init__(empty, sizes.size)
        self._ends = np.concatenate([[0], sizes.cumsum()])  # where the values of each begin, and end
        self._values = values  # sorted within each; a large one has none here
        self._large = large  # by place; never changed

    @classmethod
    def of(cls, empty: Any, values: Any, groups: Groups, size: int) -> Self:
        return cls._settled(empty, float_column(values) + 0.0, groups, {}, size)  # -0.0 is 0.0

    @classmethod
    def _united(cls, empty: Any, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        large: dict[int, Kll] = {}
        for part, places in parts:
            for place, sketch in part._large.items():
                to = int(places[place])
                if to in large:
                    large[to].merge(sketch)
                else:
                    large[to] = sketch.copy()
        values = np.concatenate([part._values for part, _ in parts])
        groups = np.concatenate([np.repeat(places, np.diff(part._ends)) for part, places in parts])
        return cls._settled(empty, values, groups, large, size)

    @classmethod
    def _settled(cls, empty: Any, values: _Floats, groups: Groups, large: dict[int, Kll], size: int) -> Self:
        """The column of values in any order, and of large sketches of its own, to which values may belong."""
        sizes = np.bincount(groups, minlength=size)
        grown = sizes > empty._k
        grown[list(large)] = True
        if grown.any():
            if size > 1:
                order = stable_order(groups, size)
                values, groups = values[order], groups[order]
            starts = np.concatenate([[0], sizes.cumsum()])
            for place in np.flatnonzero(grown).tolist():
                large.setdefault(place, empty.copy()).add_many(values[starts[place] : starts[place + 1]])
            values, groups = values[~grown[groups]], groups[~grown[groups]]
            sizes[grown] = 0
        return cls(empty, sizes, values[np.lexsort((values, groups))], dict(sorted(large.items())))

    def quantiles(self, *qs: float) -> pa.ListArray:
        """The values at several ranks of each, as Kll.quantiles."""
        sizes = np.diff(self._ends)
        parts = np.zeros((4, len(self), len(qs)))  # value, low, high and confidence
        small = sizes > 0
        for number, q in enumerate(qs):
            parts[:3, small, number] = self._values[self._ends[:-1][small] + places_of(q, sizes[small]) - 1]
        parts[3] = 1.0
        for place, sketch in self._large.items():
            answers = sketch.quantiles(*qs)
            parts[:, place] = np.transpose([astuple(answers[q]) for q in qs])
        small[list(self._large)] = True
        labels = pa.array(np.tile(np.array(qs, np.float64), int(small.sum())))
        return list_array(small * len(qs), "q", labels, estimate_array(*parts[:, small].reshape(4, -1)))

    def sketch(self, place: int) -> Kll:
        if place in self._large:
            return self._large[place].copy()
        sketch = self.empty.copy()
        values = self._values[self._ends[place] : self._ends[place + 1]].copy()
        if values.size:
            sketch._levels = [values]
            sketch._min, sketch._max = float(values[0]), float(values[-1])
        return sketch

    def memory(self) -> int:
        return self._ends.nbytes + self._values.nbytes + sum(sketch.memory() for sketch in self._large.values())

    def _pieces(self) -> list[bytes]:
        sizes = np.diff(self._ends)
        sizes[list(self._large)] = self.empty._k + 1  # which no small one has
        large = [sketch._payload() for sketch in self._large.values()]
        return [pack_narrow(sizes), self._values.astype("<f8").tobytes(), *large]

    @classmethod
    def _restore(cls, empty: Any, size: int, pieces: list[bytes]) -> Self:
        packed, numbers, *payloads = pieces
        most, sizes = empty._k, unpack_narrow(packed, size)
        if size and sizes.max() > most + 1:
            raise ValueError(f"a small sketch must have at most {most} values, got {sizes.max()}")
        places = np.flatnonzero(sizes == most + 1)
        sizes[places] = 0
        if len(numbers) != 8 * int(sizes.sum()):
            raise ValueError(f"{sizes.sum()} values must take 8 bytes each, got {len(numbers)}")
        values, groups = np.frombuffer(numbers, "<f8").astype(np.float64), np.repeat(np.arange(size), sizes)
        if np.isnan(values).any() or ((groups[1:] == groups[:-1]) & (values[1:] < values[:-1])).any():
            raise ValueError("the values of a sketch must be sorted numbers")
        large = [empty._restore(empty.parameters, payload) for payload in payloads]
        return cls(empty, sizes, values, dict(zip(places.tolist(), large, strict=True)))

"""A column of counts: one array."""

# ruff: noqa: SLF001 - a column is made of what its sketches are made of

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.count import Count
from transforms.sketches.narrow import pack_narrow, unpack_narrow
from transforms.sketches.sketch import Sketch
from transforms.sketches.sketch_column import Groups, SketchColumn


class CountColumn(SketchColumn):
    """How many items each group has, 8 bytes a group and mostly 1 or 2 stored."""

    KIND: ClassVar[str] = "count_column"

    def __init__(self, empty: Sketch, counts: NDArray[np.int64]) -> None:
        super().__init__(empty, counts.size)
        self._counts = counts

    @classmethod
    def of(cls, empty: Sketch, values: Any, groups: Groups, size: int) -> Self:
        del values
        return cls(empty, np.bincount(groups, minlength=size))

    @classmethod
    def _united(cls, empty: Sketch, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        counts = np.zeros(size, np.int64)
        for column, places in parts:
            counts[places] += column._counts
            if (counts < 0).any():
                raise OverflowError("a count must stay below 2^63: begin another")
        return cls(empty, counts)

    @property
    def count(self) -> pa.Array:
        """How many items each has."""
        return pa.array(self._counts)

    def sketch(self, place: int) -> Count:
        count = Count()
        count._count = int(self._counts[place])
        return count

    def memory(self) -> int:
        return self._counts.nbytes

    def _pieces(self) -> list[bytes]:
        return [pack_narrow(self._counts)]

    @classmethod
    def _restore(cls, empty: Sketch, size: int, pieces: list[bytes]) -> Self:
        (counts,) = pieces
        return cls(empty, unpack_narrow(counts, size))

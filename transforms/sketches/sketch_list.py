"""A column of sketches of any kind: the sketches themselves."""

# ruff: noqa: SLF001 - the content of the sketches is what is stored

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa

from transforms.sketches.sketch import Sketch
from transforms.sketches.sketch_column import Groups, SketchColumn
from transforms.sketches.sorting import stable_order


class SketchList(SketchColumn):
    """One object a sketch, where no arithmetic of whole arrays is written for its kind; stored without its envelope."""

    KIND: ClassVar[str] = "sketch_list"

    def __init__(self, empty: Sketch, sketches: list[Sketch]) -> None:
        super().__init__(empty, len(sketches))
        self._sketches = sketches  # shared with other columns, so never changed

    @classmethod
    def of(cls, empty: Sketch, values: Any, groups: Groups, size: int) -> Self:
        values, sketches = empty.prepare(values), [empty] * size
        order = stable_order(groups, size)
        values, start = values.take(pa.array(order)), 0
        for place, count in enumerate(np.bincount(groups, minlength=size).tolist()):
            if count:
                sketches[place] = empty.copy()
                sketches[place].add_many(values.slice(start, count))
                start += count
        return cls(empty, sketches)

    @classmethod
    def _united(cls, empty: Sketch, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        sketches: list[Sketch] = [empty] * size
        ours: set[int] = set()
        for column, places in parts:
            for place, sketch in zip(places.tolist(), column._sketches, strict=True):
                if sketches[place] is empty:
                    sketches[place] = sketch
                elif sketch is not empty:
                    if place not in ours:
                        sketches[place] = sketches[place].copy()
                        ours.add(place)
                    sketches[place].merge(sketch)
        return cls(empty, sketches)

    def sketch(self, place: int) -> Any:
        return self._sketches[place].copy()

    def memory(self) -> int:
        return sum(sketch.memory() for sketch in self._sketches)

    def _pieces(self) -> list[bytes]:
        return [sketch._payload() for sketch in self._sketches]

    @classmethod
    def _restore(cls, empty: Sketch, size: int, pieces: list[bytes]) -> Self:
        if len(pieces) != size:
            raise ValueError(f"there must be {size} sketches, got {len(pieces)}")
        return cls(empty, [empty._restore(empty.parameters, piece) for piece in pieces])

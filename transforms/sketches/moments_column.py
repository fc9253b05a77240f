"""A column of moments: an array for each of their sums, and for the extremes."""

# ruff: noqa: SLF001 - a column is made of what its sketches are made of

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from transforms.sketches.columns import finite_column
from transforms.sketches.moments import _LAYOUT, _TOO_WIDE, Moments
from transforms.sketches.sketch_column import Groups, SketchColumn

# A row of these is what a sketch stores.
_ROW = np.dtype(
    [("count", "<u8")]
    + [(name, "<f8") for name in ("mean", "squares", "cubes", "least", "most")]
    + [(f"{name}_unknown", "?") for name in ("least", "most")]
)


class MomentsColumn(SketchColumn):
    """Count, mean, variance, skewness and extremes of many groups, 50 bytes each."""

    KIND: ClassVar[str] = "moments_column"

    def __init__(self, empty: Any, rows: NDArray[np.void]) -> None:
        super().__init__(empty, rows.size)
        self._rows = rows

    @classmethod
    def of(cls, empty: Any, values: Any, groups: Groups, size: int) -> Self:
        column, rows = finite_column(values), _no_rows(size)
        count = np.bincount(groups, minlength=size)
        some = np.maximum(count, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.bincount(groups, column, size) / some
            mean += np.bincount(groups, column - mean[groups], size) / some  # what rounding took from so long a sum
            differences = column - mean[groups]
            squares = differences * differences
            rows["count"], rows["mean"], rows["squares"] = count, mean, np.bincount(groups, squares, size)
            rows["cubes"] = np.bincount(groups, squares * differences, size)
        for name, lower in (("least", np.minimum), ("most", np.maximum)):
            extremes = rows[name].copy()  # side by side, for speed
            lower.at(extremes, groups, column)
            rows[name] = extremes
        return cls(empty, _finite(rows))

    @classmethod
    def _united(cls, empty: Any, parts: Sequence[tuple[Self, Groups]], size: int) -> Self:
        rows = _no_rows(size)
        for part, places in parts:
            rows[places] = _merged(rows[places], part._rows)
        return cls(empty, _finite(rows))

    @property
    def count(self) -> pa.Array:
        """How many numbers each has."""
        return pa.array(self._rows["count"].astype(np.int64))

    @property
    def mean(self) -> pa.Array:
        """The average of each; NaN where there is none."""
        return pa.array(np.where(self._rows["count"] > 0, self._rows["mean"], np.nan))

    @property
    def min(self) -> pa.Array:
        """The least value of each; null where there is none, or it may have been subtracted."""
        return pa.array(self._rows["least"], mask=self._rows["least_unknown"] | (self._rows["count"] == 0))

    @property
    def max(self) -> pa.Array:
        """The greatest value of each; null where there is none, or it may have been subtracted."""
        return pa.array(self._rows["most"], mask=self._rows["most_unknown"] | (self._rows["count"] == 0))

    def sketch(self, place: int) -> Moments:
        return Moments._restore({}, self._rows[place].tobytes())

    def memory(self) -> int:
        return self._rows.nbytes

    def _pieces(self) -> list[bytes]:
        return [self._rows.tobytes()]

    @classmethod
    def _restore(cls, empty: Any, size: int, pieces: list[bytes]) -> Self:
        (data,) = pieces
        if len(data) != size * _LAYOUT.size:
            raise ValueError(f"{size} rows must take {size * _LAYOUT.size} bytes, got {len(data)}")
        flags = np.frombuffer(data, np.uint8).reshape(size, _LAYOUT.size)[:, -2:]
        rows = np.frombuffer(data, _ROW)
        finite = np.isfinite([rows[name] for name in ("mean", "squares", "cubes")]).all()
        if not finite or (rows["squares"] < 0.0).any() or (rows["count"] >= 2**63).any() or (flags > 1).any():
            raise ValueError("sums must be finite, squares and counts not negative, and flags 0 or 1")
        if np.isnan(rows["least"]).any() or np.isnan(rows["most"]).any():
            raise ValueError("extremes must be numbers")
        return cls(empty, rows)


def _no_rows(size: int) -> NDArray[np.void]:
    rows = np.zeros(size, _ROW)
    rows["least"], rows["most"] = np.inf, -np.inf
    return rows


def _merged(ours: NDArray[np.void], theirs: NDArray[np.void]) -> NDArray[np.void]:
    """Pebay's update of each row, as in the sketch."""
    merged = ours.copy()
    here, there = ours["count"].astype(np.float64), theirs["count"].astype(np.float64)
    total = np.maximum(here + there, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        step = theirs["mean"] - ours["mean"]
        pull = step * there / total * here
        mean = ours["mean"] + step * there / total
        squares = ours["squares"] + theirs["squares"] + step * pull
        cubes = ours["cubes"] + theirs["cubes"] + step * step * pull * ((here - there) / total)
        cubes += 3.0 * step * (here * theirs["squares"] - there * ours["squares"]) / total
    merged["count"] += theirs["count"]
    if (merged["count"] >= 2**63).any():
        raise OverflowError("moments must be of fewer than 2^63 values: begin another")
    for name, sums in (("mean", mean), ("squares", squares), ("cubes", cubes)):
        merged[name] = np.where(there == 0, ours[name], np.where(here == 0, theirs[name], sums))  # nothing to round
    for name, better in (("least", np.less), ("most", np.greater)):
        unknown = f"{name}_unknown"
        equal = theirs[name] == ours[name]
        merged[name] = np.where(better(theirs[name], ours[name]), theirs[name], ours[name])
        merged[unknown] = np.where(better(theirs[name], ours[name]), theirs[unknown], ours[unknown])
        merged[unknown] &= ~equal | theirs[unknown]  # of equal extremes one that is known counts
    return merged


def _finite(rows: NDArray[np.void]) -> NDArray[np.void]:
    if not np.isfinite([rows[name] for name in ("mean", "squares", "cubes")]).all():
        raise OverflowError(_TOO_WIDE)
    return rows

"""A declared range of numbers, cut into cells that keep their order."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.columns import number_column

_WHOLE = np.array([-(2.0**63), 2.0**63 - 1024])  # floats that an int64 can hold


@dataclass(frozen=True, slots=True)
class Domain:
    """The numbers from low to below high, in cells of one resolution; cell 0 begins at low.

    Where low, high and resolution are whole, numbers are floored to whole ones and everything is exact up to 63 bits;
    otherwise the edges of cells are floats, and which cell a number is in is decided by them. Raises ValueError where
    the cells are none, or so fine that a float64 or an int64 cannot tell them apart.

    >>> Domain(0, 100, 10).locate([-1, 5, 99, 100, 12])
    (array([0, 9, 1]), 1, 1)
    """

    low: float
    high: float
    resolution: float

    def __post_init__(self) -> None:
        bounds = (self.low, self.high, self.resolution)
        if not all(map(math.isfinite, bounds)) or self.resolution <= 0 or self.low >= self.high:
            raise ValueError(
                f"a domain must have finite low < high and a resolution above 0, got {self.low} to {self.high} "
                f"by {self.resolution}; 0, 60, 0.001 is a minute in milliseconds"
            )
        finest = 1.0 if self.whole else float(np.spacing(max(abs(self.low), abs(self.high))))
        if self.resolution < finest or max(abs(self.low), abs(self.high)) >= 2**62:
            raise ValueError(
                f"a domain must lie within 2^62, and float64 must tell its cells apart, got {self.low} to {self.high} "
                f"by {self.resolution}: use a resolution of at least {finest:g}, or scale the values"
            )

    @classmethod
    def of(cls, low: float, high: float, resolution: float) -> Domain:
        """A domain of whole numbers where all three are, of floats otherwise, so that equal ones have equal bytes."""
        bounds = (low, high, resolution)
        as_one_type = int if all(isinstance(bound, int | np.integer) for bound in bounds) else float
        return cls(*map(as_one_type, bounds))

    @property
    def whole(self) -> bool:
        return all(isinstance(bound, int) for bound in (self.low, self.high, self.resolution))

    @property
    def cells(self) -> int:
        """How many there are."""
        if self.whole:
            return -int((self.low - self.high) // self.resolution)
        return max(math.ceil((self.high - self.low) / self.resolution), 1)

    def edge(self, cell: int) -> float:
        """Where a cell begins."""
        return min(self.low + cell * self.resolution, self.high)

    def last(self, cell: int) -> float:
        """Where a cell ends: its last whole number, or the edge of the next."""
        return self.edge(cell + 1) - self.whole

    def cell(self, value: float) -> int:
        """The cell of a value inside the domain."""
        if self.whole:
            return int((value - self.low) // self.resolution)
        return int(self._cells_of_floats(np.array([value]))[0])

    def successor(self, value: float) -> float:
        """The next number that this domain tells from the value."""
        return math.floor(value) + 1 if self.whole and math.isfinite(value) else math.nextafter(value, math.inf)

    def locate(self, values: Any) -> tuple[NDArray[np.int64], int, int]:
        """The cells of a column of numbers, and how many numbers lay below and above them all."""
        column: NDArray[Any] = number_column(values)
        if self.whole and column.dtype.kind == "f":
            column = np.clip(np.floor(column), *_WHOLE).astype(np.int64)
        below, above = column < self.low, column >= self.high
        counts = int(np.count_nonzero(below)), int(np.count_nonzero(above))
        inside = column[~(below | above)] if any(counts) else column
        if not self.whole:
            return self._cells_of_floats(inside.astype(np.float64, copy=False)), *counts
        return ((inside - self.low) // self.resolution).astype(np.int64, copy=False), *counts

    def _cells_of_floats(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        cells = ((values - self.low) / self.resolution).astype(np.int64)
        # The division may round a value across an edge: the edges decide.
        cells -= self.low + cells * self.resolution > values
        cells += self.low + (cells + 1) * self.resolution <= values
        return np.clip(cells, 0, self.cells - 1)

"""When two answers count as the same although they differ a little."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, SupportsFloat

import numpy as np


def exactly(left: Any, right: Any) -> bool:
    """Whether two answers are equal, where NaN equals NaN, also inside lists, tuples, dicts and arrays.

    >>> exactly({"mean": float("nan")}, {"mean": float("nan")}), exactly([1, 2], [2, 1])
    (True, False)
    """
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.shape == right.shape and exactly(left.tolist(), right.tolist())
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(exactly(value, right[key]) for key, value in left.items())
    if isinstance(left, list | tuple) and type(left) is type(right):
        return len(left) == len(right) and all(map(exactly, left, right))
    return left is right or bool(left == right) or _are_nan(left, right)


@dataclass(frozen=True, slots=True)
class Within:
    """Whether two answers are close: numbers and estimates, and lists, tuples, dicts and arrays of them.

    Estimates are compared by their value, anything that is no number by ==. NaN is close to NaN.
    """

    absolute: float
    relative: float

    def __post_init__(self) -> None:
        if not (self.absolute >= 0 and self.relative >= 0 and self.absolute + self.relative > 0):
            raise ValueError(
                f"closeness must be at least 0 and one of the two above it, got absolute={self.absolute}, "
                f"relative={self.relative}; use relative=0.05 for 5 %"
            )

    def __call__(self, left: Any, right: Any) -> bool:
        if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
            return left.shape == right.shape and self(left.tolist(), right.tolist())
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            return left.keys() == right.keys() and all(self(value, right[key]) for key, value in left.items())
        if isinstance(left, list | tuple) and isinstance(right, list | tuple):
            return len(left) == len(right) and all(map(self, left, right))
        if isinstance(left, SupportsFloat) and isinstance(right, SupportsFloat):
            a, b = float(left), float(right)
            return math.isclose(a, b, rel_tol=self.relative, abs_tol=self.absolute) or _are_nan(a, b)
        return bool(left == right)


def within(*, absolute: float = 0.0, relative: float = 0.0) -> Within:
    """A comparison for `equal=`: the difference is at most `absolute`, or at most `relative` of the larger of the two.

    Answers that are each within 2 % of the truth may differ by 4 %. Raises ValueError unless one of the two is above 0.

    >>> close = within(relative=0.05)
    >>> close({"p50": 100.0}, {"p50": 104.0}), close([100.0, "a"], [106.0, "a"])
    (True, False)
    """
    return Within(absolute, relative)


def _are_nan(left: Any, right: Any) -> bool:
    return isinstance(left, float) and isinstance(right, float) and math.isnan(left) and math.isnan(right)

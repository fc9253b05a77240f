"""What needs no sketch to be small: count, sum, mean, smallest and largest, overall or for each key."""

from __future__ import annotations

from transforms.combining import SketchCombineFn
from transforms.sketches.count import Count
from transforms.sketches.moments import Moments
from transforms.sketches.question import Question
from transforms.sketches.total import Total


def count() -> SketchCombineFn[Count, int]:
    """Items of any kind -> how many there are."""
    return SketchCombineFn(Count, Question("count"))


def total() -> SketchCombineFn[Total, int | float]:
    """Numbers -> their exact sum: whole sums as int, others as the nearest float; no order of arrival shows."""
    return SketchCombineFn(Total, Question("sum"))


def mean() -> SketchCombineFn[Total, float]:
    """Numbers -> their mean, the float nearest to the exact one; NaN where there is none."""
    return SketchCombineFn(Total, Question("mean"))


def smallest() -> SketchCombineFn[Moments, float | None]:
    """Numbers -> the smallest, None where there is none."""
    return SketchCombineFn(Moments, Question("min"))


def largest() -> SketchCombineFn[Moments, float | None]:
    """Numbers -> the largest, None where there is none."""
    return SketchCombineFn(Moments, Question("max"))

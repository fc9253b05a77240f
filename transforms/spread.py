"""How widely values spread: count, mean, variance, skewness, smallest and largest, overall or for each key."""

from __future__ import annotations

from transforms.combining import SketchCombineFn, globally, per_key
from transforms.sketches.moments import Moments


def spread() -> SketchCombineFn[Moments, Moments]:
    """Numbers -> Moments, which answers by itself: `.count`, `.mean`, `.variance`, `.skewness`, `.min`, `.max`."""
    return SketchCombineFn(Moments)


class Spread:
    """Count, mean and variance of a collection of numbers."""

    Globally = staticmethod(globally(spread))
    PerKey = staticmethod(per_key(spread))

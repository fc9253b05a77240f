"""Which value lies at which rank: the median, the 99th percentile, overall or for each key."""

from __future__ import annotations

from functools import partial

from transforms.combining import Output, SketchCombineFn, globally, per_key, sketching
from transforms.sketches import Estimate
from transforms.sketches.kll import Kll
from transforms.sketches.log_histogram import LogHistogram
from transforms.sketches.question import Question


def quantiles(
    *qs: float, error: float = 0.0133, seed: int = 0, output: Output = "answer"
) -> SketchCombineFn[Kll, dict[float, Estimate]]:
    """Numbers -> {q: Estimate of the value at rank q}, off by at most `error` of all ranks, or the Kll.

    No number at all gives no quantile: {}. Raises ValueError for ranks outside 0 to 1.
    """
    return sketching(partial(Kll.for_error, error, seed=seed), Question("quantiles", _checked(qs, output)), output)


def log_quantiles(
    *qs: float, error: float = 0.01, output: Output = "answer"
) -> SketchCombineFn[LogHistogram, dict[float, Estimate]]:
    """Numbers -> {q: Estimate of the value at rank q}, off by at most `error` of the value, or the LogHistogram.

    The quick one, and its sketches subtract. No number at all gives no quantile: {}.
    """
    return sketching(partial(LogHistogram.for_error, error), Question("quantiles", _checked(qs, output)), output)


class Quantiles:
    """Values at ranks of a collection of numbers, with a bounded error of the rank."""

    Globally = staticmethod(globally(quantiles))
    PerKey = staticmethod(per_key(quantiles))


class LogQuantiles:
    """Values at ranks of a collection of numbers, with a bounded error of the value."""

    Globally = staticmethod(globally(log_quantiles))
    PerKey = staticmethod(per_key(log_quantiles))


def _checked(qs: tuple[float, ...], output: Output) -> tuple[float, ...]:
    if (not qs and output == "answer") or not all(0 <= q <= 1 for q in qs):
        raise ValueError(f"ranks must lie between 0 and 1, and there must be one, got {qs}; for example 0.5, 0.99")
    return qs

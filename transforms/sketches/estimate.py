"""An approximate answer with its bounds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, and the range that holds the true one with the stated confidence.

    Confidence 1 means certain: the bounds follow from arithmetic, not from chance. Raises ValueError unless
    low <= value <= high and 0 < confidence <= 1.

    >>> users = Estimate(12_345.2, 11_900.0, 12_800.0, confidence=0.95)
    >>> print(users)
    12,345 ± 455 (95 %)
    >>> float(users)
    12345.2
    """

    value: float
    low: float
    high: float
    confidence: float

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(
                f"an estimate must lie between its bounds, got {self.value} "
                f"for {self.low} to {self.high}: check the bounds"
            )
        if not 0.0 < self.confidence <= 1.0:
            raise ValueError(f"confidence must be above 0 and at most 1, got {self.confidence}; use 0.95 for 95 %")

    @classmethod
    def exact(cls, value: float) -> Estimate:
        """A value that is certain."""
        return cls(value, value, value, 1.0)

    def __float__(self) -> float:
        return float(self.value)

    def __str__(self) -> str:
        if self.low == self.high:
            return _short(self.value)
        margin = max(self.value - self.low, self.high - self.value)
        return f"{_short(self.value)} ± {_short(margin)} ({self.confidence * 100:.4g} %)"


def _short(number: float) -> str:
    return f"{number:,.0f}" if abs(number) >= 100 or float(number).is_integer() else f"{number:,.4g}"

"""How time is treated, said in one place: the only file that names a trigger, a lateness, an accumulation mode."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import apache_beam as beam
from apache_beam.transforms.trigger import AccumulationMode, AfterCount, AfterWatermark
from apache_beam.transforms.window import FixedWindows, GlobalWindows

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)({'|'.join(_UNITS)})", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds in a duration such as 250ms, 10s, 5m, 1h or 1d.

    >>> parse_duration("1.5h")
    5400.0
    """
    match = _DURATION.fullmatch(text.strip())
    if not match:
        raise ValueError(f"a duration must be a number and one of {', '.join(_UNITS)}, got {text!r}; for example 10s")
    return float(match[1]) * _UNITS[match[2]]


@dataclass(frozen=True, kw_only=True)
class WindowPolicy:
    """Cuts time into windows of equal size, or leaves it whole, and says what becomes of late records.

    A window answers once when the watermark passes its end. Records that come up to `allowed_lateness` seconds after
    that make it answer again: with the late records alone (discarding) or with all of them (accumulating).

    >>> WindowPolicy.parse("10m")
    WindowPolicy(size=600.0, allowed_lateness=0.0, accumulation='discarding')
    >>> print(WindowPolicy(size=5400))
    90m
    """

    size: float | None = None  # seconds; None leaves time whole
    allowed_lateness: float = 0.0  # seconds
    accumulation: Literal["discarding", "accumulating"] = "discarding"

    def __post_init__(self) -> None:
        if self.size is not None and self.size <= 0:
            raise ValueError(
                f"a window must be longer than 0 seconds, got {self.size:g}; use 'all' to leave time whole"
            )
        if self.allowed_lateness < 0:
            raise ValueError(
                f"allowed_lateness must be at least 0 seconds, got {self.allowed_lateness:g}; 0 drops late ones"
            )

    @classmethod
    def parse(cls, text: str) -> WindowPolicy:
        """The policy that a flag names: a duration such as 10s, or all."""
        return cls(size=None if text.strip() == "all" else parse_duration(text))

    def __str__(self) -> str:
        if self.size is None:
            return "all"
        units = [unit for unit in _UNITS if math.isclose(self.size / _UNITS[unit], round(self.size / _UNITS[unit]))]
        unit = units[-1] if units else "ms"
        return f"{self.size / _UNITS[unit]:g}{unit}"


class ApplyWindow(beam.PTransform):
    """Puts each record into its window, by event time, under a policy."""

    def __init__(self, policy: WindowPolicy) -> None:
        super().__init__()
        self._policy = policy

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        policy = self._policy
        return records | "Window" >> beam.WindowInto(
            GlobalWindows() if policy.size is None else FixedWindows(policy.size),
            trigger=AfterWatermark(late=AfterCount(1)),  # each late record is told at once, not held back
            allowed_lateness=policy.allowed_lateness,
            accumulation_mode=(
                AccumulationMode.DISCARDING if policy.accumulation == "discarding" else AccumulationMode.ACCUMULATING
            ),
        )


class ForgetTime(beam.PTransform):
    """Puts all records into one window again, for answers about a whole bounded input."""

    def expand(self, records: beam.PCollection) -> beam.PCollection:
        return records | "OneWindow" >> beam.WindowInto(GlobalWindows())

"""A sum that forgets: every value weighs half as much after each half-life.

Source: Cormode, Shkapenyuk, Srivastava and Xu, Forward decay: a practical time decay model for streaming systems
(2009), exponential case, with the latest time as landmark, so that no weight can grow.
"""

from __future__ import annotations

import math
import struct
from typing import Any, ClassVar, Self

import numpy as np

from transforms.sketches.columns import finite_column
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_LAYOUT = struct.Struct("<dd")
_NEVER = -math.inf


class Decayed(Sketch):
    """How much there was lately: a value counts in full when it comes, half after a half-life, a quarter after two.

    Exact up to rounding, in any order of times and of merges; times may lie any distance apart. An item is a value and
    its time: `add(value, time)`, or a pair of both where one item is asked for. Times are numbers in the unit of the
    half-life. With values of 1 it is a decayed count. Nulls, NaN and infinity are refused with ValueError;
    OverflowError, and nothing added, where the sum would leave float64.

    It subtracts, to the precision of what was there before.

    >>> load = Decayed(half_life=60)
    >>> load.add(8.0, time=0)
    >>> load.add(1.0, time=120)
    >>> load.value_at(120), load.value_at(180)
    (3.0, 1.5)
    """

    KIND = "decayed"
    SUBTRACTS: ClassVar[bool] = True

    def __init__(self, half_life: float) -> None:
        if not 0.0 < half_life < math.inf:
            raise ValueError(f"half_life must be above 0 and finite, got {half_life}; 3600 forgets half in an hour")
        self._half_life = float(half_life)
        self._latest = _NEVER
        self._sum = 0.0  # as it is at the latest time

    @property
    def parameters(self) -> Parameters:
        return {"half_life": self._half_life}

    @property
    def latest(self) -> float | None:
        """The latest time added; None where there is none."""
        return None if self._latest == _NEVER else self._latest

    def value_at(self, time: float) -> float:
        """The decayed sum at a time; raises ValueError before the latest, which cannot be told apart."""
        if not time >= self._latest:
            raise ValueError(f"cannot look back to {time}: the latest value came at {self._latest}, ask from then on")
        return self._at(time)

    def add(self, item: Any, time: float | None = None) -> None:
        """Adds a value at a time, or a pair of both."""
        self.add_many([item], None if time is None else [time])

    def add_many(self, values: Any, times: Any = None) -> None:
        """Adds values and their times: two columns of one length, or one of pairs."""
        if times is None:
            pairs = np.asarray(values).reshape(-1, 2) if len(values) else np.empty((0, 2))
            values, times = pairs[:, 0], pairs[:, 1]
        values, times = finite_column(values), finite_column(times)
        if values.size != times.size:
            raise ValueError(f"every value needs its time, got {values.size} values and {times.size} times")
        if values.size:
            added = Decayed(self._half_life)
            added._latest = float(times.max())
            with np.errstate(over="ignore", invalid="ignore"):
                added._sum = float((values * np.exp2((times - added._latest) / self._half_life)).sum())
            self.merge(added)

    def merge(self, other: Decayed) -> None:
        """Adds all that other has seen; other stays as it is."""
        self._require_alike(other)
        self._combine(other, 1)

    def subtract(self, other: Decayed) -> None:
        """Takes away what had been added; raises ValueError where it plainly had not been."""
        self._require_alike(other, "subtract")
        if other._latest > self._latest:
            raise ValueError(
                f"cannot subtract what came until {other._latest} from what came until {self._latest}: "
                "subtract only what was added"
            )
        self._combine(other, -1)

    def memory(self) -> int:
        return _LAYOUT.size

    def _combine(self, other: Decayed, sign: int) -> None:
        latest = max(self._latest, other._latest)
        total = self._at(latest) + sign * other._at(latest)
        if not math.isfinite(total):
            raise OverflowError("a decayed sum must fit a float64: scale the values down")
        self._latest, self._sum = latest, total

    def _at(self, time: float) -> float:
        if time == self._latest or not self._sum:  # and two empty ones, between whose times there is no difference
            return self._sum
        return self._sum * float(np.exp2((self._latest - time) / self._half_life))

    def _payload(self) -> bytes:
        return _LAYOUT.pack(self._latest, self._sum)

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        decayed = cls(float(parameters["half_life"]))
        decayed._latest, decayed._sum = _LAYOUT.unpack(payload)
        if not decayed._latest < math.inf or not math.isfinite(decayed._sum):
            raise ValueError(f"a decayed sum and its time must be finite, got {decayed._sum} at {decayed._latest}")
        return decayed

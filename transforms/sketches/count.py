"""How many items: the smallest of monoids, here so that counts travel, merge and subtract as sketches do."""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Self

from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_LAYOUT = struct.Struct("<Q")


class Count(Sketch):
    """Counts items of any kind, missing ones as well; exact, bit-stable, and it subtracts.

    >>> count = Count()
    >>> count.add_many(["a", None, "a"])
    >>> count.count
    3
    """

    KIND: ClassVar[str] = "count"
    SUBTRACTS: ClassVar[bool] = True

    def __init__(self) -> None:
        self._count = 0

    @property
    def count(self) -> int:
        """How many items were added."""
        return self._count

    def add_many(self, values: Any) -> None:
        """Adds as many as there are; what they are does not matter."""
        self._count += len(values)

    def merge(self, other: Self) -> None:
        self._require_alike(other)
        if self._count + other._count >= 2**63:
            raise OverflowError("a count must stay below 2^63: begin another")
        self._count += other._count

    def subtract(self, other: Self) -> None:
        """Takes away what was added; ValueError where there is less than other has."""
        self._require_alike(other, "subtract")
        if other._count > self._count:
            raise ValueError(f"cannot subtract {other._count} items from {self._count}: only what was added")
        self._count -= other._count

    def memory(self) -> int:
        return _LAYOUT.size

    def _payload(self) -> bytes:
        return _LAYOUT.pack(self._count)

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        if parameters:
            raise ValueError(f"a count has no parameters, got {parameters}")
        restored = cls()
        (restored._count,) = _LAYOUT.unpack(payload)
        if restored._count >= 2**63:
            raise ValueError(f"a count must stay below 2^63, got {restored._count}")
        return restored

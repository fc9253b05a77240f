"""How often each item came: the Count-Min sketch (Cormode and Muthukrishnan, 2005)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.derived import double_hashes
from transforms.sketches.estimate import Estimate
from transforms.sketches.hashed import Hashed
from transforms.sketches.hashing import DEFAULT, Hasher
from transforms.sketches.kernels import kernel
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_LIMIT = 2**62  # of the total and of every counter: two of them still fit 64 bits, so that no sum can wrap unseen
_MOST_COUNTERS = 2**28
_FULL, _FEW = b"\0", b"\1"


class CountMin(Sketch):
    """Frequencies of any items in width x depth counters of 8 bytes.

    `count` is never below the truth, and above it by more than e / width of the total weight with a probability of at
    most e^-depth. Weights are whole numbers from 0 on. A group: `subtract` takes back what had been added, and after
    taking back anything else no bound holds. Bit-stable. Raises ValueError for a width or depth below 1, and
    OverflowError, keeping what it had, when the total would come to 2^62.

    >>> words = CountMin.for_error(0.001)
    >>> words.add_many(["to", "be", "or", "not", "to", "be"]); words.add("be", weight=3)
    >>> words.count("be").value, words.total
    (5.0, 9)
    """

    KIND: ClassVar[str] = "count_min"
    SUBTRACTS: ClassVar[bool] = True

    def __init__(self, width: int = 2719, depth: int = 5, *, hasher: Hasher = DEFAULT) -> None:
        if width < 1 or depth < 1 or width * depth > _MOST_COUNTERS:
            raise ValueError(
                f"width and depth must be at least 1, and 2^28 counters in all at most, got {width} x {depth}; "
                "for_error chooses them"
            )
        self._hasher = hasher
        self._parameters: Parameters = {"width": int(width), "depth": int(depth), "hash": hasher.identity}
        self._counters: NDArray[np.int64] = np.zeros((depth, width), np.int64)
        self._total = 0  # of each row

    @classmethod
    def for_error(cls, error: float, confidence: float = 0.99, *, hasher: Hasher = DEFAULT) -> Self:
        """The smallest sketch whose counts are over by at most `error` of the total weight, at that confidence each.

        >>> CountMin.for_error(0.001, confidence=0.99).memory()
        108760
        """
        if not (0.0 < error < 1.0 and 0.0 < confidence < 1.0):
            raise ValueError(f"error and confidence must be between 0 and 1, got {error} and {confidence}")
        return cls(math.ceil(math.e / error), math.ceil(-math.log1p(-confidence)), hasher=hasher)

    @property
    def parameters(self) -> Parameters:
        return self._parameters

    @property
    def total(self) -> int:
        """The weight of all that was added; exact."""
        return self._total

    def add(self, item: Any, weight: int = 1) -> None:
        """Adds one item with its weight."""
        self.add_many([item], [weight])

    def add_many(self, values: Any, weights: Any = None) -> None:
        """Adds values, each once or with its weight; raises ValueError for missing ones and adds nothing."""
        hashes = self._hasher.hash_many(values)
        added: Any = 1 if weights is None else _whole_numbers(weights, hashes.size)
        total = hashes.size if weights is None else sum(added.tolist())
        # No counter grows by more than the total; after a subtraction counters may stand above what is left of it.
        if self._total + total >= _LIMIT or int(self._counters.max()) + total >= _LIMIT:
            raise OverflowError(f"the total must stay below 2^62, got {self._total} and {total}: count larger units")
        add_weights(self._counters, hashes, np.broadcast_to(np.int64(added), hashes.size))
        self._total += total

    @property
    def prepare(self) -> Callable[[Any], Hashed]:
        return self._hasher.hashed

    def merge(self, other: Self) -> None:
        self._require_alike(other)
        self._set(self._counters + other._counters, self._total + other._total)

    def subtract(self, other: Self) -> None:
        """Takes back what other has seen; other stays as it is. Bounds hold if all of it had been added here."""
        self._require_alike(other, "subtract")
        self._set(self._counters - other._counters, self._total - other._total)

    def count(self, item: Any) -> Estimate:
        """The weight of an item: never below the truth, and at most that of the stated error above."""
        places = self._places(self._hasher.hash_many([item]))[:, 0]
        value = int(self._counters[np.arange(places.size), places].min())
        depth, width = self._counters.shape
        least = value - math.floor(self._total * math.e / width)
        return Estimate(float(value), float(min(value, max(0, least))), float(value), -math.expm1(-depth))

    def memory(self) -> int:
        return int(self._counters.nbytes)

    def _places(self, hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        depth, width = self._counters.shape
        return double_hashes(hashes, depth, width)

    def _set(self, counters: NDArray[np.int64], total: int) -> None:
        if abs(total) >= _LIMIT or int(counters.max()) >= _LIMIT or int(counters.min()) <= -_LIMIT:
            raise OverflowError(f"the total must stay below 2^62, and it would come to {total}: count larger units")
        self._counters, self._total = counters, total

    def _payload(self) -> bytes:
        flat = self._counters.ravel()
        filled = np.flatnonzero(flat)
        if filled.size * 12 < flat.size * 8:  # most counters of a rare key's sketch are 0
            return _FEW + filled.astype("<u4").tobytes() + flat[filled].astype("<i8").tobytes()
        return _FULL + flat.astype("<i8").tobytes()

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        sketch = cls(int(parameters["width"]), int(parameters["depth"]), hasher=Hasher.of(str(parameters["hash"])))
        flat = sketch._counters.reshape(-1)
        if payload[:1] == _FULL and len(payload) == 1 + 8 * flat.size:
            flat[:] = np.frombuffer(payload, "<i8", offset=1)
        elif payload[:1] == _FEW and len(payload) % 12 == 1:
            count = len(payload) // 12
            filled = np.frombuffer(payload, "<u4", count, 1).astype(np.int64)
            if count and (int(filled[-1]) >= flat.size or (np.diff(filled) <= 0).any()):
                raise ValueError("the places of counters must rise and be below width x depth")
            flat[filled] = np.frombuffer(payload, "<i8", count, 1 + 4 * count)
        else:
            raise ValueError(f"{len(payload)} bytes are not the counters of this width and depth")
        if int(flat.max()) >= _LIMIT or int(flat.min()) <= -_LIMIT:
            raise ValueError("counters must be below 2^62")
        totals = {sum(row.tolist()) for row in sketch._counters}
        if len(totals) != 1:
            raise ValueError("every row of counters must have the same total")
        sketch._total = totals.pop()
        return sketch


@kernel
def add_weights(counters: NDArray[np.int64], hashes: NDArray[np.uint64], weights: NDArray[np.int64]) -> None:
    """Adds each hash's weight to its counter in every row."""
    for row, places in zip(counters, double_hashes(hashes, *counters.shape), strict=True):
        np.add.at(row, places, weights)


def _whole_numbers(weights: Sequence[int] | Any, size: int) -> NDArray[np.int64]:
    column = np.asarray(weights)
    if column.shape != (size,):
        raise ValueError(f"weights must be one for each of {size} values, got shape {column.shape}")
    if size and column.dtype.kind not in "iu":
        raise ValueError(f"weights must be whole numbers, got {column.dtype}: round them, or count in smaller units")
    if size and (int(column.min()) < 0 or int(column.max()) >= _LIMIT):
        raise ValueError(
            f"weights must be from 0 to below 2^62, got {column.min()} to {column.max()}; use subtract to take back"
        )
    return column.astype(np.int64)

"""How many different items: HyperLogLog registers, read by Ertl's estimator.

Sources: Flajolet, Fusy, Gandouet and Meunier, HyperLogLog (2007); Ertl, New cardinality estimation algorithms for
HyperLogLog sketches (2017), whose improved raw estimator needs no table, no threshold and no correction at any size.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches import hll_images
from transforms.sketches.derived import Hashes
from transforms.sketches.estimate import Estimate
from transforms.sketches.hashed import Hashed
from transforms.sketches.hashing import DEFAULT, DataSketchesHasher, Hasher
from transforms.sketches.kernels import kernel
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_ERROR = math.sqrt(3 * math.log(2) - 1)  # standard error of one register's worth: 1.039, over the root of registers
_LOW = 26  # bits of a hash that may choose a register; the others give its value
_HIGH = 64 - _LOW
_LARGEST = _HIGH + 1  # value of a register: the zeros that lead the high bits, and one
_SPARSE, _DENSE = b"\0", b"\1"


class HyperLogLog(Sketch):
    """Distinct count of a stream, in 2^precision bytes, whatever it holds.

    The standard error is 1.04 / sqrt(2^precision): 1.6 % at precision 12. Up to 2^precision / 8 different items the
    count is exact (their hashes are kept, 8 bytes each). Bit-stable: any merge order gives equal bytes. Raises
    ValueError for a precision outside 4 to 21.

    >>> ours, theirs = HyperLogLog(), HyperLogLog()
    >>> ours.add_many(["ana", "bo"]); theirs.add_many(["bo", "cy"])
    >>> ours.merge(theirs); ours.estimate()
    Estimate(value=3.0, low=3.0, high=3.0, confidence=1.0)
    """

    KIND: ClassVar[str] = "hyperloglog"

    def __init__(self, precision: int = 12, *, hasher: Hasher = DEFAULT) -> None:
        if not 4 <= precision <= 21:
            raise ValueError(f"precision must be from 4 to 21, got {precision}; 12 takes 4 KiB for an error of 1.6 %")
        self._hasher = hasher
        self._parameters: Parameters = {"precision": int(precision), "hash": hasher.identity}
        # One of the two is empty. Which one follows from the content alone, so that equal contents have equal bytes.
        self._hashes: Hashes = np.empty(0, np.uint64)  # sorted, each once
        self._registers: NDArray[np.uint8] = np.empty(0, np.uint8)

    @classmethod
    def for_error(cls, error: float, confidence: float = 0.95, *, hasher: Hasher = DEFAULT) -> Self:
        """The smallest sketch whose estimate is within the relative error at that confidence.

        >>> HyperLogLog.for_error(0.05, confidence=0.99).parameters["precision"]
        12
        """
        deviations = _deviations(confidence)
        if not 0.0 < error < 1.0:
            raise ValueError(f"error must be between 0 and 1, relative to the count, got {error}; use 0.02 for 2 %")
        precision = max(4, math.ceil(2 * math.log2(_ERROR * deviations / error)))
        if precision > 21:
            least = _ERROR * deviations / 2**10.5
            raise ValueError(f"error must be at least {least:.2g} at confidence {confidence}, got {error}")
        return cls(precision, hasher=hasher)

    @property
    def parameters(self) -> Parameters:
        return self._parameters

    @property
    def _size(self) -> int:
        return 1 << int(self._parameters["precision"])

    def add_many(self, values: Any) -> None:
        """Adds values of any kind that hashes; raises ValueError for missing ones and adds nothing."""
        self._add_hashes(self._hasher.hash_many(values))

    @property
    def prepare(self) -> Callable[[Any], Hashed]:
        return self._hasher.hashed

    def merge(self, other: Self) -> None:
        self._require_alike(other)
        if other._registers.size:
            ours = self._dense()
            self._registers = np.maximum(ours, other._registers)
            self._hashes = np.empty(0, np.uint64)
        else:
            self._add_hashes(other._hashes)

    def estimate(self, confidence: float = 0.95) -> Estimate:
        """How many different items were added; exact for small sets."""
        deviations = _deviations(confidence)
        if not self._registers.size:
            return Estimate.exact(float(self._hashes.size))
        value = _ertl(np.bincount(self._registers, minlength=_LARGEST + 1).tolist())
        margin = deviations * _ERROR / math.sqrt(self._size)
        # The true count n satisfies |value - n| <= margin * n.
        high = value / (1 - margin) if margin < 1 else math.inf
        return Estimate(value, value / (1 + margin), high, confidence)

    def intersection(self, other: Self, confidence: float = 0.95) -> Estimate:
        """How many different items both have seen, by inclusion and exclusion; exact for small sets.

        The error is that of the union, not of the answer: where the sets share little, the bounds say that little is
        known. Raises ValueError where the sketches are unlike.
        """
        self._require_alike(other, "intersect")
        union = self.copy()
        union.merge(other)
        either = union.estimate(confidence)
        one, two = self.estimate(confidence), other.estimate(confidence)
        if either.confidence == 1.0:
            return Estimate.exact(one.value + two.value - either.value)
        most = min(one.high, two.high)
        value = min(max(one.value + two.value - either.value, 0.0), most)
        margin = either.high - either.value
        return Estimate(value, max(0.0, value - margin), min(most, value + margin), confidence)

    def memory(self) -> int:
        return int(self._hashes.nbytes + self._registers.nbytes)

    def to_datasketches(self) -> bytes:
        """An HLL_8 image for Apache DataSketches, Spark, Druid and others, which estimate from it.

        They unite it with images of their own only if this sketch hashes as they do, with DataSketchesHasher.
        """
        return hll_images.to_datasketches(self._dense())

    @classmethod
    def from_datasketches(cls, data: bytes, *, hasher: Hasher | None = None) -> Self:
        """The sketch in an HLL image of Apache DataSketches; raises ValueError for anything else.

        The image does not say how its items were hashed: `hasher` does, DataSketchesHasher() if it is left out. Nor
        does it keep hashes, so that small sets are no longer exact.
        """
        registers = hll_images.from_datasketches(data)
        sketch = cls(registers.size.bit_length() - 1, hasher=hasher or DataSketchesHasher())
        if registers.any():
            sketch._registers = np.minimum(registers, np.uint8(_LARGEST))
        return sketch

    def to_postgres(self, regwidth: int = 5) -> bytes:
        r"""Bytes for PostgreSQL's hll extension: `hll` of log2m = precision and this regwidth.

        Its hll_cardinality estimates from them, and hll_union unites them with others of ours. Raises ValueError for
        a regwidth outside 4 to 8; with 5 the counts are good to some 2^31 times the number of registers.

        >>> HyperLogLog(11).to_postgres()[:3].hex()
        '148b7f'
        """
        if not 4 <= regwidth <= 8:
            raise ValueError(f"regwidth must be from 4 to 8 bits, got {regwidth}; hll's own default is 5")
        return hll_images.to_postgres(self._dense(), regwidth)

    def _add_hashes(self, hashes: Hashes) -> None:
        if not self._registers.size:
            few = self._size // 8  # 8 bytes a hash against 1 byte a register
            # Sorting is dear, and where there are many a part of them tells.
            together = np.unique(np.concatenate((self._hashes, hashes[: 4 * few])))
            if together.size <= few and hashes.size > 4 * few:
                together = np.unique(np.concatenate((together, hashes)))
            if together.size <= few:
                self._hashes = together
                return
            self._registers = self._dense()
            self._hashes = np.empty(0, np.uint64)
        raise_registers(self._registers, hashes)

    def _dense(self) -> NDArray[np.uint8]:
        if self._registers.size:
            return self._registers
        registers = np.zeros(self._size, np.uint8)
        raise_registers(registers, self._hashes)
        return registers

    def _payload(self) -> bytes:
        if self._registers.size:
            return _DENSE + self._registers.tobytes()
        return _SPARSE + self._hashes.astype("<u8").tobytes()

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        sketch = cls(int(parameters["precision"]), hasher=Hasher.of(str(parameters["hash"])))
        if payload[:1] == _DENSE and len(payload) == 1 + sketch._size:
            sketch._registers = np.frombuffer(payload, np.uint8, offset=1).copy()
            if int(sketch._registers.max()) > _LARGEST:
                raise ValueError(f"registers must be at most {_LARGEST}, got {sketch._registers.max()}")
        elif payload[:1] == _SPARSE and len(payload) % 8 == 1 and len(payload) - 1 <= sketch._size:
            sketch._hashes = np.frombuffer(payload, "<u8", offset=1).astype(np.uint64)
            if (sketch._hashes[1:] <= sketch._hashes[:-1]).any():
                raise ValueError("hashes must be sorted, each once")
        else:
            raise ValueError(f"{len(payload)} bytes are neither the registers nor the few hashes of this precision")
        return sketch


@kernel
def raise_registers(registers: NDArray[np.uint8], hashes: Hashes) -> None:
    """Raises each hash's register, of 2^precision, to the value that the hash gives."""
    places = (hashes & np.uint64(registers.size - 1)).astype(np.intp)
    # The exponent of a float counts its leading zeros; 38 bits are exact in one, and 0 has the exponent field 0.
    exponents = (hashes >> np.uint64(_LOW)).astype(np.float64).view(np.uint64) >> np.uint64(52)
    values = np.minimum(np.uint64(1023 + _HIGH) - exponents, np.uint64(_LARGEST)).astype(np.uint8)
    higher = np.flatnonzero(values > registers[places])  # few, once the sketch has filled
    np.maximum.at(registers, places[higher], values[higher])


def _ertl(counts: Sequence[int]) -> float:
    """Ertl's improved raw estimate from how many registers have each value, 0 to the largest."""
    size = sum(counts)
    z = size * _tau(1 - counts[-1] / size)
    for count in reversed(counts[1:-1]):
        z = 0.5 * (z + count)
    z += size * _sigma(counts[0] / size)
    return size * size / (2 * math.log(2) * z)


def _sigma(x: float) -> float:
    """The share of empty registers, corrected: the sum over k of x^(2^k) 2^(k-1), and x."""
    if x == 1:
        return math.inf
    power, last, z = 1.0, -1.0, x
    while z != last:
        x, last = x * x, z
        z, power = z + x * power, power * 2
    return z


def _tau(x: float) -> float:
    """The share of registers that are not at the top, corrected."""
    if x in {0, 1}:
        return 0.0
    power, last, z = 1.0, -1.0, 1 - x
    while z != last:
        x, last = math.sqrt(x), z
        power /= 2
        z -= (1 - x) ** 2 * power
    return z / 3


def _deviations(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}; use 0.95 for 95 %")
    return NormalDist().inv_cdf(0.5 + confidence / 2)

"""How alike are two sets? The share of hashes whose least value both sets agree on.

Sources: Broder, On the resemblance and containment of documents (1997); the bounds are Hoeffding's, Probability
inequalities for sums of bounded random variables (1963), theorem 1; bands are those of Indyk and Motwani, Approximate
nearest neighbors (1998).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from transforms.sketches.derived import Hashes, lane_constants
from transforms.sketches.estimate import Estimate
from transforms.sketches.hashed import Hashed
from transforms.sketches.hashing import DEFAULT, Hasher
from transforms.sketches.kernels import kernel
from transforms.sketches.sealing import Parameters
from transforms.sketches.sketch import Sketch

_BLOCK = 16_384  # hashes whose lanes stay in the cache
_MOST_HASHES = 2**16
_NOTHING = np.uint64(2**64 - 1)  # above every value: the least of no items


class MinHash(Sketch):
    """The similarity of two sets, in a kilobyte each: items in both, over items in either (Jaccard).

    Sets, so an item counts once however often it comes. With 128 hashes the answer is within 0.12 of the truth at a
    confidence of 95 %, closer where the sets are much alike or hardly. Merging is the union, with equal bytes in any
    order. Memory is 8 bytes a hash. Raises ValueError where hashes is not from 1 to 65,536.

    >>> first, second = MinHash(), MinHash()
    >>> first.add_many(range(0, 3000)); second.add_many(range(1000, 4000))
    >>> print(first.similarity(second))
    0.5078 ± 0.1186 (95 %)
    """

    KIND = "minhash"

    def __init__(self, hashes: int = 128, *, hasher: Hasher = DEFAULT) -> None:
        if not 1 <= hashes <= _MOST_HASHES:
            raise ValueError(f"hashes must be from 1 to {_MOST_HASHES}, got {hashes}; MinHash.for_error chooses them")
        self._hasher = hasher
        self._least: NDArray[np.uint64] = np.full(hashes, _NOTHING)

    @classmethod
    def for_error(cls, error: float, confidence: float = 0.95, *, hasher: Hasher = DEFAULT) -> Self:
        """As many hashes as keep the similarity within `error` of the truth, at this confidence, for any two sets."""
        if not 0.0 < error < 1.0:
            raise ValueError(f"error must be between 0 and 1, got {error}; use 0.1 for a similarity within ± 0.1")
        return cls(math.ceil(_surprise(confidence) / (2 * error**2)), hasher=hasher)

    @property
    def parameters(self) -> Parameters:
        return {"hashes": self._least.size, "hash": self._hasher.identity}

    def add_many(self, values: Any) -> None:
        """Adds items of any kind that has a hash; raises ValueError on missing values, and adds nothing."""
        lower_least(self._least, self._hasher.hash_many(values), *lane_constants(self._least.size))

    @property
    def prepare(self) -> Callable[[Any], Hashed]:
        return self._hasher.hashed

    def merge(self, other: Self) -> None:
        """Makes this the sketch of both sets' union; raises ValueError where they are unlike."""
        self._require_alike(other)
        np.minimum(self._least, other._least, out=self._least)

    def similarity(self, other: Self, confidence: float = 0.95) -> Estimate:
        """Items in both sets over items in either, 0 to 1; certain where one set is empty, and 1 where both are."""
        self._require_alike(other, "compare")
        surprise = _surprise(confidence)
        if self._is_empty() or other._is_empty():
            return Estimate.exact(float(self._is_empty() and other._is_empty()))
        share, per_hash = float((self._least == other._least).mean()), surprise / self._least.size
        return Estimate(share, _farthest(share, 0.0, per_hash), _farthest(share, 1.0, per_hash), confidence)

    def bands(self, count: int) -> list[bytes]:
        """Keys under which near-duplicates meet: two sets are candidates where one key is the same.

        With r = hashes / count hashes a band, sets of similarity s share a key with probability 1 - (1 - s^r)^count:
        few do below s = (1 / count)^(1 / r), and nearly all above. Candidates are to be verified by `similarity`. A
        key begins with the number of its band, so that all may go into one table. An empty set has no keys. Raises
        ValueError where count does not divide hashes.

        >>> one, same = MinHash(128), MinHash(128)
        >>> one.add_many("to be or not to be".split()); same.add_many("not to be or to be".split())
        >>> len(set(one.bands(32)) & set(same.bands(32)))
        32
        """
        if count < 1 or self._least.size % count:
            raise ValueError(
                f"bands must divide the {self._least.size} hashes evenly, got {count}; use 32 for 128 hashes"
            )
        if self._is_empty():
            return []
        rows = self._least.astype("<u8").reshape(count, -1)
        return [band.to_bytes(4, "little") + row.tobytes() for band, row in enumerate(rows)]

    def memory(self) -> int:
        return self._least.nbytes

    def _payload(self) -> bytes:
        return self._least.astype("<u8").tobytes()

    @classmethod
    def _restore(cls, parameters: Parameters, payload: bytes) -> Self:
        hashes = int(parameters["hashes"])
        if hashes * 8 != len(payload):
            raise ValueError(f"{hashes} hashes must take {hashes * 8} bytes, got {len(payload)}")
        minhash = cls(hashes, hasher=Hasher.of(str(parameters["hash"])))
        minhash._least[:] = np.frombuffer(payload, "<u8")
        return minhash

    def _is_empty(self) -> bool:
        return bool((self._least == _NOTHING).all())


@kernel
def lower_least(least: Hashes, hashes: Hashes, factors: Hashes, summands: Hashes) -> None:
    """Lowers each lane's least value to that among these hashes."""
    for begin in range(0, hashes.size, _BLOCK):
        block = hashes[begin : begin + _BLOCK]
        lowest = [(block * factor + summand).min() for factor, summand in zip(factors, summands, strict=True)]
        np.minimum(least, lowest, out=least)


def _surprise(confidence: float) -> float:
    """-ln of the probability that is left to each side of the bounds."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}; use 0.95 for 95 %")
    return math.log(2 / (1 - confidence))


def _farthest(share: float, end: float, surprise: float) -> float:
    """The true share farthest towards `end` for which the one that was seen is no greater surprise."""
    near, far = share, end
    for _ in range(40):
        middle = (near + far) / 2
        if _divergence(share, middle) <= surprise:
            near = middle
        else:
            far = middle
    return far


def _divergence(seen: float, true: float) -> float:
    """Kullback and Leibler's, of two coins: the chance of `seen` in n tosses is at most exp(-n times it)."""
    if seen == true:
        return 0.0
    if not 0.0 < true < 1.0:
        return math.inf
    heads = seen * math.log(seen / true) if seen else 0.0
    tails = (1 - seen) * math.log((1 - seen) / (1 - true)) if seen < 1.0 else 0.0
    return heads + tails

"""K-means over a stream: each batch moves the centres, and what was learnt before counts less and less.

A batch is a sum around the centres (LloydSums), made by any number of workers in any shards. Its weights are those of
Spark MLlib's StreamingKMeans (Freeman, Introducing streaming k-means in Apache Spark 1.2, 2015), answers included; with
the geometry of likelihood, clusters are counts that decay.
"""

from __future__ import annotations

import struct
from dataclasses import InitVar, dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.language.clustering import EUCLIDEAN, Geometry, LloydSums
from models.language.mixture import LIKELIHOOD, probabilities

_DYING = 1e-8  # of the weight of the heaviest cluster: the heaviest is divided between both
_APART = 1e-14
_LAYOUT = struct.Struct("<8s?II")  # kind and version, whether by likelihood, k, d; then centres, weights and sums
_KIND = b"STREAMK\x01"


@dataclass(eq=False)
class StreamingKMeans:
    """Centres that follow a stream of batches, with a half-life in batches or in points.

    `centres` has the shape (k, d); of the geometry `likelihood` they are logarithms of probabilities, and features are
    counts. `weight` says how much each counts beside the first batch: points, or of `likelihood` counts of features; by
    default nothing. Without a half-life nothing is forgotten.

    >>> model = StreamingKMeans(np.array([[0.0], [10.0]]), half_life=1)
    >>> for points in ([[2.0], [8.0]], [[4.0], [8.0]]):
    ...     model.update(model.around(csr_matrix(points)))
    >>> model.centres.round(3).tolist(), model.weights.tolist()  # of 2 at half weight and 4; of 8
    ([[3.333], [8.0]], [1.5, 1.5])
    """

    centres: NDArray[np.float64]
    weight: InitVar[NDArray[np.float64] | None] = None
    half_life: float | None = None
    unit: Literal["batches", "points"] = "batches"
    geometry: Literal["euclidean", "likelihood"] = "euclidean"
    weights: NDArray[np.float64] = field(init=False)
    _sums: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self, weight: NDArray[np.float64] | None) -> None:
        if self.half_life is not None and not self.half_life > 0:
            raise ValueError(f"half_life must be more than 0 {self.unit}, got {self.half_life:g}; for example 10")
        if self.unit not in {"batches", "points"}:
            raise ValueError(f"unit must be batches or points, got {self.unit!r}")
        if self.geometry not in {"euclidean", "likelihood"}:
            raise ValueError(f"geometry must be euclidean or likelihood, got {self.geometry!r}")
        self.centres = np.array(self.centres, np.float64)
        self.weights = np.zeros(len(self.centres)) if weight is None else np.array(weight, np.float64)
        if self.weights.shape != self.centres.shape[:1] or not (self.weights >= 0).all():
            raise ValueError(f"there must be a weight of at least 0 for each of {len(self.centres)} centres")
        self._sums = self._middle_weighed()

    def around(self, features: csr_matrix) -> LloydSums:
        """The sums of some rows around the centres; those of other workers may be merged with them."""
        sums = LloydSums.empty(*self.centres.shape)
        sums.add_many(features, self.centres, self._geometry.assign)
        return sums

    def update(self, batch: LloydSums) -> None:
        """Takes a batch, made around these centres: decays what was known, adds what came, and moves the centres."""
        points = int(batch.counts.sum())
        periods = points if self.unit == "points" else 1
        discount = 1.0 if self.half_life is None else 0.5 ** (periods / self.half_life)
        sums = batch.sums / 2.0**30
        self._sums = self._sums * discount + sums
        self.weights = self.weights * discount + (sums.sum(axis=1) if self._by_likelihood else batch.counts)
        moved = (batch.counts > 0) & (self.weights > 0)
        self.centres = np.where(moved[:, np.newaxis], self._middle(), self.centres)
        self._divide()

    def predict(self, features: csr_matrix) -> NDArray[np.int64]:
        """The cluster of each row."""
        return self._geometry.assign(features, self.centres)[0]

    @property
    def _by_likelihood(self) -> bool:
        return self.geometry == "likelihood"

    @property
    def _geometry(self) -> Geometry:
        return LIKELIHOOD if self._by_likelihood else EUCLIDEAN

    def _middle(self) -> NDArray[np.float64]:
        if self._by_likelihood:
            return probabilities(self._sums)
        return self._sums / np.maximum(self.weights, 1e-16)[:, np.newaxis]

    def _middle_weighed(self) -> NDArray[np.float64]:
        middle = np.exp(self.centres) if self._by_likelihood else self.centres
        return middle * self.weights[:, np.newaxis]

    def _divide(self) -> None:
        """Where a cluster is dying, the heaviest one is divided between both."""
        heavy, light = int(self.weights.argmax()), int(self.weights.argmin())
        if self.weights[light] >= _DYING * self.weights[heavy]:
            return
        self.weights[[heavy, light]] = (self.weights[heavy] + self.weights[light]) / 2
        apart = _APART * np.maximum(np.abs(self.centres[heavy]), 1.0)
        self.centres[light] = self.centres[heavy] - apart
        self.centres[heavy] = self.centres[heavy] + apart
        self._sums[[heavy, light]] = self._middle_weighed()[[heavy, light]]

    def to_bytes(self) -> bytes:
        """The centres and what they stand for; half-life and unit are the caller's."""
        header = _LAYOUT.pack(_KIND, self._by_likelihood, *self.centres.shape)
        return header + b"".join(part.astype("<f8").tobytes() for part in (self.centres, self.weights, self._sums))

    @classmethod
    def from_bytes(
        cls, data: bytes, half_life: float | None = None, unit: Literal["batches", "points"] = "batches"
    ) -> StreamingKMeans:
        """What `to_bytes` wrote; raises ValueError for anything else."""
        if len(data) < _LAYOUT.size or not data.startswith(_KIND):
            raise ValueError(f"streaming k-means must begin with {_KIND!r}, got {data[:8]!r}: pass what to_bytes wrote")
        _, by_likelihood, k, d = _LAYOUT.unpack_from(data)
        if len(data) != _LAYOUT.size + 8 * k * (2 * d + 1):
            raise ValueError(f"streaming k-means of shape {(k, d)} must not be cut or extended, got {len(data)} bytes")
        numbers = np.frombuffer(data, "<f8", offset=_LAYOUT.size).astype(np.float64)
        centres, weights, sums = np.split(numbers, [k * d, k * d + k])
        geometry: Literal["euclidean", "likelihood"] = "likelihood" if by_likelihood else "euclidean"
        model = cls(centres.reshape(k, d), weights, half_life, unit, geometry)
        model._sums = sums.reshape(k, d)
        return model

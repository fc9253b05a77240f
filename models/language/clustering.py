"""K-means over sparse rows: scikit-learn's where the texts fit one worker, and a step of Lloyd's that shards can share.

Sources: Lloyd, Least squares quantization in PCM (1957/1982); Arthur and Vassilvitskii, k-means++ (2007).
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

# What trains imports scikit-learn itself: that takes a second, which those who score need not wait for.
# ruff: noqa: PLC0415

_UNIT = 2.0**30  # one in fixed point
_LIMIT = 2**62  # of every sum: two of them still fit 64 bits, so that no sum can wrap unseen
_LAYOUT = struct.Struct("<8sII16s")  # kind and version, k, d, inertia; then counts and sums
_KIND = b"LLOYDKM\x01"
_TOO_LARGE = "sums of features must stay below 2^32, to fit 64 bits of fixed point: divide the features by a constant"


def initial_centres(features: csr_matrix, k: int, seed: int) -> NDArray[np.float64]:
    """K rows to start from, far apart, as scikit-learn's k-means++ draws them; shape (k, d).

    Raises ValueError where k is below 2 or the features have fewer than k distinct rows.
    """
    from sklearn.cluster import kmeans_plusplus

    _require_distinct_rows(features, k)
    return _dense(kmeans_plusplus(features, k, random_state=seed)[0])


def fit_kmeans(
    features: csr_matrix, k: int, seed: int, iterations: int = 100, centres: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """The centres that scikit-learn's KMeans reaches from one start, k-means++ or the centres given; shape (k, d).

    The same rows in the same order give the same bits on any number of cores. Raises ValueError where k is below 2 or
    the features have fewer than k distinct rows.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    _require_distinct_rows(features, k)
    start = "k-means++" if centres is None else centres
    model = KMeans(k, init=start, n_init=1, max_iter=iterations, random_state=seed)
    # One thread: among several, which one adds its sums first would show in the last bits. The warning is about rows
    # so close together that rounding makes them one; such a centre is as good as any other.
    with threadpool_limits(1, user_api="openmp"), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return _dense(model.fit(features).cluster_centers_)


def assign(features: csr_matrix, centres: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest centre of each row, the lowest of equals, and the squared Euclidean distance to it.

    A row's answer does not depend on the other rows, bit for bit: each is summed by itself, in order of its indices.
    Raises ValueError where features and centres differ in dimension.

    >>> assign(csr_matrix([[0.0, 3.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    (array([0, 0]), array([4., 1.]))
    """
    if features.shape[1] != centres.shape[1]:
        raise ValueError(
            f"features must have as many columns as the centres, got {features.shape[1]} and {centres.shape[1]}; "
            "use the featurizer that the centres were trained with"
        )
    centres = np.ascontiguousarray(centres)
    squares = features.power(2) @ np.ones(features.shape[1])
    distances = (centres * centres).sum(axis=1) - 2.0 * (features @ centres.T) + squares[:, np.newaxis]
    labels = distances.argmin(axis=1).astype(np.int64)
    nearest = np.take_along_axis(distances, labels[:, np.newaxis], axis=1)[:, 0]
    return labels, np.maximum(nearest, 0.0)  # rounding may have gone below


# Features and centres -> the nearest centre of each row, and how far it is: at least 0.
Assign: TypeAlias = Callable[[csr_matrix, NDArray[np.float64]], tuple[NDArray[np.int64], NDArray[np.float64]]]


@dataclass(slots=True, eq=False)
class LloydSums:
    """One step of Lloyd's loop: how many rows each centre is nearest to, and their sum.

    Sums are whole numbers of 2^-30, so any sharding, any batches and any order give the same bytes. Sums are to be
    merged only when they were made around the same centres. Raises OverflowError, and keeps what it had, when a sum
    would come to 2^32; for features between 0 and 1 that takes more than 4 billion rows.

    >>> centres = np.array([[0.0, 0.0], [8.0, 8.0]])
    >>> left, right = LloydSums.empty(2, 2), LloydSums.empty(2, 2)
    >>> left.add_many(csr_matrix([[1.0, 0.0]]), centres); right.add_many(csr_matrix([[0.0, 1.0]]), centres)
    >>> left.merge(right); left.centres(centres).tolist(), left.counts.tolist(), left.inertia
    ([[0.5, 0.5], [8.0, 8.0]], [2, 0], 2.0)
    """

    sums: NDArray[np.int64]  # (k, d), in units of 2^-30
    counts: NDArray[np.int64]  # (k,)
    _inertia: int = 0  # in units of 2^-30; a Python number, because squared counts of long texts are large

    @classmethod
    def empty(cls, k: int, d: int) -> LloydSums:
        """The sums of no row, for k centres of d dimensions."""
        return cls(np.zeros((k, d), np.int64), np.zeros(k, np.int64))

    @property
    def inertia(self) -> float:
        """The sum of squared distances of the rows to their nearest centres."""
        return self._inertia / int(_UNIT)

    def add_many(self, features: csr_matrix, centres: NDArray[np.float64], nearest: Assign = assign) -> None:
        """Adds each row to its nearest centre; raises ValueError where a number is not finite, and adds nothing."""
        if centres.shape != self.sums.shape:
            raise ValueError(f"centres must have the shape of the sums, {self.sums.shape}, got {centres.shape}")
        if not (np.isfinite(features.data).all() and np.isfinite(centres).all()):
            raise ValueError("features and centres must be finite numbers, got NaN or infinity: drop such rows first")
        if max(np.abs(features.data).sum(), np.abs(centres).max()) * _UNIT >= _LIMIT:
            raise OverflowError(_TOO_LARGE)
        labels, distances = nearest(features, centres)
        k, d = self.sums.shape
        cells = np.repeat(labels * d, np.diff(features.indptr)) + features.indices
        sums = np.zeros(k * d, np.int64)
        np.add.at(sums, cells, np.rint(features.data * _UNIT).astype(np.int64))
        inertia = sum(map(int, np.rint(distances * _UNIT).tolist()))
        self.merge(LloydSums(sums.reshape(k, d), np.bincount(labels, minlength=k), inertia))

    def merge(self, other: LloydSums) -> None:
        """Adds the rows of other, which stays as it is; raises ValueError where the shapes differ."""
        if self.sums.shape != other.sums.shape:
            raise ValueError(
                f"cannot merge Lloyd sums of shape {self.sums.shape} with {other.sums.shape}: "
                "build both with the same k and dimension"
            )
        inertia, sums = self._inertia + other._inertia, self.sums + other.sums
        if (np.abs(sums) >= _LIMIT).any() or inertia >= 2**128:
            raise OverflowError(_TOO_LARGE)
        self.sums, self.counts, self._inertia = sums, self.counts + other.counts, inertia

    def centres(self, previous: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of each centre's rows; the previous centre where there is none."""
        means: NDArray[np.float64] = self.sums / _UNIT / np.maximum(self.counts, 1)[:, np.newaxis]
        return np.where(self.counts[:, np.newaxis] > 0, means, previous)

    def to_bytes(self) -> bytes:
        header = _LAYOUT.pack(_KIND, *self.sums.shape, self._inertia.to_bytes(16, "little"))
        return header + self.counts.astype("<i8").tobytes() + self.sums.astype("<i8").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> LloydSums:
        """What `to_bytes` wrote; raises ValueError for anything else."""
        if len(data) < _LAYOUT.size or not data.startswith(_KIND):
            raise ValueError(f"Lloyd sums must begin with {_KIND!r}, got {data[:8]!r}: pass what to_bytes wrote")
        _, k, d, inertia = _LAYOUT.unpack_from(data)
        if len(data) != _LAYOUT.size + 8 * k * (1 + d):
            raise ValueError(f"Lloyd sums of shape {(k, d)} must not be cut or extended, got {len(data)} bytes")
        numbers = np.frombuffer(data, "<i8", offset=_LAYOUT.size).astype(np.int64)
        if (numbers[:k] < 0).any() or (numbers <= -_LIMIT).any() or (numbers >= _LIMIT).any():
            raise ValueError("Lloyd sums must be below 2^32, and counts not negative: these bytes were changed")
        return cls(numbers[k:].reshape(k, d), numbers[:k], int.from_bytes(inertia, "little"))


class Geometry(NamedTuple):
    """What is near, and where the middle is: all that one Lloyd's loop has to know of another."""

    start: Callable[[csr_matrix, int, int], NDArray[np.float64]]  # centres to start from: features, k, seed
    assign: Assign
    centres: Callable[[LloydSums, NDArray[np.float64]], NDArray[np.float64]]  # of sums, and the centres before


EUCLIDEAN = Geometry(initial_centres, assign, LloydSums.centres)


def distinct_rows(features: csr_matrix, most: int) -> int:
    """How many rows differ from all others, counted up to `most`."""
    rows = features.copy()
    rows.sum_duplicates()
    rows.eliminate_zeros()
    distinct: set[tuple[bytes, bytes]] = set()
    for start, end in zip(rows.indptr, rows.indptr[1:], strict=False):
        distinct.add((rows.indices[start:end].tobytes(), rows.data[start:end].tobytes()))
        if len(distinct) == most:
            break
    return len(distinct)


def _require_distinct_rows(features: csr_matrix, k: int) -> None:
    if k < 2:
        raise ValueError(f"k must be at least 2 clusters, got {k}; with one there is nothing to learn")
    if (found := distinct_rows(features, k)) < k:
        raise ValueError(f"k must be at most the number of distinct rows, got {k} for {found}: pass a smaller k")


def _dense(centres: csr_matrix | NDArray[np.float64]) -> NDArray[np.float64]:
    return np.ascontiguousarray(centres.toarray() if isinstance(centres, csr_matrix) else centres, dtype=np.float64)

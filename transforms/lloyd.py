"""K-means as a Beam graph: Lloyd's loop (1957/1982), unrolled, each step a sum that any sharding leaves alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import apache_beam as beam
import numpy as np
from apache_beam.pvalue import AsSingleton
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue
from numpy.typing import NDArray

from models.language.clustering import EUCLIDEAN, Assign, Geometry, LloydSums, fit_kmeans
from models.language.features import Featurizer

# Centres on their way between workers: steps made, whether they have come to rest, and their numbers.
Centres: TypeAlias = tuple[int, bool, bytes]

_START_SAMPLE = 20_000  # texts that k-means++ chooses the first centres from
_EVERYTHING = 2**62


@dataclass(eq=False, kw_only=True)
class _Fit(beam.PTransform):
    featurizer: Featurizer
    k: int
    seed: int
    steps: int  # at most
    geometry: Geometry = EUCLIDEAN

    def __post_init__(self) -> None:
        super().__init__()


class FitLloyd(_Fit):
    """Centres by Lloyd's loop: PCollection[list[str]] -> PCollection[Centres].

    Starts on a sample that a keyed hash draws, by k-means++ or as the geometry says. The steps are a fixed number in
    the graph; once the centres rest, the remaining ones cost nothing. The same texts give the same bytes in any order
    and any sharding.
    """

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        centres = (
            blocks
            | "Sample" >> _Draw(self.seed, _START_SAMPLE)
            | "Start" >> beam.Map(self._start).with_output_types(Centres)
        )
        for step in range(1, self.steps + 1):
            sums = (blocks, centres) | f"Sum{step}" >> SumAround(self.featurizer, self.k, self.geometry)
            centres = sums | f"Move{step}" >> beam.Map(self._moved, AsSingleton(centres)).with_output_types(Centres)
        return centres

    def _start(self, sample: list[tuple[bytes, str]]) -> Centres:
        features = self.featurizer.transform([text for _, text in sample])
        return 0, False, to_bytes(self.geometry.start(features, self.k, self.seed))

    def _moved(self, sums: bytes, centres: Centres) -> Centres:
        if not sums:
            return centres
        steps, _, data = centres
        around = LloydSums.from_bytes(sums)
        moved = to_bytes(self.geometry.centres(around, from_bytes(data, self.k)))
        return steps + 1, moved == data, moved


class FitScikitLearn(_Fit):
    """Centres by scikit-learn's KMeans, on all texts in one worker: PCollection[list[str]] -> PCollection[Centres].

    The texts are put in the order of a keyed hash first, so that the order of arrival does not show.
    """

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        return (
            blocks | "Gather" >> _Draw(self.seed, _EVERYTHING) | "Fit" >> beam.Map(self._fit).with_output_types(Centres)
        )

    def _fit(self, texts: list[tuple[bytes, str]]) -> Centres:
        features = self.featurizer.transform([text for _, text in texts])
        return self.steps, True, to_bytes(fit_kmeans(features, self.k, self.seed, self.steps))


class SumAround(beam.PTransform):
    """The sums of the texts around their nearest centres, as LloydSums in bytes, or no bytes for centres at rest.

    (PCollection[list[str]], PCollection[Centres]) -> PCollection[bytes]
    """

    def __init__(self, featurizer: Featurizer, k: int, geometry: Geometry = EUCLIDEAN) -> None:
        super().__init__()
        self._sum = _SumBundle(featurizer, k, geometry.assign)

    def expand(self, inputs: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        blocks, centres = inputs
        return (
            blocks
            | "Assign" >> beam.ParDo(self._sum, AsSingleton(centres))
            | "Gather" >> beam.GroupByKey()
            | "Merge" >> beam.MapTuple(_merged).with_output_types(bytes)
        )


@beam.typehints.with_output_types(tuple[None, bytes])
class _SumBundle(beam.DoFn):
    def __init__(self, featurizer: Featurizer, k: int, nearest: Assign) -> None:
        self._featurizer = featurizer
        self._k = k
        self._nearest = nearest

    def start_bundle(self) -> None:
        self._sums: LloydSums | None = None

    def process(self, texts: list[str], centres: Centres) -> None:
        _, resting, data = centres
        if resting:
            return
        self._sums = self._sums or LloydSums.empty(self._k, self._featurizer.dimension)
        self._sums.add_many(self._featurizer.transform(texts), from_bytes(data, self._k), self._nearest)

    def finish_bundle(self) -> Iterator[WindowedValue]:
        sums = self._sums.to_bytes() if self._sums else b""
        yield WindowedValue((None, sums), MIN_TIMESTAMP, [GlobalWindow()])


def _merged(_: None, pieces: Iterable[bytes]) -> bytes:
    sums = [LloydSums.from_bytes(piece) for piece in pieces if piece]
    for other in sums[1:]:
        sums[0].merge(other)
    return sums[0].to_bytes() if sums else b""


def to_bytes(centres: NDArray[np.float64]) -> bytes:
    """Centres as little-endian doubles, row by row."""
    return np.ascontiguousarray(centres, dtype="<f8").tobytes()


def from_bytes(data: bytes, k: int) -> NDArray[np.float64]:
    """The k centres that `to_bytes` wrote."""
    return np.frombuffer(data, dtype="<f8").reshape(k, -1).astype(np.float64)


class _Draw(beam.PTransform):
    """At most `size` texts in the order of a hash keyed with the seed: PCollection[list[str]] -> one list."""

    def __init__(self, seed: int, size: int) -> None:
        super().__init__()
        self._key = seed.to_bytes(8, "little", signed=True)
        self._size = size

    def expand(self, blocks: beam.PCollection) -> beam.PCollection:
        tickets = blocks | "Ticket" >> beam.FlatMap(self._tickets).with_output_types(tuple[bytes, str])
        if self._size == _EVERYTHING:
            return tickets | "All" >> beam.combiners.ToList() | "InOrder" >> beam.Map(sorted)
        return tickets | "First" >> beam.combiners.Top.Smallest(self._size)

    def _tickets(self, texts: list[str]) -> Iterator[tuple[bytes, str]]:
        for text in texts:
            yield hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=8).digest(), text

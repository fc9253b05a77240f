"""Learns which texts are written alike: tweets in, a language model out, and a description of its clusters."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import apache_beam as beam
from apache_beam.pvalue import AsSingleton

from models.language.artifact import GEOMETRIES, LanguageModel
from models.language.clustering import LloydSums
from models.language.features import Featurizer
from transforms.frequency import Frequencies
from transforms.lloyd import Centres, FitLloyd, FitScikitLearn, SumAround, from_bytes
from transforms.schemas import Tweet

Method: TypeAlias = Literal["scikit-learn", "lloyd", "kl-kmeans"]
Located: TypeAlias = tuple[int, float, str, str]  # cluster, how far its centre is, text, label or ""

_FIT = {"scikit-learn": FitScikitLearn, "lloyd": FitLloyd, "kl-kmeans": FitLloyd}
_EXAMPLES = 12  # candidates kept for each cluster; the same text may come often
_BLOCK = 1000


@dataclass(eq=False, kw_only=True)
class TrainLanguage(beam.PTransform):
    """K-means over the texts: PCollection[Tweet] -> {"model": PCollection[bytes], "clusters": PCollection[dict]}.

    Both collections hold one element: the file of a LanguageModel, and what each cluster holds, with the texts that
    lie nearest to its centre (those stay out of the model). The same tweets in any order give the same bytes.
    """

    featurizer: Featurizer
    k: int
    seed: int = 0
    method: Method = "scikit-learn"
    iterations: int = 100

    def __post_init__(self) -> None:
        super().__init__()
        if self.k < 2:
            raise ValueError(f"k must be at least 2 clusters, got {self.k}; the published application has 10")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be a whole number of 32 bits, got {self.seed}; for example 0")
        if self.iterations < 1:
            raise ValueError(f"iterations must be at least 1, got {self.iterations}")
        if self.method not in _FIT:
            raise ValueError(f"method must be one of {', '.join(get_args(Method))}, got {self.method!r}")

    def expand(self, tweets: beam.PCollection) -> dict[str, beam.PCollection]:
        blocks = tweets | "Block" >> beam.BatchElements(min_batch_size=_BLOCK, max_batch_size=_BLOCK)
        texts = blocks | "Texts" >> beam.Map(_texts).with_output_types(list[str])
        fit = _FIT[self.method](
            featurizer=self.featurizer,
            k=self.k,
            seed=self.seed,
            steps=self.iterations,
            geometry=GEOMETRIES[self.method],
        )
        centres = texts | "Fit" >> fit
        final = centres | "Final" >> beam.Map(_awake).with_output_types(Centres)
        located = blocks | "Locate" >> beam.FlatMap(self._locate, AsSingleton(final)).with_output_types(Located)
        model = centres | "Assemble" >> beam.Map(
            self._assemble,
            sums=AsSingleton(
                (texts, final) | "SumFinal" >> SumAround(self.featurizer, self.k, GEOMETRIES[self.method])
            ),
            labels=AsSingleton(located | "Label" >> beam.Map(_label) | "CountLabels" >> Frequencies()),
            fingerprint=AsSingleton(
                texts | "Digest" >> beam.Map(_digest) | "Fingerprint" >> beam.CombineGlobally(_sum)
            ),
        ).with_output_types(bytes)
        nearest = (
            located
            | "ByCluster" >> beam.Map(_by_cluster).with_output_types(tuple[int, tuple[float, str, str]])
            | "Nearest" >> beam.combiners.Top.SmallestPerKey(_EXAMPLES)
            | "Examples" >> beam.combiners.ToDict()
        )
        clusters = model | "Describe" >> beam.Map(describe_clusters, AsSingleton(nearest))
        return {"model": model, "clusters": clusters}

    def _locate(self, tweets: list[Tweet], centres: Centres) -> Iterator[Located]:
        features = self.featurizer.transform([tweet.text for tweet in tweets])
        clusters, distances = GEOMETRIES[self.method].assign(features, from_bytes(centres[2], self.k))
        for tweet, cluster, distance in zip(tweets, clusters.tolist(), distances.tolist(), strict=True):
            yield cluster, distance, tweet.text, tweet.lang or ""

    def _assemble(self, centres: Centres, sums: bytes, labels: dict[tuple[int, str], int], fingerprint: bytes) -> bytes:
        around = LloydSums.from_bytes(sums)
        languages: list[dict[str, int]] = [{} for _ in range(self.k)]
        for (cluster, label), count in sorted(labels.items()):
            if label:
                languages[cluster][label] = count
        return LanguageModel(
            featurizer=self.featurizer,
            centres=from_bytes(centres[2], self.k),
            languages=tuple(languages),
            sizes=tuple(int(count) for count in around.counts),
            method=self.method,
            seed=self.seed,
            iterations=centres[0],
            inertia=around.inertia,
            fingerprint=fingerprint.hex(),
        ).to_bytes()


def describe_clusters(data: bytes, nearest: dict[int, list[tuple[float, str, str]]]) -> dict[str, Any]:
    """A model's passport, and for each cluster its size, its languages and its most typical texts."""
    model = LanguageModel.from_bytes(data)
    clusters = [
        {
            "cluster": cluster,
            "size": size,
            "majority": model.majority(cluster),
            "languages": dict(sorted(model.languages[cluster].items(), key=lambda item: (-item[1], item[0]))),
            "typical": list(dict.fromkeys(text for _, text, _ in sorted(nearest.get(cluster, [])))),
        }
        for cluster, size in enumerate(model.sizes)
    ]
    return {"model": model.passport, "clusters": clusters}


def _texts(tweets: list[Tweet]) -> list[str]:
    return [tweet.text for tweet in tweets]


def _awake(centres: Centres) -> Centres:
    """The same centres, not at rest, so that the last sums are made around them."""
    steps, _, data = centres
    return steps, False, data


def _label(located: Located) -> tuple[int, str]:
    return located[0], located[3]


def _by_cluster(located: Located) -> tuple[int, tuple[float, str, str]]:
    return located[0], located[1:]


def _digest(texts: list[str]) -> bytes:
    """One digest of many texts that does not depend on their order: the sum of theirs, modulo 2^128."""
    return _sum(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts)


def _sum(digests: Iterable[bytes]) -> bytes:
    return (sum(int.from_bytes(digest, "big") for digest in digests) % 2**128).to_bytes(16, "big")

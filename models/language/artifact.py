"""A language model and its file: centres, and a passport that says where they come from.

The file is safetensors: numbers and text, so reading it executes nothing. It has one tensor, `centres`, and one entry
of metadata, `passport`, as JSON: the format stores several entries in an order that changes from run to run, and equal
models shall be equal files. A SHA-256 over both is checked before any of it is used.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from models.language.clustering import EUCLIDEAN, Geometry
from models.language.features import Featurizer
from models.language.mixture import LIKELIHOOD

KIND = "streamsketch.language"
_VERSION = 1
# How each method tells which centre is nearest.
GEOMETRIES: dict[str, Geometry] = {"scikit-learn": EUCLIDEAN, "lloyd": EUCLIDEAN, "kl-kmeans": LIKELIHOOD}
_UNDECIDED = "und"  # the label of a text whose language nobody can tell
_LARGEST_HEADER = 16 * 2**20  # bytes; a passport of 50 clusters and 100 languages takes 100 kB
_ADVICE = "train it again, or fetch it again from where it was written"
# What a file of another kind and a passport of wrong types cause on the way, before they are called by one name.
_UNFIT = (SafetensorError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)


class ModelFileError(ValueError):
    """The bytes are not a language model that can be trusted."""


@dataclass(frozen=True, eq=False, kw_only=True)
class LanguageModel:
    """Clusters of texts that are written alike, the way to tell a text's cluster, and what training saw of each.

    `centres` has the shape (k, dimension): means, or of kl-kmeans logarithms of probabilities, and then `inertia` is
    minus the logarithm of the likelihood. `languages` has the training texts of each cluster by label; texts without
    a label are counted in `sizes` only. The model holds no text. Raises ValueError where the parts do not agree.

    >>> model = LanguageModel(
    ...     featurizer=Featurizer(dimension=2), centres=np.eye(2), languages=({"en": 2, "fr": 1}, {}), sizes=(4, 1),
    ...     method="lloyd", seed=0, iterations=20, inertia=0.5, fingerprint="",
    ... )
    >>> model.majority(0), model.clusters_of("en"), LanguageModel.from_bytes(model.to_bytes()).predict(["a", "b"])
    ('en', (0,), array([1, 0]))
    """

    featurizer: Featurizer
    centres: NDArray[np.float64]
    languages: tuple[Mapping[str, int], ...]
    sizes: tuple[int, ...]
    method: str
    seed: int
    iterations: int
    inertia: float
    fingerprint: str  # of the training data

    def __post_init__(self) -> None:
        centres = np.array(self.centres, dtype="<f8", order="C")
        centres.flags.writeable = False
        object.__setattr__(self, "centres", centres)
        shape = (len(self.sizes), self.featurizer.dimension)
        if centres.shape != shape or not len(self.sizes) == len(self.languages) > 0:
            raise ValueError(
                f"centres must have a row for each of {shape[0]} sizes and {len(self.languages)} tables of languages, "
                f"and a column for each of {shape[1]} buckets, got {centres.shape}"
            )
        if not np.isfinite(centres).all():
            raise ValueError("centres must be finite numbers, got NaN or infinity: train on finite features")
        if self.method not in GEOMETRIES:
            raise ValueError(f"method must be one of {', '.join(GEOMETRIES)}, got {self.method!r}")
        if self.iterations < 0 or not 0 <= self.inertia < math.inf:
            raise ValueError(f"iterations and inertia must be at least 0, got {self.iterations} and {self.inertia}")
        for cluster, (size, counts) in enumerate(zip(self.sizes, self.languages, strict=True)):
            if "" in counts or min(counts.values(), default=1) < 1 or sum(counts.values()) > size:
                raise ValueError(
                    f"languages of cluster {cluster} must be named, counted from 1 and at most its {size} texts, "
                    f"got {dict(counts)}"
                )

    def predict(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """The cluster of each text; a text's answer does not depend on the others."""
        return GEOMETRIES[self.method].assign(self.featurizer.transform(texts), self.centres)[0]

    def majority(self, cluster: int) -> str | None:
        """The most frequent label of a cluster, the first by name among equals; None where no text was decided."""
        counts = {label: count for label, count in self.languages[cluster].items() if label != _UNDECIDED}
        return min(counts, key=lambda label: (-counts[label], label), default=None)

    def clusters_of(self, language: str) -> tuple[int, ...]:
        """The clusters whose majority is a language; raises ValueError where there is none."""
        majorities = [self.majority(cluster) for cluster in range(len(self.sizes))]
        clusters = tuple(cluster for cluster, majority in enumerate(majorities) if majority == language)
        if not clusters:
            known = ", ".join(sorted({majority for majority in majorities if majority})) or "none: it saw no label"
            raise ValueError(f"language must be the majority of a cluster, got {language!r}; this model has {known}")
        return clusters

    @property
    def passport(self) -> dict[str, Any]:
        """What the model is and where it comes from, ready for JSON; `sha256` seals all of it and the centres."""
        return self._described | {"sha256": _digest(self._described, self.centres)}

    @property
    def _described(self) -> dict[str, Any]:
        return {
            "format": KIND,
            "version": _VERSION,
            "variant": self.featurizer.variant,
            "dimension": int(self.featurizer.dimension),
            "k": len(self.sizes),
            "seed": int(self.seed),
            "method": self.method,
            "iterations": int(self.iterations),
            "inertia": float(self.inertia),
            "texts": sum(map(int, self.sizes)),
            "sizes": [int(size) for size in self.sizes],
            "languages": [{label: int(count) for label, count in counts.items()} for counts in self.languages],
            "fingerprint": str(self.fingerprint),
        }

    def to_bytes(self) -> bytes:
        """The model file; equal models are equal bytes."""
        data: bytes = save({"centres": self.centres}, {"passport": _canonical(self.passport)})
        if _header_length(data) > _LARGEST_HEADER:
            raise ValueError(f"languages must fit a header of {_LARGEST_HEADER} bytes: keep the frequent labels only")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> LanguageModel:
        """What `to_bytes` wrote; raises ModelFileError for anything else."""
        passport, centres = _read(data)
        try:
            model = cls(
                featurizer=Featurizer(passport["variant"], passport["dimension"]),
                centres=centres,
                languages=tuple(passport["languages"]),
                sizes=tuple(passport["sizes"]),
                method=passport["method"],
                seed=passport["seed"],
                iterations=passport["iterations"],
                inertia=passport["inertia"],
                fingerprint=passport["fingerprint"],
            )
            agrees = _canonical(model._described) == _canonical(passport) and centres.dtype == model.centres.dtype
        except _UNFIT as error:
            raise ModelFileError(
                f"a model file must hold a model whose parts agree, got {error!r}: {_ADVICE}"
            ) from error
        if not agrees:
            raise ModelFileError(f"a model file must say in its passport what it holds, got other values: {_ADVICE}")
        return model


def _read(data: bytes) -> tuple[dict[str, Any], NDArray[np.float64]]:
    """The passport, without its seal, and the centres of a file whose seal is whole, or ModelFileError."""
    length = _header_length(data)
    if not 0 < length <= min(_LARGEST_HEADER, len(data) - 8):
        raise ModelFileError(
            f"a model file must begin with the length of its header, at most {_LARGEST_HEADER} bytes, got {length} "
            f"in a file of {len(data)}: pass a language model in safetensors"
        )
    try:
        tensors = load(data)
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
        passport, centres = json.loads(metadata["passport"]), tensors["centres"]
        kind, written = (passport["format"], passport["version"]), passport.pop("sha256")
        sealed = _digest(passport, centres)
    except _UNFIT as error:
        raise ModelFileError(f"a model file must hold centres and a passport, got {error!r}: {_ADVICE}") from error
    if kind != (KIND, _VERSION):
        raise ModelFileError(
            f"a model file must be of {KIND}, version {_VERSION}, got {kind}: read it with the release that wrote it"
        )
    if len(tensors) + len(metadata) > 2:
        raise ModelFileError(f"a model file must hold nothing else, got {sorted([*tensors, *metadata])}: {_ADVICE}")
    if written != sealed:
        raise ModelFileError(f"a model file must have the SHA-256 {written}, got {sealed}: it was changed; {_ADVICE}")
    return passport, centres


def _header_length(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _digest(described: Mapping[str, Any], centres: NDArray[Any]) -> str:
    digest = hashlib.sha256(_canonical([described, centres.dtype.str, centres.shape]).encode())
    digest.update(np.ascontiguousarray(centres).data)
    return digest.hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)

"""Tells the language of short texts by the n-grams in them, with confidence, and says `und` where it cannot tell.

A label's score is the sum of the weights of a text's n-grams, over the root of how many there are, plus the label's
bias; confidence is the softmax of the scores. Weights are whole numbers of 8 bits, so sums are exact, and a text's
answer depends on nothing but the text, whichever code computes it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import resources
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from models.language.characters import letters, roles, units_of
from models.language.counts import UNDECIDED, LanguageCounts
from models.language.kernels import kernel
from models.language.ngrams import Ngrams, hashed_grams, told_grams
from models.language.sealed_file import UNFIT, FileError, opened, sealed

_KIND, _VERSION = "streamsketch.language-classifier", 1
_BLOCK = 1000  # texts together: enough for whole arrays, and few enough for the nearer caches
_MOST_LABELS = 1000


class Detected(NamedTuple):
    """The languages of texts: `labels` by name, `und` where there is none, and `confidence` between 0 and 1."""

    labels: list[str]
    confidence: NDArray[np.float64]


class Evidence(NamedTuple):
    """An n-gram of a text, with _ for a space: how often it came, and what it adds to a label over the runner-up."""

    gram: str
    times: int
    points: float


class Explanation(NamedTuple):
    """Why a text was given its label: the n-grams that spoke loudest for it (points above 0) and against it."""

    label: str
    confidence: float
    runner_up: str
    evidence: list[Evidence]


@dataclass(frozen=True, eq=False)
class Table:
    """Weights of n-grams, a row a bucket and a column a label, in the forms that the kernels take."""

    weights: NDArray[np.int8]

    @cached_property
    def wide(self) -> NDArray[np.float32]:
        """As numbers that numpy multiplies fast; sums of fewer than 2^17 weights are exact."""
        return self.weights.astype(np.float32)

    @cached_property
    def padded(self) -> NDArray[np.int8]:
        """With columns of 0 up to a multiple of 16, so that a row is whole registers."""
        return np.pad(self.weights, ((0, 0), (0, -self.weights.shape[1] % 16)))


@dataclass(frozen=True, eq=False, kw_only=True)
class LanguageClassifier:
    """Tells the language of texts; made of LanguageCounts, read from a file, or `default()`, which comes along.

    `weights` has the shape (buckets, labels); `step` is what 1 in it stands for. `provenance` says what it was trained
    on, ready for JSON. It holds no text. Raises ValueError where the parts do not agree.

    >>> counts = LanguageCounts()
    >>> counts.add_many(["wo ist der Bahnhof", "where is the station"], ["de", "en"])
    >>> classifier = LanguageClassifier.of_counts(counts)
    >>> classifier.predict(["the station", "der Bahnhof", "1 2 3"]).labels
    ['en', 'de', 'und']
    """

    labels: tuple[str, ...]
    weights: NDArray[np.int8]
    step: float
    biases: tuple[float, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        weights = np.array(self.weights, order="C")
        weights.flags.writeable = False
        object.__setattr__(self, "weights", weights)
        if not 1 <= len(self.labels) <= _MOST_LABELS or list(self.labels) != sorted(set(self.labels)):
            raise ValueError(f"labels must be 1 to {_MOST_LABELS} different names in order, got {self.labels}")
        if not all(isinstance(label, str) and label not in {"", UNDECIDED} for label in self.labels):
            raise ValueError(f"labels must be names of languages, got an empty one or {UNDECIDED}: leave it out")
        if not isinstance(self.provenance, Mapping):
            raise ValueError(f"provenance must be an object, got {type(self.provenance).__name__}")
        if weights.dtype != np.int8 or weights.ndim != 2 or weights.shape[1] != len(self.labels):
            raise ValueError(
                f"weights must be int8, with a column for each of {len(self.labels)} labels, "
                f"got {weights.dtype} of the shape {weights.shape}"
            )
        Ngrams(self.buckets)  # whose rule it is
        if (weights == -128).any():
            raise ValueError("weights must be between -127 and 127, got -128")
        if len(self.biases) != len(self.labels) or not all(math.isfinite(bias) for bias in self.biases):
            raise ValueError(f"biases must be {len(self.labels)} finite numbers, got {self.biases}")
        if not 0 < self.step < 1e6:
            raise ValueError(f"step must be above 0 and finite, got {self.step}")

    @property
    def buckets(self) -> int:
        """How many there are, for n-grams to fall in."""
        return int(self.weights.shape[0])

    @cached_property
    def _table(self) -> Table:
        return Table(self.weights)

    @classmethod
    def of_counts(
        cls,
        counts: LanguageCounts,
        labels: Collection[str] | None = None,
        alpha: float = 0.01,
        scale: float = 0.6,
    ) -> LanguageClassifier:
        """Multinomial naive Bayes of all languages that were counted, or of some.

        `scale` is by how much scores tell confidence: independent n-grams would be 1, and real ones depend on each
        other. Raises ValueError where there is no language, or one of which nothing was counted.
        """
        chosen = tuple(sorted(counts.labels if labels is None else set(labels)))
        unseen = sorted(set(chosen) - set(counts.labels))
        if unseen or not chosen:
            raise ValueError(f"there must be texts of each language, and there is none of {', '.join(unseen) or 'any'}")
        provenance = {
            "method": "naive-bayes",
            "alpha": alpha,
            "texts": {label: counts.texts[label] for label in chosen},
            "fingerprint": counts.fingerprint,
        }
        weights = scale * counts.weights(chosen, alpha)
        return cls.of_weights(chosen, weights, np.zeros(len(chosen)), provenance)

    @classmethod
    def of_weights(
        cls,
        labels: tuple[str, ...],
        weights: NDArray[np.floating[Any]],
        biases: NDArray[np.floating[Any]],
        provenance: Mapping[str, Any],
    ) -> LanguageClassifier:
        """The nearest classifier whose weights have 8 bits; what all labels of an n-gram share is left out."""
        middle = (weights.max(axis=1, keepdims=True) + weights.min(axis=1, keepdims=True)) / 2
        centred = weights - middle
        step = float(np.abs(centred).max()) / 127 or 1.0
        return cls(
            labels=labels,
            weights=np.rint(centred / step).astype(np.int8),
            step=step,
            biases=tuple(float(bias) for bias in biases),
            provenance=provenance,
        )

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The score of each label for each text; shape (texts, labels). A text without a letter has NaN."""
        blocks = [np.zeros((0, len(self.labels)))]
        for start in range(0, len(texts), _BLOCK):
            units, spaces = units_of(texts[start : start + _BLOCK])
            sums, sizes = summed(units, spaces, letters(), roles(), self.buckets, self._table)
            factors = self.step / np.sqrt(np.where(sizes > 0, sizes, np.nan))
            scores = sums.astype(np.float64)
            scores *= factors[:, np.newaxis]
            scores += self.biases
            blocks.append(scores)
        return np.concatenate(blocks)

    def probabilities(self, texts: Sequence[str], languages: Collection[str] | None = None) -> NDArray[np.float64]:
        """How likely each label is for each text, 0 for those that are not among `languages`; NaN as in `scores`.

        Raises ValueError for a language that the classifier does not know.
        """
        scores = self.scores(texts)
        if languages is not None:
            scores[:, ~self.among(languages)] = -np.inf
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        return scores

    def among(self, languages: Collection[str]) -> NDArray[np.bool_]:
        """Which labels are among some languages; ValueError where there are none, or it does not know one."""
        unknown = sorted(set(languages) - set(self.labels))
        if unknown or not languages:
            known = ", ".join(self.labels)
            raise ValueError(f"languages must be some of {known}, got {', '.join(unknown) or 'none'}")
        return np.array([label in languages for label in self.labels])

    def predict(
        self, texts: Sequence[str], min_confidence: float = 0.0, languages: Collection[str] | None = None
    ) -> Detected:
        """The likeliest label of each text, out of `languages` if given, and how sure that is.

        A text that has no letter is `und`, with confidence 0, and so is one below `min_confidence`, with its own.
        """
        likely = self.probabilities(texts, languages)
        best = likely.argmax(axis=1) if likely.size else np.zeros(0, np.int64)
        confidence = np.nan_to_num(likely[np.arange(len(best)), best], nan=0.0)
        best[(confidence == 0.0) | (confidence < min_confidence)] = len(self.labels)
        names = [*self.labels, UNDECIDED]
        return Detected([names[place] for place in best.tolist()], confidence)

    def explain(self, text: str, most: int = 10) -> Explanation:
        """Which n-grams of a text spoke for its label rather than for the next likely one, loudest first."""
        likely = self.probabilities([text])[0]
        if len(self.labels) < 2 or np.isnan(likely).any():
            return Explanation(*_only(self.predict([text])), UNDECIDED, [])
        runner_up, best = np.argsort(likely, kind="stable")[-2:]
        told, buckets = told_grams(text, self.buckets)
        points = self.weights[buckets, best].astype(np.float64) - self.weights[buckets, runner_up]
        points *= self.step / math.sqrt(len(told))
        times: dict[str, list[float]] = {}
        for gram, point in zip(told, points.tolist(), strict=True):
            times.setdefault(gram, []).append(point)
        evidence = [Evidence(gram, len(each), sum(each)) for gram, each in times.items()]
        evidence.sort(key=lambda item: (-abs(item.points), item.gram))
        return Explanation(self.labels[best], float(likely[best]), self.labels[runner_up], evidence[:most])

    @property
    def passport(self) -> dict[str, Any]:
        """What the classifier is and where it comes from, ready for JSON."""
        return {
            "buckets": self.buckets,
            "labels": list(self.labels),
            "step": float(self.step),
            "biases": [float(bias) for bias in self.biases],
            "provenance": json.loads(json.dumps(self.provenance)),
        }

    @cached_property
    def sha256(self) -> str:
        """Of the classifier's file: which one it is."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The file; equal classifiers are equal bytes."""
        return sealed(_KIND, _VERSION, self.passport, {"weights": self.weights})

    @classmethod
    def from_bytes(cls, data: bytes) -> LanguageClassifier:
        """What `to_bytes` wrote; raises FileError for anything else."""
        passport, tensors = opened(data, _KIND, _VERSION)
        try:
            classifier = cls(
                labels=tuple(passport["labels"]),
                weights=tensors["weights"],
                step=passport["step"],
                biases=tuple(passport["biases"]),
                provenance=passport["provenance"],
            )
            whole = list(tensors) == ["weights"] and _same(classifier.passport, passport)
        except UNFIT as error:
            raise FileError(f"a classifier's parts must agree, got {error!r}: train it again") from error
        if not whole:
            raise FileError("a classifier must say in its passport what it holds, got other values: train it again")
        return classifier


@cache
def default() -> LanguageClassifier:
    """The classifier that comes along, trained on public tweets and news; its passport says on which."""
    return LanguageClassifier.from_bytes((resources.files("models.language") / "default.safetensors").read_bytes())


@kernel
def summed(
    units: NDArray[np.uint16],
    spaces: NDArray[np.int64],
    letters: NDArray[np.uint16],
    roles: NDArray[np.uint8],
    among: int,
    table: Table,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The sum of the weights of all n-grams of each text, label by label, and how many n-grams there are."""
    buckets, bounds = hashed_grams(units, spaces, letters, roles, among)
    present = csr_matrix(
        (np.ones(buckets.size, np.float32), buckets, bounds), shape=(bounds.size - 1, table.wide.shape[0])
    )
    return (present @ table.wide).astype(np.int32), np.diff(bounds)


def _only(detected: Detected) -> tuple[str, float]:
    return detected.labels[0], float(detected.confidence[0])


def _same(one: object, other: object) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)

"""Learns languages from a stream that nobody labelled, beginning with a few texts of each.

Expectation-maximisation, online and hard: texts are labelled by what is known, and those that are told surely are
counted. Whole texts are counted for one language, so counts stay whole numbers, which add up. Sources: Nigam, McCallum,
Thrun and Mitchell, Text Classification from Labeled and Unlabeled Documents using EM (2000); Liang and Klein, Online EM
for Unsupervised Models (2009); smoothing by what all languages share: Zhai and Lafferty (2004).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from models.language.classifier import LanguageClassifier
from models.language.counts import LanguageCounts

_ALPHA = 0.01  # added to each count, so that an n-gram that never came has a logarithm
_SHARED = 0.03  # of the mean of all languages is added to each: names, laughter and loanwords tell none
_PRIOR = 0.25  # how much the frequency of a language counts, beside scores that are divided by the root of a length
_SCALE = 0.6  # by how much scores tell confidence, as in LanguageClassifier.of_counts


@dataclass(eq=False)
class StreamingEM:
    """Goes on learning the languages of a seed from texts that nobody labelled.

    Each call of `learn` is a batch: its texts are labelled by what was known before it, so their order does not matter,
    and the same batches give the same bytes. A text that is `und`, or less sure than `min_confidence`, teaches nothing.
    `weight` is how often an n-gram of a learnt text counts beside one of the seed, which may be of another kind. What
    was learnt is kept apart in `learnt`: it can be stored, and `learnt.merge` adds what another worker learnt. A
    language whose seed is a hundred times smaller than the others' looks like a mean of all, and takes what is theirs.

    >>> seed = LanguageCounts()
    >>> seed.add_many(["wo ist der Bahnhof", "where is the station"], ["de", "en"])
    >>> em = StreamingEM(seed)
    >>> em.learn(["wo ist der Hafen von Emden", "where is the harbour of Hull", "?"])
    >>> em.learnt.texts
    {'de': 1, 'en': 1}
    >>> em.classifier().predict(["Hafen", "harbour"]).labels
    ['de', 'en']
    """

    seed: LanguageCounts
    min_confidence: float = 0.8
    weight: int = 4
    learnt: LanguageCounts = field(init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be between 0 and 1, got {self.min_confidence}; for example 0.8")
        if self.weight < 1:
            raise ValueError(f"weight must be a whole number from 1 on, got {self.weight}; for example 4")
        if not self.seed.texts:
            raise ValueError("a seed must have texts of each language that is to be learnt, got none: add some")
        self.learnt = LanguageCounts(self.seed.buckets)

    def learn(self, texts: Sequence[str]) -> None:
        """Labels texts by what is known, and counts those whose language is told surely."""
        self.learnt.add_many(texts, self.classifier().predict(texts, self.min_confidence).labels)

    def classifier(self) -> LanguageClassifier:
        """Naive Bayes of all that is known by now; a language that was learnt more often is likelier beforehand."""
        labels, often = self.seed.labels, self.learnt.texts
        counts = np.array([self.seed.of(label) for label in labels], np.float64)
        for place, label in enumerate(labels):
            if label in often:
                counts[place] += self.weight * self.learnt.of(label)
        counts += _SHARED * counts.mean(axis=0) + _ALPHA
        weights = np.log(counts) - np.log(counts.sum(axis=1, keepdims=True))
        priors = np.array([often.get(label, 0) + 1.0 for label in labels])
        provenance = {
            "method": "naive-bayes, streaming EM",
            "min_confidence": self.min_confidence,
            "weight": self.weight,
            "texts": {label: self.seed.texts[label] for label in labels},
            "learnt": {label: often[label] for label in sorted(often)},
            "fingerprints": {"seed": self.seed.fingerprint, "learnt": self.learnt.fingerprint},
        }
        biases = _PRIOR * np.log(priors / priors.sum())
        return LanguageClassifier.of_weights(labels, _SCALE * weights.T, biases, provenance)

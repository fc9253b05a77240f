"""Learns languages from a stream that nobody labelled, beginning with a few seeds.

Expectation-maximisation, online and hard: a batch is labelled by what is known, and what is told surely is counted.
Sources: Nigam, McCallum, Thrun and Mitchell, Text Classification from Labeled and Unlabeled Documents using EM (2000);
Liang and Klein, Online EM for Unsupervised Models (2009).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from models.language.classifier import LanguageClassifier
from models.language.counts import LanguageCounts


@dataclass(eq=False)
class StreamingEM:
    """Goes on learning the languages of a seed from texts that nobody labelled.

    A batch is what one call of `learn` is given: its texts are all labelled by what was known before it, so that their
    order does not matter. Counts stay whole numbers, and what was learnt stays apart from the seed.
    """

    seed: LanguageCounts
    min_confidence: float = 0.9
    learnt: LanguageCounts = field(init=False)

    def __post_init__(self) -> None:
        self.learnt = LanguageCounts(self.seed.buckets)

    def learn(self, texts: Sequence[str]) -> None:
        """Labels texts by what is known, and counts those whose language is told surely."""
        self.learnt.add_many(texts, self.classifier().predict(texts, self.min_confidence).labels)

    def classifier(self) -> LanguageClassifier:
        """Of all that is known by now."""
        counts = LanguageCounts(self.seed.buckets)
        counts.merge(self.seed)
        counts.merge(self.learnt)
        return LanguageClassifier.of_counts(counts)

"""Learning languages from texts that nobody labelled, on many workers: a batch of streaming EM."""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from transforms.detecting import LANG, CountLanguages, DetectLanguage, Labelled, Row, load_classifier


@dataclass(eq=False, kw_only=True)
class LearnLanguages(beam.PTransform):
    """Counts texts by the language that a classifier is sure of: PCollection[str] -> PCollection[LanguageCounts].

    One element: to the byte what `StreamingEM.learn` counts of all the texts as one batch, in any sharding, where
    `model` is the file of `StreamingEM.classifier()`. Merge it into `StreamingEM.learnt`, and go on. Raises ValueError
    where there is no such file.
    """

    model: str
    min_confidence: float = 0.8

    def __post_init__(self) -> None:
        super().__init__()

    def expand(self, texts: beam.PCollection) -> beam.PCollection:
        rows = texts | "Record" >> beam.Map(_record).with_output_types(Row)
        told = rows | DetectLanguage(model=self.model, min_confidence=self.min_confidence)
        labelled = told | "Label" >> beam.Map(_labelled).with_output_types(Labelled)
        return labelled | CountLanguages(load_classifier(self.model).buckets)


def _record(text: str) -> Row:
    return {"text": text}


def _labelled(row: Row) -> Labelled:
    return row["text"], row[LANG]

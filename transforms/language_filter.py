"""Keeps the tweets of one language, as a classifier tells it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from transforms.bundling import InBatches
from transforms.detecting import load_classifier
from transforms.schemas import Tweet


@dataclass(eq=False)
class FilterLanguage(beam.PTransform):
    """Tweets of a language: PCollection[Tweet] -> `.matched` and `.others`, each PCollection[Tweet], as they came.

    `model` is the file of a classifier; "" stands for the one that comes along. A tweet whose language is told with
    less than `min_confidence` is of the others. Every tweet keeps its time.
    """

    language: str
    model: str = ""
    min_confidence: float = 0.0

    def __post_init__(self) -> None:
        super().__init__()
        if not 0 <= self.min_confidence <= 1:
            raise ValueError(f"min_confidence must be between 0 and 1, got {self.min_confidence}; for example 0.8")

    def expand(self, tweets: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        choose = beam.ParDo(_FilterBundle(self)).with_output_types(Tweet, others=Tweet)
        return tweets | "Filter" >> choose.with_outputs("others", main="matched")


class _FilterBundle(InBatches):
    def __init__(self, settings: FilterLanguage) -> None:
        self._settings = settings

    def setup(self) -> None:
        self._classifier = load_classifier(self._settings.model)

    def process(
        self, tweet: Tweet, time: Timestamp = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WindowedValue]:
        return self.wait(tweet, time, window)

    def handle(self, items: list[Tweet], times: list[Timestamp], window: Any) -> Iterator[Any]:
        told = self._classifier.predict([tweet.text for tweet in items], self._settings.min_confidence)
        for tweet, language, time in zip(items, told.labels, times, strict=True):
            placed = WindowedValue(tweet, time, [window])
            yield placed if language == self._settings.language else TaggedOutput("others", placed)

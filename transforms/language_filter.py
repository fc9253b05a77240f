"""Keeps the tweets of one language, as a classifier tells it, or as the clusters of a model that train_language wrote."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import TaggedOutput
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from models.language import artifact
from models.language.artifact import LanguageModel
from models.language.classifier import LanguageClassifier, default
from models.language.counts import UNDECIDED
from models.language.sealed_file import kind_of
from transforms.bundling import InBatches
from transforms.schemas import Tweet

AnyModel: TypeAlias = LanguageClassifier | LanguageModel


def load_any(path: str = "") -> AnyModel:
    """The model in a file, a classifier or clusters, as the file says; "" is the classifier that comes along.

    Raises ValueError where there is no file, or no sound model in it.
    """
    if not path:
        return default()
    if not FileSystems.exists(path):
        raise ValueError(f"there is no model {path!r}: leave it out for the one that comes with the package")
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        data = stream.read()
    return (LanguageModel if kind_of(data) == artifact.KIND else LanguageClassifier).from_bytes(data)


def languages_of(model: AnyModel, texts: list[str], min_confidence: float = 0.0) -> list[str]:
    """The language of each text, `und` where nobody can tell: a classifier's, or that of most of a cluster in training.

    Clusters tell no confidence.
    """
    if isinstance(model, LanguageClassifier):
        return model.predict(texts, min_confidence).labels
    majorities = [model.majority(cluster) or UNDECIDED for cluster in range(len(model.sizes))]
    return [majorities[cluster] for cluster in model.predict(texts).tolist()]


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

    def expand(self, tweets: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        choose = beam.ParDo(_FilterBundle(self)).with_output_types(Tweet, others=Tweet)
        return tweets | "Filter" >> choose.with_outputs("others", main="matched")


class _FilterBundle(InBatches):
    def __init__(self, settings: FilterLanguage) -> None:
        self._settings = settings

    def setup(self) -> None:
        self._model = load_any(self._settings.model)

    def process(
        self, tweet: Tweet, time: Timestamp = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
    ) -> Iterator[WindowedValue]:
        return self.wait(tweet, time, window)

    def handle(self, items: list[Tweet], times: list[Timestamp], window: Any) -> Iterator[Any]:
        told = languages_of(self._model, [tweet.text for tweet in items], self._settings.min_confidence)
        for tweet, language, time in zip(items, told, times, strict=True):
            placed = WindowedValue(tweet, time, [window])
            yield placed if language == self._settings.language else TaggedOutput("others", placed)

"""What is measured of tweets, as Arrow batches: who, in which language, with which words, and which story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from models.language.artifact import LanguageModel
from transforms.language import load_model
from transforms.schemas import Tweet
from transforms.stories import story_of
from transforms.tokenizing import tokens_of

UNDECIDED = "und"  # what BCP 47 calls a language that nobody knows
_TOGETHER = 10_000  # tweets of a bundle that become a batch at most

FACTS = pa.schema(
    [
        ("time", pa.timestamp("us", tz="UTC")),
        ("lang", pa.string()),
        ("user", pa.string()),
        ("hashtag", pa.list_(pa.string())),  # each once, in lower case
        ("word", pa.list_(pa.string())),  # each once, as `tokens_of` tells words
        ("mention", pa.list_(pa.string())),  # each once, in lower case
        ("story", pa.string()),  # as `story_of` tells it; null where the text says too little
        ("length", pa.int64()),  # characters of the text
    ]
)


class DescribeTweets(beam.PTransform):
    """The facts of tweets, in batches: PCollection[Tweet] -> PCollection[RecordBatch], of the schema FACTS.

    The language is what the source says, or what a model says that train_language wrote: the language of most tweets of
    the cluster. A batch stands at the time of its earliest tweet, as MeasureBatches wants it.
    """

    def __init__(self, model: str | None = None) -> None:
        super().__init__()
        self._model = model

    def expand(self, tweets: beam.PCollection) -> beam.PCollection:
        return tweets | "Describe" >> beam.ParDo(_DescribeTweets(self._model)).with_output_types(pa.RecordBatch)


class _DescribeTweets(beam.DoFn):
    def __init__(self, model: str | None) -> None:
        self._path = model

    def setup(self) -> None:
        self._model = load_model(self._path) if self._path else None

    def start_bundle(self) -> None:
        self._waiting: list[Tweet] = []

    def process(self, tweet: Tweet) -> Iterator[WindowedValue]:
        self._waiting.append(tweet)
        if len(self._waiting) >= _TOGETHER:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._waiting:
            earliest = Timestamp.of(min(tweet.created_at for tweet in self._waiting))
            yield WindowedValue(facts_of(self._waiting, self._model), earliest, [GlobalWindow()])
        self.start_bundle()


def facts_of(tweets: Sequence[Tweet], model: LanguageModel | None = None) -> pa.RecordBatch:
    """The facts of tweets, a row each, in their order."""
    columns = [
        [tweet.created_at for tweet in tweets],
        _languages(tweets, model),
        [tweet.user for tweet in tweets],
        [_once(tweet.hashtags) for tweet in tweets],
        [tokens_of(tweet.text) for tweet in tweets],
        [_once(tweet.mentions) for tweet in tweets],
        [story_of(tweet.text) for tweet in tweets],
        [len(tweet.text) for tweet in tweets],
    ]
    return pa.RecordBatch.from_arrays(
        [pa.array(column, field.type) for column, field in zip(columns, FACTS, strict=True)], schema=FACTS
    )


def _languages(tweets: Sequence[Tweet], model: LanguageModel | None) -> list[str]:
    if model is None:
        return [tweet.lang or UNDECIDED for tweet in tweets]
    majorities = [model.majority(cluster) or UNDECIDED for cluster in range(len(model.sizes))]
    return [majorities[cluster] for cluster in model.predict([tweet.text for tweet in tweets]).tolist()]


def _once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name.lower() for name in names))

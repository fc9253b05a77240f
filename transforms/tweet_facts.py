"""What is measured of tweets, as Arrow batches: who, in which language, with which words, and which story."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import apache_beam as beam
import pyarrow as pa
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import Timestamp
from apache_beam.utils.windowed_value import WindowedValue

from models.language.counts import UNDECIDED
from transforms.language_models import AnyModel, languages_of, load_any
from transforms.schemas import Tweet
from transforms.stories import story_of
from transforms.tokenizing import tokens_of

_SURE = 0.8  # a language told wrong is one that is not there, with words that rise in it; und harms nobody
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

    The language is what the source says; with a `model`, what that says, `und` where it is less than 80 % sure. With
    `believe`, the model is asked only where the source says none, or `und`. "" is the classifier that comes along; else
    it is a file of train_classifier, or of train_language, whose cluster is of the language of most of its tweets. A
    batch stands at the time of its earliest tweet, as MeasureBatches wants it.
    """

    def __init__(self, model: str | None = None, *, believe: bool = False) -> None:
        super().__init__()
        self._model = model
        self._believe = believe

    def expand(self, tweets: beam.PCollection) -> beam.PCollection:
        return tweets | "Describe" >> beam.ParDo(_DescribeTweets(self._model, self._believe)).with_output_types(
            pa.RecordBatch
        )


class _DescribeTweets(beam.DoFn):
    def __init__(self, model: str | None, believe: bool) -> None:
        self._path = model
        self._believe = believe

    def setup(self) -> None:
        self._model = None if self._path is None else load_any(self._path)

    def start_bundle(self) -> None:
        self._waiting: list[Tweet] = []

    def process(self, tweet: Tweet) -> Iterator[WindowedValue]:
        self._waiting.append(tweet)
        if len(self._waiting) >= _TOGETHER:
            yield from self.finish_bundle()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        if self._waiting:
            earliest = Timestamp.of(min(tweet.created_at for tweet in self._waiting))
            yield WindowedValue(facts_of(self._waiting, self._model, believe=self._believe), earliest, [GlobalWindow()])
        self.start_bundle()


def facts_of(tweets: Sequence[Tweet], model: AnyModel | None = None, *, believe: bool = False) -> pa.RecordBatch:
    """The facts of tweets, a row each, in their order; `model` and `believe` are those of DescribeTweets."""
    columns = [
        [tweet.created_at for tweet in tweets],
        _languages(tweets, model, believe),
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


def _languages(tweets: Sequence[Tweet], model: AnyModel | None, believe: bool) -> list[str]:
    languages = [tweet.lang or UNDECIDED for tweet in tweets]
    if model is not None:
        asked = [at for at, language in enumerate(languages) if not believe or language == UNDECIDED]
        told = languages_of(model, [tweets[at].text for at in asked], _SURE)
        for at, language in zip(asked, told, strict=True):
            languages[at] = language
    return languages


def _once(names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(name.lower() for name in names))

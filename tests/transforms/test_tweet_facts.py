"""What is measured of tweets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import apache_beam as beam
import numpy as np
from apache_beam.testing.util import assert_that, equal_to

from models.language import Featurizer, LanguageModel
from models.language.classifier import default
from transforms.schemas import Tweet
from transforms.tweet_facts import FACTS, DescribeTweets, facts_of

if TYPE_CHECKING:
    import pyarrow as pa

    from tests.conftest import NewPipeline

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def tweet(seconds: int, text: str, **more: object) -> Tweet:
    return Tweet(str(seconds), NOON + timedelta(seconds=seconds), text, **more)  # type: ignore[arg-type]


def test_facts_of_a_tweet() -> None:
    said = tweet(3, "RT @Ana: The bridge is closed! #News #news", lang="en", user="bo",
                 hashtags=("News", "news"), mentions=("Ana",))  # fmt: skip
    (row,) = facts_of([said]).to_pylist()
    assert row == {
        "time": NOON + timedelta(seconds=3),
        "lang": "en",
        "user": "bo",
        "hashtag": ["news"],
        "word": ["the", "bridge", "is", "closed"],
        "mention": ["ana"],
        "story": "the bridge is closed news news",
        "length": 42,
    }


def test_what_is_not_said_is_null_and_a_language_that_nobody_knows_is_und() -> None:
    (row,) = facts_of([tweet(0, "ok")]).to_pylist()
    assert (row["lang"], row["user"], row["story"]) == ("und", None, None)
    assert facts_of([]).schema == FACTS


def test_a_batch_stands_at_its_earliest_tweet(in_process: NewPipeline) -> None:
    tweets = [tweet(seconds, f"text {seconds}") for seconds in (40, 7, 300)]

    def right(batches: list[tuple[float, pa.RecordBatch]]) -> None:
        assert sum(batch.num_rows for _, batch in batches) == 3
        for time, batch in batches:
            assert time == min(batch.column("time").to_pylist()).timestamp()

    with in_process() as pipeline:
        stamped = (
            pipeline
            | beam.Create(tweets).with_output_types(Tweet)
            | DescribeTweets()
            | beam.Map(lambda batch, time=beam.DoFn.TimestampParam: (float(time), batch))
        )
        assert_that(stamped, right)


def test_a_model_says_the_language() -> None:
    featurizer = Featurizer(dimension=64)
    texts = ["the rain in the town", "дождь в городе"]
    centres = np.vstack([featurizer.transform([text]).toarray() for text in texts])
    model = LanguageModel(
        featurizer=featurizer, centres=centres, languages=({"en": 2}, {}), sizes=(2, 1), method="lloyd", seed=1,
        iterations=1, inertia=0.0, fingerprint="0",
    )  # fmt: skip
    said = [tweet(0, texts[0], lang="xx"), tweet(1, texts[1], lang="yy")]
    assert facts_of(said, model).column("lang").to_pylist() == ["en", "und"]


def test_a_classifier_says_the_language_that_the_source_does_not(in_process: NewPipeline) -> None:
    texts = ["good morning everyone", "see you at the station", "guten Morgen alle zusammen", "ok", "😀"]
    given = ["fr", None, "und", None, None]
    assert 0 < default().predict(["ok"]).confidence[0] < 0.8, "a text of which it is not sure"
    said = [tweet(n, text, lang=lang) for n, (text, lang) in enumerate(zip(texts, given, strict=True))]
    expected: dict[DescribeTweets, list[str]] = {
        DescribeTweets(): ["fr", "und", "und", "und", "und"],
        DescribeTweets("", believe=True): ["fr", "en", "de", "und", "und"],
        DescribeTweets(""): ["en", "en", "de", "und", "und"],
    }
    with in_process() as pipeline:
        tweets = pipeline | beam.Create(said).with_output_types(Tweet)
        for name, (step, languages) in enumerate(expected.items()):
            told = (
                tweets
                | f"Describe {name}" >> step
                | f"Rows {name}" >> beam.FlatMap(lambda batch: batch.select(["length", "lang"]).to_pylist())
                | f"Pairs {name}" >> beam.Map(lambda row: (row["length"], row["lang"]))
            )
            lengths = [len(text) for text in texts]
            assert_that(told, equal_to(list(zip(lengths, languages, strict=True))), label=f"Told {name}")

"""The test of a pipeline of one's own: tweets in memory, the in-process runner, the whole answer."""

from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue
from languages_per_minute import CountLanguages

from transforms.schemas import Tweet


def tweet(second: int, lang: str) -> TimestampedValue:
    time = datetime(2026, 3, 1, 12, second // 60, second % 60, tzinfo=UTC)
    return TimestampedValue(Tweet(id=str(second), created_at=time, text="…", lang=lang), time.timestamp())


def test_tweets_are_counted_by_language_and_minute() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        tweets = pipeline | beam.Create([tweet(3, "ja"), tweet(59, "ja"), tweet(60, "ja"), tweet(7, "en")])
        assert_that(
            tweets | beam.Map(lambda stamped: stamped) | CountLanguages(),
            equal_to(
                [
                    {"minute": "2026-03-01T12:00:00Z", "language": "ja", "tweets": 2},
                    {"minute": "2026-03-01T12:01:00Z", "language": "ja", "tweets": 1},
                    {"minute": "2026-03-01T12:00:00Z", "language": "en", "tweets": 1},
                ]
            ),
        )

"""FilterLanguage: every tweet goes one way or the other, as it came, at its time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from models.language.classifier import default
from transforms.language_filter import FilterLanguage
from transforms.schemas import Tweet

START = datetime(1970, 1, 12, 14, tzinfo=UTC)
TEXTS = ["guten Morgen alle zusammen", "good morning everyone", "😀", "see you at the station", "bonjour tous"]
TWEETS = [Tweet(str(n), START + timedelta(seconds=7 * n), text, lang="xx") for n, text in enumerate(TEXTS)]


def placed(tweet: Tweet, time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam) -> tuple[Any, ...]:
    return tweet, float(time), float(window.start)


@pytest.mark.parametrize(("least", "sure_of_the_last"), [(0.0, True), (0.98, False)])
def test_tweets_of_the_language_match_and_all_others_are_kept_apart(least: float, sure_of_the_last: bool) -> None:
    truth = default().predict(TEXTS)
    matching = [
        label == "en" and sure >= least for label, sure in zip(truth.labels, truth.confidence.tolist(), strict=True)
    ]
    assert matching[:4] == [False, True, False, sure_of_the_last]
    seconds = [tweet.created_at.timestamp() for tweet in TWEETS]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        parted = (
            pipeline
            | beam.Create([TimestampedValue(*pair) for pair in zip(TWEETS, seconds, strict=True)])
            | beam.WindowInto(FixedWindows(10))
            | FilterLanguage("en", min_confidence=least)
        )
        for name, wanted in (("matched", True), ("others", False)):
            expected = [
                (tweet, time, time // 10 * 10)
                for tweet, time, matches in zip(TWEETS, seconds, matching, strict=True)
                if matches == wanted
            ]
            assert_that(parted[name] | f"Place {name}" >> beam.Map(placed), equal_to(expected), label=name)


def test_doubt_is_between_0_and_1() -> None:
    with pytest.raises(ValueError, match=r"min_confidence must be between 0 and 1, got 80"):
        FilterLanguage("en", min_confidence=80)

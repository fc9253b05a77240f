"""The sample that comes with the package holds what its readers count on."""

from __future__ import annotations

import re
from collections import Counter
from importlib import resources

from transforms.parsing import parse_tweet
from transforms.schemas import Tweet


def sample() -> tuple[list[Tweet], int]:
    tweets, damaged = [], 0
    for line in (resources.files("pipelines") / "samples" / "tweets.jsonl").read_bytes().splitlines():
        try:
            tweets.append(parse_tweet(line))
        except ValueError:
            damaged += 1
    return tweets, damaged


def test_the_sample_has_an_hour_of_many_languages_with_duplicates_late_and_damaged_records() -> None:
    tweets, damaged = sample()
    languages = Counter(tweet.lang for tweet in tweets)
    assert len([name for name, count in languages.items() if name and count >= 10]) >= 12
    assert min(languages["ja"], languages["ar"]) > 100
    assert damaged == 25
    assert len(tweets) == 1975
    times = [tweet.created_at for tweet in tweets]
    assert 3500 < (max(times) - min(times)).total_seconds() < 3700
    lags = [(max(times[: at + 1]) - time).total_seconds() for at, time in enumerate(times)]
    assert sum(lag > 60 for lag in lags) > 20
    assert len(tweets) - len({tweet.id for tweet in tweets}) == 14
    assert any(tweet.hashtags for tweet in tweets if tweet.lang == "hi")


def test_the_sample_names_no_real_place_to_go() -> None:
    tweets, _ = sample()
    links = {host for tweet in tweets for host in re.findall(r"https?://([^/\s]+)", tweet.text)}
    assert links <= {"example.com", "example.org"}

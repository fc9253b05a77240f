"""Profiling: every number against an oracle, the same for any order of arrival."""

from __future__ import annotations

import random
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apache_beam as beam
import orjson

from transforms.formatting import to_json
from transforms.profiling import SAMPLES, ProfileTweets, reason_of
from transforms.schemas import Reject, Tweet

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def profile(in_process: Any, place: Path, tweets: list[Tweet], rejects: list[Reject]) -> dict[str, Any]:
    def keep(found: dict[str, Any]) -> None:
        place.write_bytes(to_json(found))

    with in_process() as pipeline:
        both = (pipeline | "T" >> beam.Create(tweets), pipeline | "R" >> beam.Create(rejects))
        _ = both | ProfileTweets() | beam.Map(keep)
    found: dict[str, Any] = orjson.loads(place.read_bytes())
    return found


def test_every_number_is_exact_in_any_order(in_process: Any, tmp_path: Path) -> None:
    chance = random.Random(7)
    tweets = [
        Tweet(
            id=str(number),
            created_at=NOON + timedelta(seconds=chance.randrange(3600)),
            text="x" * chance.randrange(140),
            lang=chance.choice(["en", "ja", None]),
            user_lang=chance.choice(["pt", None]),
        )
        for number in range(101)
    ]
    rejects = [Reject(b"", "Parse", f"id must be text, got {number}", "a", number) for number in range(3)]
    first = profile(in_process, tmp_path / "profile.json", tweets, rejects)
    lengths = [len(tweet.text) for tweet in tweets]
    assert first["tweets"] == 101
    times = [tweet.created_at for tweet in tweets]
    assert [datetime.fromisoformat(first[end]) for end in ("from", "to")] == [min(times), max(times)]
    assert first["languages"] == {
        name: sum((tweet.lang or "") == name for tweet in tweets) for name in first["languages"]
    }
    assert sum(first["languages"].values()) == 101
    assert list(first["languages"].values()) == sorted(first["languages"].values(), reverse=True)
    assert first["user_languages"] == {"pt": sum(tweet.user_lang == "pt" for tweet in tweets)}
    assert first["fields"]["lang"] == {"type": "string", "set": sum(tweet.lang is not None for tweet in tweets)}
    assert first["lengths"]["median"] == statistics.median(lengths)
    assert (first["lengths"]["min"], first["lengths"]["max"]) == (min(lengths), max(lengths))
    assert first["rejects"] == {"Parse: id must be text": 3}
    assert len(first["samples"]) == SAMPLES
    assert profile(in_process, tmp_path / "profile.json", chance.sample(tweets, len(tweets)), rejects) == first


def test_nothing_has_a_profile_too(in_process: Any, tmp_path: Path) -> None:
    empty = profile(in_process, tmp_path / "profile.json", [], [])
    assert (empty["tweets"], empty["from"], empty["lengths"], empty["samples"]) == (0, None, {}, [])


def test_a_reason_is_without_what_is_particular() -> None:
    left, right = (Reject(b"", "Parse", f"unexpected end of data: line 1 column {n} (char 1)", "a", 1) for n in (1, 2))
    assert reason_of(left) == reason_of(right) == "Parse: unexpected end of data"

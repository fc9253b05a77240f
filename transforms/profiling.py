"""What a collection of tweets looks like, at a glance: fields, counts, time span, languages, lengths, samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import apache_beam as beam

from transforms.frequency import Frequencies
from transforms.schemas import Reject, Tweet, arrow_schema

SAMPLES = 8
_QUANTILES = {"min": 0.0, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95, "max": 1.0}


class ProfileTweets(beam.PTransform):
    """One dict that describes all tweets and rejects: (PCollection[Tweet], PCollection[Reject]) -> PCollection[dict].

    Every number is exact, and the same for any order of arrival. Samples are chosen by a hash of id and text.
    """

    def expand(self, inputs: tuple[beam.PCollection, beam.PCollection]) -> beam.PCollection:
        tweets, rejects = inputs
        facts = {
            "tweets": tweets | "Count" >> beam.combiners.Count.Globally(),
            "span": tweets | "Times" >> beam.Map(_time) | "Span" >> beam.CombineGlobally(_span),
            "fields": tweets | "FieldsSet" >> beam.FlatMap(_fields_set) | "Fields" >> Frequencies(),
            "languages": tweets | "Language" >> beam.Map(_language) | "Languages" >> Frequencies(),
            "user_languages": tweets
            | "UserLanguage" >> beam.FlatMap(_user_language)
            | "UserLanguages" >> Frequencies(),
            "lengths": tweets | "Length" >> beam.Map(_length) | "Lengths" >> Frequencies(),
            "samples": tweets | "Draw" >> beam.Map(_draw) | "Samples" >> beam.combiners.Top.Smallest(SAMPLES),
            "rejects": rejects | "Reason" >> beam.Map(reason_of) | "Reasons" >> Frequencies(),
        }
        named = [fact | f"Name{name.title()}" >> beam.Map(_named, name) for name, fact in facts.items()]
        return named | "Together" >> beam.Flatten() | "Gather" >> beam.combiners.ToDict() | beam.Map(_profile)


def reason_of(reject: Reject) -> str:
    """Why a record was put aside, without what is particular to it.

    >>> reason_of(Reject(b"", "Parse", "id must be text, got [1]", "a.jsonl", 7))
    'Parse: id must be text'
    """
    return f"{reject.step}: {reject.error.split(', got ')[0].split(': line ')[0]}"


def _time(tweet: Tweet) -> tuple[datetime, datetime]:
    return tweet.created_at, tweet.created_at


def _span(spans: Iterable[tuple[datetime, datetime]]) -> tuple[datetime, datetime] | None:
    known = [span for span in spans if span]
    return (min(first for first, _ in known), max(last for _, last in known)) if known else None


def _fields_set(tweet: Tweet) -> Iterator[str]:
    return (name for name in Tweet.__dataclass_fields__ if getattr(tweet, name) not in (None, ()))


def _language(tweet: Tweet) -> str:
    return tweet.lang or ""


def _user_language(tweet: Tweet) -> Iterator[str]:
    if tweet.user_lang:
        yield tweet.user_lang


def _length(tweet: Tweet) -> int:
    return len(tweet.text)


def _draw(tweet: Tweet) -> tuple[bytes, str, str, str]:
    ticket = hashlib.blake2b(f"{tweet.id}\n{tweet.text}".encode(), digest_size=8).digest()
    return ticket, tweet.id, tweet.lang or "", tweet.text


def _named(fact: Any, name: str) -> tuple[str, Any]:
    return name, fact


def _profile(facts: dict[str, Any]) -> dict[str, Any]:
    first, last = facts["span"] or (None, None)
    return {
        "tweets": facts["tweets"],
        "from": first,
        "to": last,
        "fields": {
            field.name: {"type": str(field.type), "set": facts["fields"].get(field.name, 0)}
            for field in arrow_schema(Tweet)
        },
        "languages": _most_frequent(facts["languages"]),
        "user_languages": _most_frequent(facts["user_languages"]),
        "lengths": _quantiles(facts["lengths"]),
        "samples": [{"id": number, "lang": lang or None, "text": text} for _, number, lang, text in facts["samples"]],
        "rejects": _most_frequent(facts["rejects"]),
    }


def _most_frequent(frequencies: dict[str, int]) -> dict[str, int]:
    return dict(sorted(frequencies.items(), key=lambda item: (-item[1], item[0])))


def _quantiles(frequencies: dict[int, int]) -> dict[str, int]:
    """The value at each rank of a multiset, the smaller one where a rank lies between two."""
    if not frequencies:
        return {}
    values = [value for value in sorted(frequencies) for _ in range(frequencies[value])]
    return {name: values[round(q * (len(values) - 1))] for name, q in _QUANTILES.items()}

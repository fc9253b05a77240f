"""Examines tweets: fields, counts, time span, languages, lengths, samples, and what had to be rejected.

    python -m pipelines examine_tweets --input sample:tweets.jsonl --output profile.json

Every number is exact; the sample is the same for the same tweets in any order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from rich.console import Console

from pipelines.connectors import read, write
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from pipelines.results import read_json, share, table
from transforms.parsing import parse_tweet
from transforms.profiling import ProfileTweets


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to examine."""

    input: str = option("where tweets are: a file, a glob, a directory, or - for standard input")
    output: str = option("where the profile goes, as JSON; - for the console")


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads tweets and describes them in one JSON object."""
    tweets = pipeline | "Read" >> read(options.input, parse_tweet)
    profile = (tweets.records, tweets.rejects) | "Profile" >> ProfileTweets()
    _ = profile | "Write" >> write(options.output)
    write_ledger(options, tweets, used=profile | "CountTweets" >> beam.Map(_tweets))


def _tweets(profile: dict[str, Any]) -> int:
    return int(profile["tweets"])


def report(options: Options, console: Console) -> None:
    """Shows the profile as tables."""
    profile = read_json(options.output)
    tweets = profile["tweets"]
    console.print(f"{tweets:,} tweets from {profile['from']} to {profile['to']}", highlight=False)
    fields = ((name, field["type"], share(field["set"], tweets)) for name, field in profile["fields"].items())
    console.print(table("Fields", "name", "type", "set", rows=fields))
    languages = list(profile["languages"].items())[:12]
    console.print(
        table(
            "Languages, as labelled",
            "language",
            "tweets",
            "share",
            rows=((name or "(none)", count, share(count, tweets)) for name, count in languages),
        )
    )
    console.print(table("Characters in a tweet", *profile["lengths"], rows=[tuple(profile["lengths"].values())]))
    samples = ((sample["lang"] or "", sample["text"]) for sample in profile["samples"])
    console.print(table("A sample", "lang", "text", rows=samples))
    if profile["rejects"]:
        console.print(table("Rejects", "reason", "records", rows=profile["rejects"].items()))

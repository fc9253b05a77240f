"""Counts tweets by language and minute: a pipeline of one's own, made of streamsketch's parts.

    python languages_per_minute.py 'tweets/*.avro' counts.jsonl

The transform knows nothing of files, so that it can be tested with a few tweets in memory.
"""

import sys
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from pipelines.connectors import read, write
from transforms.parsing import parse_tweet
from transforms.schemas import Tweet
from transforms.windowing import ApplyWindow, WindowPolicy


class CountLanguages(beam.PTransform):
    """PCollection[Tweet] -> PCollection[dict], one for each language and minute of event time."""

    def expand(self, tweets: beam.PCollection) -> beam.PCollection:
        return (
            tweets
            | "Minute" >> ApplyWindow(WindowPolicy.parse("1m"))
            | "Language" >> beam.Map(language).with_output_types(str)
            | "Count" >> beam.combiners.Count.PerElement()
            | "Describe" >> beam.ParDo(Describe())
        )


def language(tweet: Tweet) -> str:
    """The label of a tweet, "und" where it has none."""
    return tweet.lang or "und"


class Describe(beam.DoFn):
    """Adds the minute to a count."""

    def process(self, counted: tuple[str, int], window: Any = beam.DoFn.WindowParam) -> Iterator[dict[str, Any]]:
        name, tweets = counted
        yield {"minute": window.start.to_rfc3339(), "language": name, "tweets": tweets}


if __name__ == "__main__":
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        source = pipeline | "Read" >> read(sys.argv[1], parse_tweet)
        _ = source.records | CountLanguages() | "Write" >> write(sys.argv[2])
        _ = source.rejects | "WriteRejects" >> write("stderr:")

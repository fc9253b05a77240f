"""Collects tweets into part files, one for each interval of event time.

    python -m pipelines collect_tweets --input sample:tweets.jsonl --output tweets/ --interval 10m

Tweets are rows of JSON, Avro or Parquet with id, created_at and text, or the JSON of Twitter's first interface. The
files are named after their interval and content: collecting the same tweets again adds nothing, and others never
overwrite them. What is no tweet goes to tweets.rejects/ with the reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import apache_beam as beam

from pipelines.connectors import read, write
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from transforms.accounting import CountWritten
from transforms.parsing import parse_tweet
from transforms.tallies import CountByWindow, CountWrittenByWindow
from transforms.windowing import ApplyWindow, WindowPolicy


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to collect, and how it is cut into files."""

    input: str = option("where tweets come from: a file, a glob, a directory, or - for standard input")
    output: str = option("the directory that part files go to")
    format: Literal["avro", "parquet", "jsonl", "jsonl.gz"] = option("of the part files", default="avro")
    interval: WindowPolicy = option("of event time in one file: 10m, 1h, 1d, or all", default=WindowPolicy("1h"))
    limit: int | None = option("stop after so many tweets", default=None)


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads tweets, cuts time into intervals, and writes a part file for each."""
    tweets = pipeline | "Read" >> read(options.input, parse_tweet, limit=options.limit)
    files = (
        tweets.records
        | "Interval" >> ApplyWindow(options.interval)
        | "Write" >> write(options.output, suffix=f".{options.format}")
    )
    intervals = {
        "read": tweets.records | "CountRead" >> CountByWindow(options.interval.window),
        "used": files | "CountByInterval" >> CountWrittenByWindow(),
    }
    # A session's bounds are not known when its tweets are read.
    windows = intervals if options.interval.window.PANES else None
    write_ledger(options, tweets, windows, used=files | "CountTweets" >> CountWritten())

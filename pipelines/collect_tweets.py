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

from pipelines.connectors import beside, has_end, read, watermark_of, write
from pipelines.ledger import write_aside, write_ledger
from pipelines.options import JobOptions, option
from transforms.accounting import CountWritten
from transforms.lateness import Gate
from transforms.parsing import parse_tweet
from transforms.tallies import CountByWindow, CountWrittenByWindow
from transforms.windowing import ApplyWindow, WindowPolicy


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to collect, and how it is cut into files."""

    input: str = option("where tweets come from: a file, a glob, a directory, - for standard input, or a live system")
    output: str = option("the directory that part files go to")
    format: Literal["avro", "parquet", "jsonl", "jsonl.gz"] = option("of the part files", default="avro")
    interval: WindowPolicy = option("of event time in one file: 10m, 1h, 1d, or all", default=WindowPolicy("1h"))
    late: str = option("where tweets go whose files were written (default: beside the output)", default="")
    limit: int | None = option("stop after so many tweets", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "late", self.late or beside(self.output, "late.jsonl"))

    @property
    def policy(self) -> WindowPolicy:
        return self.interval


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads tweets, cuts time into intervals, and writes a part file for each."""
    tweets = pipeline | "Read" >> read(options.input, parse_tweet, limit=options.limit, stamped=True)
    gate = tweets.records | "Gate" >> Gate(options.interval, watermark_of(options.input, pipeline))
    files = (
        gate.in_time
        | "Interval" >> ApplyWindow(options.interval)
        | "Write" >> write(options.output, suffix=f".{options.format}")
    )
    if has_end(options.input):
        intervals = {"read": gate.read, "used": files | "CountByInterval" >> CountWrittenByWindow()}
        # A session's bounds are not known when its tweets are read.
        windows = intervals if options.interval.window.PANES else None
        write_ledger(options, tweets, windows, used=files | "CountTweets" >> CountWritten())
        return
    write_aside("Late", options.late, gate.late, options.interval)
    window = options.interval.window
    tallies = {
        "read": gate.read,
        "used": gate.in_time | "CountUsed" >> CountByWindow(window),
        "late": gate.late | "CountLate" >> CountByWindow(window),
    }
    write_ledger(options, tweets, tallies, options.interval)

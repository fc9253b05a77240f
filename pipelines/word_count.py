"""Counts words per window, the "hello world" of streaming.

    python -m pipelines word_count --input sample:tweets.jsonl --output counts.jsonl --window 10s

Texts are lines, or JSON, Avro or Parquet with `text` and `created_at`; a line without a time of its own came about when
its file was written. Words are what white space separates. A count is {window_start, window_end, word, count}.
"""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from pipelines.connectors import read, write
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from transforms.accounting import CountRecords
from transforms.counting import CountByValue
from transforms.parsing import parse_text
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.words import DescribeCounts, words_of


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to count, and how time is cut."""

    input: str = option("where texts come from: a file, a glob, a directory, or - for standard input")
    output: str = option("where counts go: a file, a directory, or - for the console", default="-")
    window: WindowPolicy = option("how time is cut: 10s, 1h/5m, 'day Europe/Paris', all", default=WindowPolicy("10s"))
    show: bool = option("show the counts on the console, too", default=False)


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads texts, splits them into words, and counts the words of each window."""
    texts = pipeline | "Read" >> read(options.input, parse_text)
    counts = (
        texts.records
        | "SplitWords" >> beam.FlatMap(words_of)
        | "Window" >> ApplyWindow(options.window)
        | "CountWords" >> CountByValue()
        | "Describe" >> DescribeCounts()
    )
    _ = counts | "Write" >> write(options.output)
    if options.show:
        _ = counts | "Show" >> write("-")
    write_ledger(options, texts, used=texts.records | "CountTexts" >> CountRecords())

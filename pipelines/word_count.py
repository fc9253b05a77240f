"""Counts words per window, the "hello world" of streaming.

    python -m pipelines word_count --input sample:tweets.jsonl --output counts.jsonl --window 10s

Texts are lines, or JSON, Avro or Parquet with `text` and `created_at`; a line without a time of its own came about when
its file was written. Words are what white space separates. A count is {window_start, window_end, word, count}.

With --input watch:texts/ --output counts/ --window "10s, lateness 1h" it counts files as they appear in a directory and
tells windows as they close, until Ctrl-C: then it counts what is there, tells every window, and ends. With --state DIR
a run that was killed goes on. Texts whose windows were over go to counts.late/, each with the window that it missed.
"""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from pipelines.connectors import beside, has_end, read, watermark_of, write
from pipelines.ledger import write_aside, write_ledger
from pipelines.options import JobOptions, option
from transforms.counting import CountByValue
from transforms.lateness import Gate
from transforms.parsing import parse_text
from transforms.tallies import CountByWindow
from transforms.windowing import ApplyWindow, WindowPolicy
from transforms.windows import AllTime
from transforms.words import DescribeCounts, words_of


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to count, and how time is cut."""

    input: str = option(
        "where texts come from: a file, a glob, a directory, a live source such as watch:DIRECTORY, or -"
    )
    output: str = option("where counts go: a file, a directory, or - for the console", default="-")
    window: WindowPolicy = option("how time is cut: 10s, 1h/5m, 'day Europe/Paris', all", default=WindowPolicy("10s"))
    late: str = option("where texts go whose windows were over (default: beside the output)", default="")
    show: bool = option("show the counts on the console, too", default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "late", self.late or beside(self.output, "late.jsonl"))
        if not has_end(self.input) and isinstance(self.window.window, AllTime) and not self.window.early:
            raise ValueError(
                "one window of all time tells nothing while input goes on, got --window all: use windows with an end, "
                "such as 10s, or 'all, early every 1000 records'"
            )


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads texts, splits them into words, and counts the words of each window."""
    texts = pipeline | "Read" >> read(options.input, parse_text, stamped=True)
    gate = texts.records | "Gate" >> Gate(options.window, watermark_of(options.input, pipeline))
    counts = (
        gate.in_time
        | "SplitWords" >> beam.FlatMap(words_of)
        | "Window" >> ApplyWindow(options.window)
        | "CountWords" >> CountByValue()
        | "Describe" >> DescribeCounts()
    )
    _ = counts | "Write" >> write(options.output)
    if options.show:
        _ = counts | "Show" >> write("-")
    if not has_end(options.input):  # of what ends, nothing is late
        write_aside("Late", options.late, gate.late, options.window)
    tallies = {
        "read": gate.read,
        "used": gate.in_time | "CountTexts" >> CountByWindow(options.window.window),
        "late": gate.late | "CountLate" >> CountByWindow(options.window.window),
    }
    write_ledger(options, texts, tallies, options.window)

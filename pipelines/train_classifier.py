"""Trains a language classifier on texts whose language is told, by counting: shards add up, and can be taken away.

    python -m pipelines train_classifier --input sample:tweets.jsonl --output my.safetensors
    python -m pipelines train_classifier --input sample:tweets.jsonl --output 2.safetensors --add my.counts.safetensors

Counts of texts that are to be forgotten are taken away with --subtract.

Records are as detect_language reads them, with the true language in the field lang; those without one, or with und, are
left out. The counts lie beside the classifier: in whatever shards the texts come, they are the same bytes, and what was
added and taken away again was never there. detect_language and evaluate_language take the classifier as --model.
"""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam
from rich.console import Console

from models.language.classifier import LanguageClassifier
from models.language.counts import LanguageCounts
from pipelines.connectors import beside, read, write
from pipelines.detect_language import Rows
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from pipelines.results import table
from transforms.accounting import CountRecords
from transforms.detecting import LANG, CountLanguages, Labelled, PartLabelled, Row, load_classifier, load_counts


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to learn from."""

    input: str = option("where labelled texts are: a file, a glob, a directory, or - for standard input")
    output: str = option("where the classifier goes: a name that ends in .safetensors")
    text: str = option("the field that holds the text", default="text")
    add: tuple[str, ...] = option("counts of other texts, to be added; given once for each", default=())
    subtract: tuple[str, ...] = option("counts to be taken away; given once for each", default=())
    buckets: int = option("how many n-grams are told apart", default=2**16)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.output.endswith(".safetensors"):
            raise ValueError(f"output must end in .safetensors, got {self.output!r}; for example mine.safetensors")

    @property
    def counts(self) -> str:
        """The file of the counts."""
        return beside(self.output, "counts.safetensors")


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads labelled texts, counts their n-grams by language, and writes the counts and a classifier of them."""
    others = others_of(options)
    rows = pipeline | "Read" >> read(options.input, Rows(options.text).parse)
    parted = rows.records | "PartLabelled" >> PartLabelled()
    counts = (
        parted.labelled
        | "Pair" >> beam.Map(_pair, options.text).with_output_types(Labelled)
        | "Count" >> CountLanguages(options.buckets)
        | "WithOthers" >> beam.Map(_with_others, others).with_output_types(LanguageCounts)
    )
    _ = counts | "CountsFile" >> beam.Map(LanguageCounts.to_bytes) | "WriteCounts" >> write(options.counts)
    _ = counts | "ClassifierFile" >> beam.Map(_classifier) | "WriteClassifier" >> write(options.output)
    write_ledger(
        options,
        rows,
        used=parted.labelled | "CountLabelled" >> CountRecords(),
        filtered=parted.others | "CountOthers" >> CountRecords(),
    )


def others_of(options: Options) -> bytes:
    """The counts that are to be added, less those that are to be taken away; ValueError where that cannot be."""
    others = LanguageCounts(options.buckets)
    for path in options.add:
        others.merge(load_counts(path))
    for path in options.subtract:
        others.subtract(load_counts(path))
    return others.to_bytes()


def _pair(row: Row, text: str) -> Labelled:
    return row[text] or "", row[LANG]


def _with_others(counts: LanguageCounts, others: bytes) -> LanguageCounts:
    whole = LanguageCounts.from_bytes(others)
    whole.merge(counts)
    return whole


def _classifier(counts: LanguageCounts) -> bytes:
    return LanguageClassifier.of_counts(counts).to_bytes()


def report(options: Options, console: Console) -> None:
    """Shows how many texts each language has."""
    texts = load_classifier(options.output).provenance["texts"]
    rows = sorted(texts.items(), key=lambda pair: (-pair[1], pair[0]))
    console.print(table("What it was trained on", "language", "texts", rows=rows))

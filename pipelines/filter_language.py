"""Filters a stream of tweets by language: keeps those that the classifier, or a model of clusters, tells to be of it.

    python -m pipelines filter_language --input tweets/ --language ja --output ja.jsonl

Without a model it is the classifier that comes along. With what train_language wrote, a tweet is of the language that
most labelled tweets of its cluster had in training; then a single cluster can be kept as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from models.language.artifact import LanguageModel
from pipelines.connectors import read, write
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from transforms.accounting import CountRecords, CountWritten
from transforms.language import FilterClusters
from transforms.language_filter import FilterLanguage
from transforms.language_models import AnyModel, load_any
from transforms.parsing import parse_tweet


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to keep."""

    input: str = option("where tweets come from: a file, a glob, a directory, or - for standard input")
    output: str = option("where matching tweets go: a .jsonl, .avro or .parquet file, a directory, or -")
    language: str | None = option("keep the tweets of this language, as ja", default=None)
    min_confidence: float = option("below it, a tweet is of no language; for a classifier", default=0.0)
    model: str = option("what train_classifier or train_language wrote (default: what comes along)", default="")
    cluster: int | None = option("keep the tweets of this cluster of train_language", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.cluster is None) == (self.language is None):
            raise ValueError("give either cluster or language, for example --language ja")


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads tweets, tells the language of each, and writes those that match."""
    step = chosen(options, load_any(options.model))
    tweets = pipeline | "Read" >> read(options.input, parse_tweet)
    told = tweets.records | "Filter" >> step
    files = told.matched | "Write" >> write(options.output)
    write_ledger(
        options,
        tweets,
        used=files | "CountMatched" >> CountWritten(),
        filtered=told.others | "CountOthers" >> CountRecords(),
    )


def chosen(options: Options, model: AnyModel) -> FilterLanguage | FilterClusters:
    """The step that keeps what was asked for; ValueError where the model has no such cluster or language."""
    if isinstance(model, LanguageModel):
        return FilterClusters(options.model, _clusters(options, model))
    if options.language is None:
        raise ValueError(f"a classifier has no cluster {options.cluster}: give the --model that train_language wrote")
    model.among([options.language])
    return FilterLanguage(options.language, options.model, options.min_confidence)


def _clusters(options: Options, model: LanguageModel) -> tuple[int, ...]:
    if options.min_confidence:
        raise ValueError(f"clusters tell no confidence: leave out --min-confidence {options.min_confidence}")
    if options.language is not None:
        return model.clusters_of(options.language)
    cluster = options.cluster
    if cluster is None or cluster not in range(len(model.sizes)):
        raise ValueError(f"cluster must be from 0 to {len(model.sizes) - 1} in this model, got {cluster}")
    return (cluster,)

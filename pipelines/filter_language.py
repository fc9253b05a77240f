"""Filters a stream of tweets by language: keeps those of one cluster, or of all clusters of a language.

    python -m pipelines filter_language --input tweets/ --model language.safetensors --language ja --output ja.jsonl

The model is what train_language wrote. A cluster is of the language that most of its labelled tweets had in training.
"""

from __future__ import annotations

from dataclasses import dataclass

import apache_beam as beam

from pipelines.connectors import read, write
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from transforms.accounting import CountRecords, CountWritten
from transforms.language import FilterClusters, load_model
from transforms.parsing import parse_tweet


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to keep."""

    input: str = option("where tweets come from: a file, a glob, a directory, or - for standard input")
    model: str = option("the model that train_language wrote")
    output: str = option("where matching tweets go: a .jsonl, .avro or .parquet file, a directory, or -")
    cluster: int | None = option("keep the tweets of this cluster", default=None)
    language: str | None = option("keep the tweets of all clusters whose majority is this language", default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.cluster is None) == (self.language is None):
            raise ValueError("give either cluster or language, for example --language ja")


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads tweets, scores each with the model, and writes those that match."""
    clusters = chosen_clusters(options)
    tweets = pipeline | "Read" >> read(options.input, parse_tweet)
    scored = tweets.records | "Filter" >> FilterClusters(options.model, clusters)
    files = scored.matched | "Write" >> write(options.output)
    write_ledger(
        options,
        tweets,
        used=files | "CountMatched" >> CountWritten(),
        filtered=scored.others | "CountOthers" >> CountRecords(),
    )


def chosen_clusters(options: Options) -> tuple[int, ...]:
    """The clusters to keep; ValueError where the model has no such cluster or language."""
    model = load_model(options.model)
    if options.language is not None:
        return model.clusters_of(options.language)
    cluster = options.cluster
    if cluster is None or cluster not in range(len(model.sizes)):
        raise ValueError(f"cluster must be from 0 to {len(model.sizes) - 1} in this model, got {cluster}")
    return (cluster,)

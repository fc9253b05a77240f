"""Trains a language model: k-means over character pairs, as published in 2015, without any label.

    python -m pipelines train_language --input sample:tweets.jsonl --output language.safetensors --clusters 10

The model is one safetensors file: numbers and their passport, never code. language.clusters.json beside it tells what
each cluster holds, with its most typical texts. The same tweets in any order make the same model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
from rich.console import Console

from models.language.features import Featurizer, Variant
from pipelines.connectors import beside, read, write
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, option
from pipelines.results import read_json, table
from transforms.language_training import Method, TrainLanguage
from transforms.parsing import parse_tweet


@dataclass(frozen=True, kw_only=True)
class Options(JobOptions):
    """What to learn from, and how."""

    input: str = option("where tweets are: a file, a glob, a directory, or - for standard input")
    output: str = option("where the model goes: a name that ends in .safetensors")
    clusters: int = option("how many clusters", default=10)
    method: Method = option(
        "scikit-learn in one worker, Lloyd's loop over all workers, or that by likelihood", default="scikit-learn"
    )
    iterations: int = option("steps of k-means at most", default=100)
    seed: int = option("of the first centres", default=0)
    variant: Variant | None = option(
        "of the features, as language models name them (default: slide, and clean for kl-kmeans)", default=None
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.output.endswith(".safetensors"):
            raise ValueError(f"output must end in .safetensors, got {self.output!r}; for example language.safetensors")
        if self.method == "kl-kmeans" and self.variant == "slide":
            raise ValueError("kl-kmeans is about counts, and slide divides them: use clean, spark1 or spark2")

    @property
    def description(self) -> str:
        """The file that says what each cluster holds."""
        return beside(self.output, "clusters.json")


def build(pipeline: beam.Pipeline, options: Options) -> None:
    """Reads tweets, trains, and writes the model and its description."""
    tweets = pipeline | "Read" >> read(options.input, parse_tweet)
    trained = tweets.records | "Train" >> TrainLanguage(
        featurizer=Featurizer(options.variant or ("clean" if options.method == "kl-kmeans" else "slide")),
        k=options.clusters,
        seed=options.seed,
        method=options.method,
        iterations=options.iterations,
    )
    _ = trained["model"] | "Write" >> write(options.output)
    _ = trained["clusters"] | "WriteDescription" >> write(options.description)
    write_ledger(options, tweets, used=trained["clusters"] | "CountTexts" >> beam.Map(_texts))


def _texts(description: dict[str, Any]) -> int:
    return sum(cluster["size"] for cluster in description["clusters"])


def report(options: Options, console: Console) -> None:
    """Shows the clusters, the largest first."""
    described = read_json(options.description)
    clusters = sorted(described["clusters"], key=lambda cluster: -cluster["size"])
    rows = (
        (cluster["cluster"], cluster["size"], _languages(cluster), next(iter(cluster["typical"]), ""))
        for cluster in clusters
    )
    console.print(table("Clusters", "cluster", "tweets", "languages", "most typical text", rows=rows))


def _languages(cluster: dict[str, Any]) -> str:
    labelled = sum(cluster["languages"].values())
    most = list(cluster["languages"].items())[:3]
    return ", ".join(f"{language} {count / labelled:.0%}" for language, count in most)

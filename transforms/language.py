"""The language of short texts: which cluster of a language model each one belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import ModelHandler, PredictionResult, RunInference

from models.language.artifact import LanguageModel
from transforms.schemas import Tweet


def load_model(path: str) -> LanguageModel:
    """The model in a file; ValueError where there is no file, or no sound model in it."""
    if not FileSystems.exists(path):
        raise ValueError(f"there is no model {path!r}: train one with `python -m pipelines train_language`")
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return LanguageModel.from_bytes(stream.read())


class ClusterModelHandler(ModelHandler[Tweet, PredictionResult, LanguageModel]):
    """Loads a language model for RunInference, which may replace it while running; scores tweets in batches."""

    def __init__(self, model_path: str) -> None:
        super().__init__()
        self._model_path = model_path

    def load_model(self) -> LanguageModel:
        return load_model(self._model_path)

    def run_inference(
        self, batch: Sequence[Tweet], model: LanguageModel, inference_args: dict[str, Any] | None = None
    ) -> Iterable[PredictionResult]:
        del inference_args
        clusters = model.predict([tweet.text for tweet in batch])
        return [
            PredictionResult(tweet, cluster, self._model_path)
            for tweet, cluster in zip(batch, clusters.tolist(), strict=True)
        ]

    def update_model_path(self, model_path: str | None = None) -> None:
        self._model_path = model_path or self._model_path

    def get_num_bytes(self, batch: Sequence[Tweet]) -> int:
        return sum(len(tweet.text) for tweet in batch)

    def get_metrics_namespace(self) -> str:
        return "streamsketch.language"

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": 500, "max_batch_size": 2000}


class FilterClusters(beam.PTransform):
    """Tweets of some clusters: PCollection[Tweet] -> `.matched` and `.others`, each PCollection[Tweet]."""

    def __init__(self, model_path: str, clusters: Sequence[int]) -> None:
        super().__init__()
        self._handler = ClusterModelHandler(model_path)
        self._clusters = frozenset(clusters)

    def expand(self, tweets: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        return (
            tweets
            | "Score" >> RunInference(self._handler)
            | "Choose"
            >> beam.ParDo(_Choose(self._clusters))
            .with_output_types(Tweet, others=Tweet)
            .with_outputs("others", main="matched")
        )


class _Choose(beam.DoFn):
    def __init__(self, clusters: frozenset[int]) -> None:
        self._clusters = clusters

    def process(self, scored: PredictionResult) -> Iterable[Any]:
        if scored.inference in self._clusters:
            yield scored.example
        else:
            yield beam.pvalue.TaggedOutput("others", scored.example)

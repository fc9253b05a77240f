"""The classifier of languages as a model of RunInference, which may replace it by a newer one while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import ModelHandler, ModelMetadata, PredictionResult

from models.language.classifier import LanguageClassifier
from transforms.detecting import DetectLanguage, batch_with_languages, load_classifier


class LanguageModelHandler(ModelHandler[pa.RecordBatch, PredictionResult, LanguageClassifier]):
    """Tells the languages of record batches: an example is a batch, and its inference the batch with `lang`.

    Takes what `DetectLanguage.OfBatches` takes. The id of a result is the SHA-256 of the file of the classifier that
    gave it, so that after a swap each batch tells which of them that was; a batch is never told by two. An empty side
    input leaves the model as it is. Prism knows a side input of a window only when that is over: there, group by windows
    before, and have the watermark of the side input ahead.
    """

    def __init__(self, model: str = "", text: str = "text", min_confidence: float = 0.0) -> None:
        super().__init__()
        self._settings = DetectLanguage(model=model, text=text, min_confidence=min_confidence)
        self._model = model

    def load_model(self) -> LanguageClassifier:
        return load_classifier(self._model)

    def run_inference(
        self,
        batch: Sequence[pa.RecordBatch],
        model: LanguageClassifier,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[PredictionResult]:
        del inference_args
        return [
            PredictionResult(rows, batch_with_languages(model, rows, self._settings), model.sha256) for rows in batch
        ]

    def update_model_path(self, model_path: str | None = None) -> None:
        self._model = model_path or self._model

    def get_num_bytes(self, batch: Sequence[pa.RecordBatch]) -> int:
        return sum(rows.nbytes for rows in batch)

    def get_metrics_namespace(self) -> str:
        return "streamsketch.language"

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": 1, "max_batch_size": 1}  # they are batches already


class NewestModel(beam.PTransform):
    """The newest file that matches a pattern, for each window: PCollection[Any] -> PCollection[ModelMetadata].

    Gives one element for each window in which something came, of the file that was there when the window was over, and
    none where there was none; of files of one age, the last by name. It is for the side input of RunInference, in the
    windows of its examples; unlike Beam's own `watch_model_pattern`, it runs on Prism.
    """

    def __init__(self, pattern: str) -> None:
        super().__init__()
        self._pattern = pattern

    def expand(self, ticks: beam.PCollection) -> beam.PCollection:
        return (
            ticks
            | "One" >> beam.combiners.Latest.Globally().without_defaults()
            | "Look" >> beam.FlatMap(_newest, self._pattern).with_output_types(ModelMetadata)
        )


def _newest(tick: object, pattern: str) -> list[ModelMetadata]:
    del tick
    files = FileSystems.match([pattern])[0].metadata_list
    if not files:
        return []
    newest = max(files, key=lambda file: (file.last_updated_in_seconds, file.path))
    return [ModelMetadata(newest.path, FileSystems.split(newest.path)[1])]

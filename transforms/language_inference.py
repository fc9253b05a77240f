"""The classifier of languages as a model of RunInference, which may replace it by a newer one while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from models.language.classifier import LanguageClassifier
from transforms.detecting import DetectLanguage, batch_with_languages, load_classifier


class LanguageModelHandler(ModelHandler[pa.RecordBatch, PredictionResult, LanguageClassifier]):
    """Tells the languages of record batches: an example is a batch, and its inference the batch with `lang`.

    Takes what `DetectLanguage.OfBatches` takes. The id of a result is the SHA-256 of the file of the classifier that
    gave it, so that after a swap each batch tells which of them that was; a batch is never told by two.
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

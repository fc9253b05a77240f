"""The classifier of languages as a model of RunInference, which may be replaced by a newer one while it runs."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from apache_beam.ml.inference.base import ModelHandler, PredictionResult

from models.language.classifier import LanguageClassifier
from transforms.detecting import DetectLanguage, batch_with_languages, load_classifier

_Found = tuple[str, float]  # a file, and when it was written
_LOOK = 10.0  # seconds between two looks for a newer file


class LanguageModelHandler(ModelHandler[pa.RecordBatch, PredictionResult, LanguageClassifier]):
    """Tells the languages of record batches: an example is a batch, and its inference the batch with `lang`.

    Takes what `DetectLanguage.OfBatches` takes. The id of a result is the SHA-256 of the file of the classifier that
    gave it, so that after a swap each batch tells which of them that was; a batch is never told by two.

    A `model` with a * is a pattern: of the files that match, the newest is the model, of those of one age the last by
    name, and every `look` seconds there may be a newer one. That holds on every runner. One that cannot be read is
    passed over with a warning, and tried again. A side input of RunInference is the other way to change the model.
    """

    def __init__(
        self, model: str = "", text: str = "text", min_confidence: float = 0.0, *, look: float = _LOOK
    ) -> None:
        super().__init__()
        self._settings = DetectLanguage(model=model, text=text, min_confidence=min_confidence)
        self._model = model
        self._look = look
        self._looked = float("-inf")
        self._newest: LanguageClassifier | None = None

    def load_model(self) -> LanguageClassifier:
        return _loaded(_newest(self._model)) if "*" in self._model else load_classifier(self._model)

    def run_inference(
        self,
        batch: Sequence[pa.RecordBatch],
        model: LanguageClassifier,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[PredictionResult]:
        del inference_args
        model = self._current(model)
        return [
            PredictionResult(rows, batch_with_languages(model, rows, self._settings), model.sha256) for rows in batch
        ]

    def _current(self, model: LanguageClassifier) -> LanguageClassifier:
        """The newest model, or the one that was loaded where there is no pattern, or nothing newer that is sound."""
        if "*" not in self._model:
            return model
        now = time.monotonic()
        if now - self._looked >= self._look:
            self._looked = now
            try:
                self._newest = _loaded(_newest(self._model))
            except (ValueError, OSError) as error:
                logging.getLogger(__name__).warning("the model stays as it is: %s", error)
        return self._newest or model

    def update_model_path(self, model_path: str | None = None) -> None:
        self._model = model_path or self._model

    def get_num_bytes(self, batch: Sequence[pa.RecordBatch]) -> int:
        return sum(rows.nbytes for rows in batch)

    def get_metrics_namespace(self) -> str:
        return "streamsketch.language"

    def batch_elements_kwargs(self) -> Mapping[str, Any]:
        return {"min_batch_size": 1, "max_batch_size": 1}  # they are batches already


def _newest(pattern: str) -> _Found:
    files = FileSystems.match([pattern])[0].metadata_list
    if not files:
        raise ValueError(f"there must be a model that matches {pattern!r}, and there is none: write one there first")
    newest = max(files, key=lambda file: (file.last_updated_in_seconds, file.path))
    return newest.path, newest.last_updated_in_seconds


@functools.lru_cache(maxsize=2)  # all threads of a worker share the model, and for a while the one before
def _loaded(found: _Found) -> LanguageClassifier:
    return load_classifier(found[0])

"""LanguageModelHandler in RunInference: batches go in and out whole, and each tells which model it was told by."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.ml.inference.base import ModelMetadata, PredictionResult, RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from models.language.classifier import LanguageClassifier, default
from models.language.counts import LanguageCounts
from transforms.language_inference import LanguageModelHandler

BATCHES = [
    pa.RecordBatch.from_pydict(
        {"text": ["good morning everyone", "Guten Morgen zusammen", None], "lang": ["a", "b", "c"]}
    ),
    pa.RecordBatch.from_pydict({"text": ["おはようございます"], "lang": ["d"]}),
]


def told(result: PredictionResult) -> tuple[Any, ...]:
    return tuple(map(tuple, result.inference.select(["lang", "lang_given"]).to_pydict().values())), result.model_id


def test_an_example_is_a_batch() -> None:
    expected = [
        ((("en", "de", "und"), ("a", "b", "c")), default().sha256),
        ((("ja",), ("d",)), default().sha256),
    ]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        results = pipeline | beam.Create(BATCHES) | RunInference(LanguageModelHandler()) | beam.Map(told)
        assert_that(results, equal_to(expected))


def test_a_model_that_a_side_input_names_takes_over(tmp_path: Path) -> None:
    counts = LanguageCounts(1000)
    counts.add_many(["good morning", "Guten Morgen", "おはよう"], ["one", "two", "three"])
    newer = LanguageClassifier.of_counts(counts)
    path = tmp_path / "newer.safetensors"
    path.write_bytes(newer.to_bytes())
    expected = [
        ((("one", "two", "und"), ("a", "b", "c")), newer.sha256),
        ((("three",), ("d",)), newer.sha256),
    ]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        models = pipeline | "Models" >> beam.Create([ModelMetadata(str(path), "newer")])
        results = (
            pipeline
            | beam.Create(BATCHES)
            | RunInference(LanguageModelHandler(), model_metadata_pcoll=models)
            | beam.Map(told)
        )
        assert_that(results, equal_to(expected))


def test_a_model_that_is_replaced_while_a_batch_is_told_does_not_show_in_it(tmp_path: Path) -> None:
    handler = LanguageModelHandler()
    running = handler.load_model()
    handler.update_model_path(str(tmp_path / "not-there-yet.safetensors"))
    (result,) = handler.run_inference(BATCHES[:1], running)
    assert result.model_id == default().sha256
    assert result.inference.column("lang").to_pylist() == ["en", "de", "und"]

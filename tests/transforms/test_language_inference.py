"""LanguageModelHandler in RunInference: batches go in and out whole, and each tells which model it was told by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.ml.inference.base import ModelMetadata, PredictionResult, RunInference
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from models.language.classifier import LanguageClassifier, default
from models.language.counts import LanguageCounts
from transforms.language_inference import LanguageModelHandler, NewestModel

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


def test_the_newest_file_is_the_model_of_each_window(tmp_path: Path) -> None:
    for name, age in (("a", 50), ("b", 10), ("c", 10), ("z", 90)):
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(b"")
        os.utime(path, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "newer.txt").write_bytes(b"")
    ticks = [TimestampedValue(number, 1_000_000 + second) for number, second in enumerate([0, 3, 12])]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        windows = pipeline | beam.Create(ticks) | beam.WindowInto(FixedWindows(10))
        found = windows | "Newest" >> NewestModel(f"{tmp_path}/*.safetensors") | beam.Map(placed)
        assert_that(found, equal_to([(f"{tmp_path}/c.safetensors", start) for start in (1_000_000, 1_000_010)]))
        nothing = windows | "None" >> NewestModel(f"{tmp_path}/*.none")
        assert_that(nothing, equal_to([]), label="None is there")


def placed(model: ModelMetadata, window: Any = beam.DoFn.WindowParam) -> tuple[str, float]:
    return model.model_id, float(window.start)


def test_where_no_model_is_named_it_is_the_one_of_the_handler(tmp_path: Path) -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        ticks = pipeline | "Ticks" >> beam.Create([1])
        results = (
            pipeline
            | beam.Create(BATCHES[:1])
            | RunInference(LanguageModelHandler(), model_metadata_pcoll=ticks | NewestModel(f"{tmp_path}/*"))
            | beam.Map(told)
        )
        assert_that(results, equal_to([((("en", "de", "und"), ("a", "b", "c")), default().sha256)]))

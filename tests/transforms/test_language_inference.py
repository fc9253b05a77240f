"""LanguageModelHandler in RunInference: batches go in and out whole, and each tells which model it was told by."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
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


def numbered(name: str) -> LanguageClassifier:
    counts = LanguageCounts(1000)
    counts.add_many(["good morning", "Guten Morgen", "おはよう"], [f"{name}-one", f"{name}-two", f"{name}-three"])
    return LanguageClassifier.of_counts(counts)


def write(folder: Path, name: str, written: float, data: bytes) -> None:
    """A file that appears complete."""
    hidden = folder / f".{name}"
    hidden.write_bytes(data)
    os.utime(hidden, (written, written))
    hidden.rename(folder / name)


def test_of_a_pattern_the_newest_file_is_the_model_and_a_newer_one_takes_over(tmp_path: Path) -> None:
    models = {name: numbered(name) for name in ("a", "b", "c")}
    write(tmp_path, "z.safetensors", 1_000, models["a"].to_bytes())
    write(tmp_path, "b.safetensors", 2_000, models["b"].to_bytes())
    write(tmp_path, "a.safetensors", 2_000, models["a"].to_bytes())
    write(tmp_path, "c.txt", 3_000, b"no model")
    handler = LanguageModelHandler(f"{tmp_path}/*.safetensors", look=0)
    loaded = handler.load_model()

    def told_by() -> str:
        (result,) = handler.run_inference(BATCHES[:1], loaded)
        name = next(name for name, model in models.items() if model.sha256 == result.model_id)
        assert result.inference.column("lang").to_pylist() == [f"{name}-one", f"{name}-two", "und"]
        return name

    assert told_by() == "b"
    write(tmp_path, "c.safetensors", 4_000, models["c"].to_bytes())
    assert told_by() == "c"
    write(tmp_path, "c.safetensors", 5_000, models["a"].to_bytes())
    assert told_by() == "a"


def test_a_newer_file_is_looked_for_now_and_then_only(tmp_path: Path) -> None:
    write(tmp_path, "a.safetensors", 1_000, numbered("a").to_bytes())
    handler = LanguageModelHandler(f"{tmp_path}/*", look=3600)
    first = [result.model_id for result in handler.run_inference(BATCHES, handler.load_model())]
    write(tmp_path, "b.safetensors", 2_000, numbered("b").to_bytes())
    assert [result.model_id for result in handler.run_inference(BATCHES, handler.load_model())] == first


def test_a_damaged_newer_file_is_passed_over_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, "a.safetensors", 1_000, numbered("a").to_bytes())
    handler = LanguageModelHandler(f"{tmp_path}/*", look=0)
    loaded = handler.load_model()
    write(tmp_path, "b.safetensors", 2_000, numbered("b").to_bytes()[:-9])
    (result,) = handler.run_inference(BATCHES[:1], loaded)
    assert result.model_id == numbered("a").sha256
    assert "the model stays as it is" in caplog.text
    write(tmp_path, "b.safetensors", 3_000, numbered("b").to_bytes())
    (result,) = handler.run_inference(BATCHES[:1], loaded)
    assert result.model_id == numbered("b").sha256


def test_a_pattern_that_nothing_matches_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there must be a model that matches"):
        LanguageModelHandler(f"{tmp_path}/*").load_model()

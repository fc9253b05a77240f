"""DetectLanguage and CountLanguages: every record is kept with its time, and shards train what the whole would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, GlobalWindow, TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from models.language.classifier import LanguageClassifier, default
from models.language.counts import LanguageCounts
from transforms.detecting import CountLanguages, DetectLanguage, _DetectBundle, load_classifier

START = 1_000_000
TEXTS = ["Guten Morgen zusammen", "good morning everyone", "おはようございます", None, "", "123"]
LANGUAGES = ["de", "en", "ja", "und", "und", "und"]


def with_its_window(
    row: dict[str, Any], time: Any = beam.DoFn.TimestampParam, window: Any = beam.DoFn.WindowParam
) -> tuple[Any, ...]:
    return row["id"], row["lang"], float(time), float(window.start)


def test_each_record_is_kept_at_its_time_and_in_its_window() -> None:
    rows = [TimestampedValue({"id": n, "text": text}, START + 7 * n) for n, text in enumerate(TEXTS)]
    with TestPipeline(runner="FnApiRunner") as pipeline:
        told = (
            pipeline
            | beam.Create(rows)
            | beam.WindowInto(FixedWindows(10))
            | DetectLanguage()
            | beam.Map(with_its_window)
        )
        expected = [(n, lang, START + 7 * n, START + 7 * n // 10 * 10) for n, lang in enumerate(LANGUAGES)]
        assert_that(told, equal_to(expected))


def detect(rows: list[dict[str, Any]], **settings: Any) -> list[dict[str, Any]]:
    """The rows as the step gives them, in their order."""
    step = _DetectBundle(DetectLanguage(**settings))
    step.setup()
    step.start_bundle()
    return [told.value for row in rows for told in step.process(row, Timestamp(0), GlobalWindow())] + [
        told.value for told in step.finish_bundle()
    ]


def test_a_language_that_was_given_is_kept_beside() -> None:
    (row,) = detect([{"lang": "fr", "text": "good morning everyone", "more": {"a": [1]}}])
    assert (row["lang"], row["lang_given"], row["more"]) == ("en", "fr", {"a": [1]})
    (again,) = detect([row])
    assert again == row


def test_the_field_the_doubt_and_the_choice_are_settings() -> None:
    (row,) = detect([{"body": "ok"}], text="body", min_confidence=0.99)
    assert row["lang"] == "und"
    assert 0 < row["lang_confidence"] < 0.99
    (row,) = detect([{"text": "good morning everyone"}], languages=("de", "nl"))
    assert row["lang"] in {"de", "nl"}
    (row,) = detect([{"text": "good morning everyone"}], explain=True)
    assert row["lang_why"][0].keys() == {"gram", "times", "points"}


def test_rows_of_batches_are_told_the_same() -> None:
    batch = pa.RecordBatch.from_pydict({"text": TEXTS, "lang": ["xx"] * 6, "n": range(6)})
    with TestPipeline(runner="FnApiRunner") as pipeline:
        told = (
            pipeline
            | beam.Create([batch])
            | DetectLanguage.OfBatches()
            | beam.FlatMap(lambda batch: batch.to_pylist())
            | beam.Map(lambda row: (row["n"], row["lang"], row["lang_given"], round(row["lang_confidence"], 4)))
        )
        expected = [
            (n, row["lang"], "xx", row["lang_confidence"])
            for n, row in enumerate(detect([{"text": text} for text in TEXTS]))
        ]
        assert [row[1] for row in expected] == LANGUAGES
        assert_that(told, equal_to(expected))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="min_confidence must be between 0 and 1"):
        DetectLanguage(min_confidence=2)
    with pytest.raises(ValueError, match="text must be another field"):
        DetectLanguage(text="lang")
    with pytest.raises(ValueError, match="there is no model 'nowhere"):
        load_classifier("nowhere.safetensors")


def test_a_model_of_ones_own_is_used(tmp_path: Path) -> None:
    counts = LanguageCounts(1000)
    counts.add_many(["brekekekex koax", "quak quak"], ["frog", "duck"])
    path = tmp_path / "frogs.safetensors"
    path.write_bytes(LanguageClassifier.of_counts(counts).to_bytes())
    assert [row["lang"] for row in detect([{"text": "koax koax"}], model=str(path))] == ["frog"]
    assert load_classifier() is default()


def test_shards_train_to_the_bytes_of_the_whole() -> None:
    labelled = [(f"text number {n} of {label}", label) for n in range(700) for label in ("one", "two", "und")]
    whole = LanguageCounts(300)
    whole.add_many([text for text, _ in labelled], [label for _, label in labelled])
    with TestPipeline(runner="FnApiRunner") as pipeline:
        counts = pipeline | beam.Create(labelled) | beam.Reshuffle() | CountLanguages(300)
        assert_that(counts | beam.Map(LanguageCounts.to_bytes), equal_to([whole.to_bytes()]))


def test_of_no_text_there_are_no_counts() -> None:
    with TestPipeline(runner="FnApiRunner") as pipeline:
        counts = pipeline | beam.Create([]) | CountLanguages(300)
        assert_that(counts | beam.Map(lambda counts: counts.texts), equal_to([{}]))

"""LearnLanguages: workers learn what one would."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to

from models.language.counts import LanguageCounts
from models.language.streaming_em import StreamingEM
from transforms.learning import LearnLanguages

TEXTS = ["wo ist der Hafen von Emden", "where is the harbour of Hull", "der Bahnhof", "the station", "", "a 1", "zzz"]


def em_of_two() -> StreamingEM:
    seed = LanguageCounts(3000)
    seed.add_many(["wo ist der Bahnhof", "where is the station"], ["de", "en"])
    return StreamingEM(seed, min_confidence=0.7)


def test_workers_learn_what_one_would(tmp_path: Path) -> None:
    alone, model = em_of_two(), tmp_path / "model"
    model.write_bytes(alone.classifier().to_bytes())
    alone.learn(TEXTS * 300)
    assert 0 < sum(alone.learnt.texts.values()) < 300 * len(TEXTS)
    with TestPipeline(runner="FnApiRunner") as pipeline:
        texts = pipeline | beam.Create(TEXTS * 300) | beam.Reshuffle()
        learnt = texts | LearnLanguages(model=str(model), min_confidence=0.7)
        assert_that(learnt | beam.Map(LanguageCounts.to_bytes), equal_to([alone.learnt.to_bytes()]))


def test_without_a_model_there_is_nothing_to_learn_with(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no model"):
        beam.Pipeline("FnApiRunner") | beam.Create([""]) | LearnLanguages(model=str(tmp_path / "absent"))

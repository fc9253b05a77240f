"""A file says whether it holds a classifier or clusters, and each tells the language of texts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.language import Featurizer, LanguageModel
from models.language.artifact import ModelFileError
from models.language.classifier import default
from models.language.sealed_file import FileError
from transforms.language_models import languages_of, load_any

TEXTS = ["the rain in the town", "дождь в городе"]


def clusters() -> LanguageModel:
    """Two clusters, of which the second saw no language."""
    featurizer = Featurizer(dimension=64)
    return LanguageModel(
        featurizer=featurizer, centres=featurizer.transform(TEXTS).toarray(), languages=({"en": 2}, {}), sizes=(2, 1),
        method="lloyd", seed=1, iterations=1, inertia=0.0, fingerprint="0",
    )  # fmt: skip


def test_the_file_says_what_it_holds(tmp_path: Path) -> None:
    told = {}
    for name, model in {"classifier": default(), "clusters": clusters()}.items():
        (tmp_path / name).write_bytes(model.to_bytes())
        told[name] = languages_of(load_any(str(tmp_path / name)), TEXTS)
    assert told == {"classifier": ["en", "ru"], "clusters": ["en", "und"]}
    assert load_any() is default()


@pytest.mark.parametrize("model", [default(), clusters()])
def test_a_damaged_file_is_refused_by_the_rule_of_its_kind(tmp_path: Path, model: LanguageModel) -> None:
    data = bytearray(model.to_bytes())
    data[-9] ^= 1
    (tmp_path / "damaged").write_bytes(data)
    with pytest.raises(ModelFileError if isinstance(model, LanguageModel) else FileError, match="it was changed"):
        load_any(str(tmp_path / "damaged"))


@pytest.mark.parametrize("data", [b"", b"\xff" * 100, b"\x02\x00\x00\x00\x00\x00\x00\x00{}", b"PNG" * 9])
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "no.model").write_bytes(data)
    with pytest.raises(FileError, match=r"a streamsketch\.language-classifier file must"):
        load_any(str(tmp_path / "no.model"))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="there is no model 'nowhere'"):
        load_any("nowhere")


def test_a_text_that_nobody_can_tell_is_und() -> None:
    sure = float(default().predict(["ok"]).confidence[0])
    assert languages_of(default(), ["ok", "😀"], min_confidence=np.nextafter(sure, 2)) == ["und", "und"]

"""train_classifier: shards that add up to the whole, bit for bit, and what is taken away was never there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from models.language.classifier import LanguageClassifier
from pipelines import launch, train_classifier
from pipelines.options import UsageError
from transforms.accounting import Ledger

_SAID = {
    "en": ["where is the station", "good morning everyone", "what a lovely day this is"],
    "de": ["wo ist der Bahnhof", "guten Morgen alle zusammen", "was für ein schöner Tag das ist"],
    "ja": ["駅はどこですか", "みなさんおはようございます", "今日はいい天気ですね"],
}
_ROWS: list[dict[str, Any]] = [{"text": text, "lang": lang} for lang, texts in _SAID.items() for text in texts]


def train(place: Path, name: str, rows: list[dict[str, Any]], **asked: Any) -> Ledger:
    (place / f"{name}.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    options = train_classifier.Options(
        input=f"{place}/{name}.jsonl", output=f"{place}/{name}.safetensors", buckets=2000, **asked
    )
    ledger = launch.run("train_classifier", train_classifier, options, [], Console(quiet=True))
    assert ledger
    return ledger


def test_shards_add_up_to_the_whole_and_what_is_taken_away_was_never_there(tmp_path: Path) -> None:
    train(tmp_path, "whole", _ROWS)
    train(tmp_path, "first", _ROWS[:4])
    train(tmp_path, "both", _ROWS[4:], add=(f"{tmp_path}/first.counts.safetensors",))
    train(
        tmp_path,
        "rest",
        [],
        add=(f"{tmp_path}/whole.counts.safetensors",),
        subtract=(f"{tmp_path}/first.counts.safetensors",),
    )
    train(tmp_path, "last", _ROWS[4:])
    read = {path.name: path.read_bytes() for path in tmp_path.glob("*.safetensors")}
    for kind in (".safetensors", ".counts.safetensors"):
        assert read[f"both{kind}"] == read[f"whole{kind}"]
        assert read[f"rest{kind}"] == read[f"last{kind}"]
    classifier = LanguageClassifier.from_bytes(read["whole.safetensors"])
    assert classifier.predict(["der Bahnhof", "the morning", "おはよう"]).labels == ["de", "en", "ja"]


def test_texts_without_a_language_are_left_out(tmp_path: Path) -> None:
    more: list[dict[str, Any]] = [{"text": "who knows", "lang": "und"}, {"text": "nobody"}, {"lang": "en"}]
    assert train(tmp_path, "a", [*_ROWS, *more]) == Ledger(read=12, used=9, filtered=2, rejected=1)
    train(tmp_path, "b", _ROWS)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_what_was_never_added_cannot_be_taken_away(tmp_path: Path) -> None:
    train(tmp_path, "a", _ROWS)
    with pytest.raises(UsageError, match="only what was added can be taken away"):
        train(tmp_path, "b", _ROWS, subtract=(f"{tmp_path}/a.counts.safetensors",))
    with pytest.raises(UsageError, match="there are no counts 'nowhere'"):
        train(tmp_path, "c", _ROWS, add=("nowhere",))

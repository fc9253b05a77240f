"""A model card says what the passport says and what was measured, and nothing else."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path
from typing import Any

from models.language.card import model_card
from models.language.classifier import LanguageClassifier, default
from models.language.counts import LanguageCounts
from models.language.judging import judgement


def rows_of(card: str, heading: str) -> list[list[str]]:
    """The cells of the tables of a section, without their heads."""
    section = re.split(r"^## ", card, flags=re.MULTILINE)
    (chosen,) = [part for part in section if part.startswith(heading + "\n")]
    lines = [line for line in chosen.splitlines() if line.startswith("|")]
    heads = {at for at, line in enumerate(lines) if line.startswith("|---")}
    kept = [line for at, line in enumerate(lines) if at not in heads and at + 1 not in heads]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in kept]


def whole(text: str) -> int:
    return int(text.replace(",", ""))


def test_the_card_of_the_model_that_comes_along_says_on_what_it_was_trained() -> None:
    provenance = default().passport["provenance"]
    card = model_card(default())
    assert default().sha256 in card
    assert {name: whole(count) for name, count in rows_of(card, "What it was trained on")} == provenance["texts"]
    assert {name: whole(count) for name, count in rows_of(card, "Sources")} == provenance["sources"]
    assert dict(rows_of(card, "Files")) == provenance["files"]
    few = re.search(r"fewer than 500 texts of (.*)\.", card)
    assert few
    assert set(few[1].split(", ")) == {name for name, count in provenance["texts"].items() if count < 500}
    assert "Not measured here" in card


def test_the_card_in_the_docs_is_of_the_model_that_comes_along() -> None:
    written = Path(__file__).parents[3] / "docs" / "language-model-card.md"
    passport, heading, measured = written.read_text(encoding="utf-8").partition("## How right it is\n")
    assert passport == model_card(default()).partition(heading)[0]
    assert "texts 97." in measured


def test_what_was_measured_is_told() -> None:
    judged = judgement(Counter({("en", "en", 9000): 7, ("en", "de", 4000): 1, ("de", "de", 9900): 2}))
    card = model_card(default(), judged)
    assert "Of 10 texts 90.00% are told right" in card
    expected: list[list[str]] = [[name, *map(str, each.values())] for name, each in judged["languages"].items()]
    assert rows_of(card, "How right it is") == [*expected, ["en", "de", "1"]]
    assert "Not measured" in model_card(default(), {"texts": 0})


def test_a_model_of_ones_own_has_a_card_whatever_its_passport_says() -> None:
    counts = LanguageCounts()
    counts.add_many(["wo ist der Bahnhof", "where is the station"], ["de", "en"])
    own = LanguageClassifier.of_counts(counts)
    card = model_card(own)
    assert rows_of(card, "What it was trained on") == [["de", "1"], ["en", "1"]]
    hostile: dict[str, Any] = {"a|b": {"<i>": "x\n## y|z"}, "texts": [1], "method": "one\n\n# two"}
    card = model_card(dataclasses.replace(own, provenance=hostile))
    assert "It does not say on how many texts of its languages: de, en." in card
    assert rows_of(card, "A\\|b") == [["&lt;i&gt;", "x ## y\\|z"]]
    assert "\n# two" not in card

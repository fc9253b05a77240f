"""evaluate_language: what it says of labelled texts, and which it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from models.language.card import model_card
from models.language.classifier import default
from pipelines import evaluate_language, launch
from pipelines.options import UsageError
from reports.languages import languages_page
from transforms.accounting import Ledger


def run(place: Path, rows: list[dict[str, Any]], **more: str) -> tuple[Ledger, dict[str, Any], str]:
    (place / "in.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    options = evaluate_language.Options(input=f"{place}/in.jsonl", output=f"{place}/judged.json", **more)
    with (place / "said.txt").open("w", encoding="utf-8") as said:
        ledger = launch.run("evaluate_language", evaluate_language, options, [], Console(width=120, file=said))
    assert ledger
    assert ledger.missing == 0
    return ledger, orjson.loads((place / "judged.json").read_bytes()), (place / "said.txt").read_text(encoding="utf-8")


def test_right_and_wrong_are_counted_and_what_has_no_language_is_left_out(tmp_path: Path) -> None:
    rows = [
        {"text": "good morning everyone", "lang": "en", "lang_given": "fr"},
        {"text": "guten Morgen alle zusammen", "lang": "de"},
        {"text": "guten Abend alle zusammen", "lang": "en"},
        {"text": "123", "lang": "en"},
        {"text": "whatever", "lang": "und"},
        {"text": "whatever"},
        {"lang": "en"},
    ]
    ledger, judged, said = run(tmp_path, rows)
    assert ledger == Ledger(read=7, used=4, filtered=2, rejected=1)
    assert judged["model"] == default().sha256
    assert (judged["texts"], judged["accuracy"]) == (4, 0.5)
    assert judged["languages"]["en"] == {"texts": 3, "told": 1, "precision": 1.0, "recall": 0.3333, "f1": 0.5}
    assert judged["confusions"] == [
        {"given": "en", "told": "de", "texts": 1},
        {"given": "en", "told": "und", "texts": 1},
    ]
    assert "4 texts: 50.00% are told right" in said


def test_without_a_labelled_text_there_is_nothing_to_judge_by(tmp_path: Path) -> None:
    ledger, judged, said = run(tmp_path, [{"text": "whatever"}])
    assert ledger == Ledger(read=1, filtered=1)
    assert judged["texts"] == 0
    assert "nothing to judge by" in said


def test_a_page_and_a_model_card_are_of_the_judgement(tmp_path: Path) -> None:
    rows = [{"text": "good morning everyone", "lang": "en"}, {"text": "guten Abend alle zusammen", "lang": "en"}]
    page, card = tmp_path / "judged.html", tmp_path / "card.md"
    _, judged, _ = run(tmp_path, rows, page=str(page), card=str(card))
    assert page.read_text(encoding="utf-8") == languages_page(judged, "How right languages are told")
    assert card.read_text(encoding="utf-8") == model_card(default(), judged)
    assert "Of 2 texts 50.00% are told right" in card.read_text(encoding="utf-8")


def test_without_a_judgement_there_is_a_card_and_no_page(tmp_path: Path) -> None:
    run(tmp_path, [{"text": "whatever"}], page=f"{tmp_path}/judged.html", card=f"{tmp_path}/card.md")
    assert "Not measured" in (tmp_path / "card.md").read_text(encoding="utf-8")
    assert not (tmp_path / "judged.html").exists()


def test_a_place_where_nothing_can_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"a page or card must be a file that can be written, got .*nowhere/card\.md"):
        run(tmp_path, [{"text": "good morning", "lang": "en"}], card=f"{tmp_path}/nowhere/card.md")


@pytest.mark.parametrize("wrong", [{"page": "judged.json"}, {"card": "card.txt"}])
def test_a_page_is_html_and_a_card_markdown(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"(page must end in \.html|card must end in \.md), got"):
        evaluate_language.Options(input="in.jsonl", output="judged.json", **wrong)


def test_the_judgement_is_json() -> None:
    with pytest.raises(ValueError, match=r"output must end in \.json"):
        evaluate_language.Options(input="in.jsonl", output="judged.jsonl")

"""evaluate_language: what it says of labelled texts, and which it leaves out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from models.language.classifier import default
from pipelines import evaluate_language, launch
from transforms.accounting import Ledger


def run(place: Path, rows: list[dict[str, Any]]) -> tuple[Ledger, dict[str, Any], str]:
    (place / "in.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    options = evaluate_language.Options(input=f"{place}/in.jsonl", output=f"{place}/judged.json")
    console = Console(record=True, width=120, quiet=False, file=(place / "said.txt").open("w", encoding="utf-8"))
    ledger = launch.run("evaluate_language", evaluate_language, options, [], console)
    console.file.close()
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


def test_the_judgement_is_json() -> None:
    with pytest.raises(ValueError, match=r"output must end in \.json"):
        evaluate_language.Options(input="in.jsonl", output="judged.jsonl")

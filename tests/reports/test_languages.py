"""The page of a judgement shows what was counted, whatever languages are called."""

from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from random import Random
from typing import Any

import pytest

from models.language.judging import judgement
from reports.charts import HEIGHT, WIDTH
from reports.languages import draw_reliability, languages_page, matrix_of

HOSTILE = ["<script>alert(1)</script>", '"><img src=x>', "{{ 7 * 7 }}", "\u202egnp", "", "x" * 900]


def judged_by_chance(names: list[str], texts: int = 2000) -> tuple[list[tuple[str, str, int]], dict[str, Any]]:
    """What was told, and its judgement: mostly right, and more often so the surer."""
    chance = Random(5)
    told = []
    for _ in range(texts):
        confidence, given = chance.randrange(10_001), chance.choices(names, range(len(names), 0, -1))[0]
        wrong = chance.choice([*names, "und"])
        told.append((given, given if chance.random() < confidence / 10_000 else wrong, confidence))
    return told, judgement(Counter(told))


class _Numbers(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.of: dict[str, list[float]] = {}
        self.tags: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        named = dict(attrs)
        if "data-value" in named:
            self.of.setdefault(str(named["data-source"]), []).append(float(named["data-value"] or "nan"))


def numbers_of(page: str) -> _Numbers:
    numbers = _Numbers()
    numbers.feed(page)
    return numbers


@pytest.mark.parametrize("most", [3, 16])
def test_the_matrix_is_what_was_told(most: int) -> None:
    names = [f"l{n}" for n in range(6)]
    told, judged = judged_by_chance(names)
    given = Counter(people for people, _, _ in told)
    pairs = Counter((people, machine) for people, machine, _ in told)
    matrix = matrix_of(judged, most)
    assert matrix.told == [*[name for name, _ in sorted(given.items(), key=lambda x: (-x[1], x[0]))][:most], "und"]
    for row in matrix.rows:
        assert row.texts == given[row.given]
        expected = [pairs[row.given, name] / row.texts for name in matrix.told]
        assert row.shares == pytest.approx(expected)
        assert sum(row.shares) + row.others == pytest.approx(1)


def test_every_number_of_the_judgement_is_on_the_page() -> None:
    _, judged = judged_by_chance([f"l{n}" for n in range(5)])
    numbers = numbers_of(languages_page(judged)).of
    languages = judged["languages"].values()
    assert set(numbers["accuracy"]) == {judged["accuracy"]}
    assert numbers["calibration error"] == [judged["calibration_error"]]
    for source, name in (("texts of a language", "texts"), ("told of a language", "told"), ("precision", "precision"),
                         ("recall", "recall"), ("F1", "f1")):  # fmt: skip
        assert numbers[source] == [each[name] for each in languages]
    assert numbers["mean F1"] == [sum(each["f1"] for each in languages if each["texts"]) / 5]
    assert numbers["undecided"] == [judged["languages"]["und"]["told"] / judged["texts"]]
    for name in ("texts", "confidence", "right"):
        assert numbers[f"calibration {name}"] == [each[name] for each in judged["calibration"]]
    assert numbers["confusion"] == [each["texts"] for each in judged["confusions"]]


def test_the_drawing_has_a_dot_for_each_range_of_confidence() -> None:
    calibration = [
        {"from": 0.2, "to": 0.2667, "texts": 30, "confidence": 0.25, "right": 0.5},
        {"from": 0.9333, "to": 1.0, "texts": 70, "confidence": 1.0, "right": 0.9},
    ]
    dots = re.findall(r'class="dot c0" d="M([\d.]+) ([\d.]+)h0"', draw_reliability(calibration, 100).svg)
    assert [float(x) / WIDTH for x, _ in dots] == pytest.approx([0.25, 1.0])
    assert [1 - float(y) / HEIGHT for _, y in dots] == pytest.approx([0.5, 0.9])
    tops = re.findall(r'class="under c5" d="M[\d.]+ [\d.]+L[\d.]+ ([\d.]+)L', draw_reliability(calibration, 100).svg)
    assert [1 - float(y) / HEIGHT for y in tops] == pytest.approx([0.3, 0.7])


def test_whatever_languages_are_called_the_page_holds_text_only() -> None:
    _, judged = judged_by_chance(HOSTILE)
    page = languages_page(judged, "</title><script>alert(2)</script>")
    assert not numbers_of(page).tags & {"script", "img"}
    assert "49" not in re.sub(r"<[^>]*>", "", page.partition("By language")[2]).split()
    assert page == languages_page(judged, "</title><script>alert(2)</script>")


def test_nothing_is_fetched() -> None:
    _, judged = judged_by_chance(["en", "de"])
    page = languages_page(judged)
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=|https?://|@import|url\(", page)


def test_of_no_text_there_is_no_page() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        languages_page({"texts": 0})

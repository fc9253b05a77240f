"""Judging a classifier: the numbers of scikit-learn, and of the definition."""

from __future__ import annotations

from collections import Counter
from random import Random

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from models.language.judging import judgement


def test_the_numbers_are_those_of_scikit_learn() -> None:
    chance = Random(4)
    names = ["de", "en", "fr", "ja"]
    given = [chance.choice(names) for _ in range(500)]
    told = [each if chance.random() < 0.7 else chance.choice([*names, "und"]) for each in given]
    sure = [chance.randrange(10_001) for _ in given]
    judged = judgement(Counter(zip(given, told, sure, strict=True)))
    assert judged["accuracy"] == pytest.approx(accuracy_score(given, told), abs=1e-4)
    labels = [*names, "und"]
    expected = precision_recall_fscore_support(given, told, labels=labels, zero_division=0)
    for place, name in enumerate(labels):
        described = judged["languages"][name]
        got = [described[what] for what in ("precision", "recall", "f1", "texts")]
        np.testing.assert_allclose(got, [column[place] for column in expected], atol=1e-4)
    assert sum(each["texts"] for each in judged["confusions"]) == sum(a != b for a, b in zip(given, told, strict=True))
    assert sum(each["texts"] for each in judged["calibration"]) == judged["texts"] == 500


def test_who_is_as_sure_as_right_is_calibrated_and_who_boasts_is_not() -> None:
    honest = judgement({("en", "en", 8000): 80, ("en", "de", 8000): 20})
    boasting = judgement({("en", "en", 10_000): 80, ("en", "de", 10_000): 20})
    assert honest["calibration_error"] == 0.0
    assert boasting["calibration_error"] == 0.2
    assert boasting["calibration"] == [{"from": 0.9333, "to": 1.0, "texts": 100, "confidence": 1.0, "right": 0.8}]


def test_the_most_frequent_come_first() -> None:
    judged = judgement({("de", "en", 1): 1, ("fr", "en", 1): 3, ("de", "fr", 1): 1, ("en", "en", 1): 2})
    assert [each["given"] + each["told"] for each in judged["confusions"]] == ["fren", "deen", "defr"]
    assert list(judged["languages"]) == ["fr", "de", "en"]


def test_nothing_cannot_be_judged() -> None:
    with pytest.raises(ValueError, match="at least one text"):
        judgement({})

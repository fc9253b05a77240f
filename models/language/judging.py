"""How right a classifier is on labelled texts: by language, by pair of languages, and by how sure it was.

Sources: Manning, Raghavan and Schütze, Introduction to Information Retrieval (2008), chapter 13; Guo et al., On
Calibration of Modern Neural Networks (2017), for the expected calibration error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, TypeAlias

Judged: TypeAlias = tuple[str, str, int]  # the language that people gave, the one told, and confidence in units of 1e-4

_UNIT = 10_000
_BINS = 15


def judgement(counts: Mapping[Judged, int]) -> dict[str, Any]:
    """Accuracy, precision, recall and F1 by language, confusions, and calibration, of so many texts; ready for JSON.

    >>> judged = judgement({("en", "en", 9000): 3, ("en", "de", 4000): 1, ("de", "de", 10000): 2})
    >>> judged["accuracy"], judged["languages"]["de"]["precision"], judged["confusions"]
    (0.8333, 0.6667, [{'given': 'en', 'told': 'de', 'texts': 1}])
    """
    texts = sum(counts.values())
    if not texts:
        raise ValueError("there must be at least one text with a language")
    pairs: Counter[tuple[str, str]] = Counter()
    for (given, told, _), count in counts.items():
        pairs[given, told] += count
    wrong = sorted(((pair, n) for pair, n in pairs.items() if pair[0] != pair[1]), key=lambda each: (-each[1], each[0]))
    calibration = _calibration(counts)
    gaps = sum(bin_["texts"] * abs(bin_["confidence"] - bin_["right"]) for bin_ in calibration)
    return {
        "texts": texts,
        "accuracy": _share(sum(n for (given, told), n in pairs.items() if given == told), texts),
        "calibration_error": round(gaps / texts, 4),
        "languages": _by_language(pairs),
        "confusions": [{"given": given, "told": told, "texts": n} for (given, told), n in wrong],
        "calibration": calibration,
    }


def _by_language(pairs: Mapping[tuple[str, str], int]) -> dict[str, dict[str, Any]]:
    given: Counter[str] = Counter()
    told: Counter[str] = Counter()
    for (people, machine), count in pairs.items():
        given[people] += count
        told[machine] += count
    described = {}
    for language in sorted(given | told, key=lambda name: (-given[name], name)):
        right = pairs.get((language, language), 0)
        described[language] = {
            "texts": given[language],
            "told": told[language],
            "precision": _share(right, told[language]),
            "recall": _share(right, given[language]),
            "f1": _share(2 * right, given[language] + told[language]),
        }
    return described


def _calibration(counts: Mapping[Judged, int]) -> list[dict[str, Any]]:
    """For each range of confidence that came: how many texts, their mean confidence, and the share told right."""
    bins: dict[int, list[int]] = {}
    for (given, told, confidence), count in counts.items():
        sums = bins.setdefault(min(confidence * _BINS // _UNIT, _BINS - 1), [0, 0, 0])
        for place, more in enumerate((count, count * confidence, count * (given == told))):
            sums[place] += more
    return [
        {
            "from": round(number / _BINS, 4),
            "to": round((number + 1) / _BINS, 4),
            "texts": texts,
            "confidence": _share(confidence, texts * _UNIT),
            "right": _share(right, texts),
        }
        for number, (texts, confidence, right) in sorted(bins.items())
    ]


def _share(part: int, whole: int) -> float:
    """A share to four places; that of nothing is 0."""
    return round(part / whole, 4) if whole else 0.0

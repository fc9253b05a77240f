"""LanguageClassifier: what it says of texts, that it is exact, and what it refuses to be."""

from __future__ import annotations

import hashlib
import math
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from random import Random
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from models.language import loops
from models.language.characters import LONGEST, letters, roles, units_of
from models.language.classifier import LanguageClassifier, Table, default, summed
from models.language.counts import LanguageCounts
from models.language.ngrams import Ngrams
from models.language.sealed_file import FileError, opened, sealed

SHIPPED = resources.files("models.language") / "default.safetensors"
SHA_256 = "213a69f7fd9e3e2f12310dcd82a6374815a6fd3519962e340a1ecc00649afb0d"
KIND = "streamsketch.language-classifier"

SENTENCES = {
    "ja": "明日の朝は早く起きて、駅前でパンを買います。",
    "ar": "سأذهب غدا إلى السوق لأشتري الخبز والفاكهة",
    "fa": "فردا صبح می‌روم نان تازه بخرم و بعد به کتابخانه سر می‌زنم",
    "ur": "کل صبح میں بازار جا کر تازہ روٹی خریدوں گا",
    "th": "พรุ่งนี้เช้าฉันจะไปซื้อขนมปังที่ตลาด",
    "ru": "Завтра утром я пойду за свежим хлебом",
    "uk": "Завтра вранці я піду купити свіжий хліб",
    "bg": "Утре сутринта ще отида да купя пресен хляб",
    "ko": "내일 아침에는 일찍 일어나서 빵을 사러 갈 거예요",
    "zh": "明天早上我要去车站旁边买面包",
    "hi": "कल सुबह मैं ताज़ी रोटी खरीदने जाऊँगा",
    "el": "Αύριο το πρωί θα πάω να αγοράσω φρέσκο ψωμί",
    "he": "מחר בבוקר אלך לקנות לחם טרי",
    "en": "Tomorrow morning I will get up early and buy some fresh bread",
    "de": "Morgen früh stehe ich zeitig auf und kaufe frisches Brot",
    "fr": "Demain matin je me lève tôt pour acheter du pain frais",
    "es": "Mañana por la mañana voy a comprar pan recién hecho",
    "pt": "Amanhã de manhã eu vou comprar pão fresco na padaria",
    "it": "Domani mattina mi alzo presto e compro il pane fresco",
    "nl": "Morgenochtend sta ik vroeg op om vers brood te kopen",
    "pl": "Jutro rano wstanę wcześnie i kupię świeży chleb",
    "tr": "Yarın sabah erken kalkıp taze ekmek alacağım",
    "vi": "Sáng mai tôi sẽ dậy sớm để mua bánh mì mới",
    "fi": "Huomenna aamulla herään aikaisin ja ostan tuoretta leipää",
    "sv": "I morgon bitti går jag upp tidigt och köper färskt bröd",
    "id": "Besok pagi saya akan bangun lebih awal untuk membeli roti",
    "sw": "Kesho asubuhi nitaamka mapema ili ninunue mkate mpya",
}


def small() -> LanguageClassifier:
    counts = LanguageCounts(500)
    counts.add_many(["the rain in town", "der Regen in der Stadt", "la pluie"], ["en", "de", "fr"])
    return LanguageClassifier.of_counts(counts)


SMALL = small()
DATA = SMALL.to_bytes()


@pytest.mark.parametrize("language", SENTENCES)
def test_a_plain_sentence_is_told(language: str) -> None:
    detected = default().predict([SENTENCES[language]])
    assert detected.labels == [language]
    assert detected.confidence[0] > 0.8


def test_hindi_in_latin_letters_is_told_as_such() -> None:
    texts = ["kal subah main bazaar jaunga aur roti lekar aaunga", "yaar kya baat hai, bahut accha laga mujhe"]
    assert default().predict(texts).labels == ["hi-Latn", "hi-Latn"]


def test_of_mixed_text_the_language_of_most_is_told() -> None:
    texts = [
        "今日のランチは New York スタイルのピザを食べました",
        "RT @abc: завтра идём на concert, очень жду http://example.org/the/best/song",
        "I had おいしい ramen for dinner with my friends from school last night",
    ]
    assert default().predict(texts).labels == ["ja", "ru", "en"]


NOTHING_TO_TELL = [
    "",
    "   ",
    "😀🎉🎉",
    "12:30 - 45%",
    "@name http://t.co/abc",
    "\0\0\0",
    "\ud800",
    "?!" * 1000,
    "\u0301" * 9,
]


def test_what_has_no_letter_has_no_language() -> None:
    detected = default().predict(NOTHING_TO_TELL)
    assert detected.labels == ["und"] * len(NOTHING_TO_TELL)
    assert detected.confidence.tolist() == [0.0] * len(NOTHING_TO_TELL)


@pytest.mark.parametrize("piece", ["a", "hello ", "😀", "\u0301", "\0", "\ud800", "\udfff\ud800", "@", "http://a "])
def test_texts_of_10_megabytes_are_told_in_bounded_time(piece: str) -> None:
    text = (piece * (10_000_000 // len(piece) + 1))[:10_000_000]
    started = time.process_time()
    detected = default().predict([text, "hello there my friend"])
    assert time.process_time() - started < 30
    assert detected.labels[1] == "en"
    assert 0 <= detected.confidence[0] <= 1


def test_an_answer_does_not_depend_on_the_company() -> None:
    texts = [*SENTENCES.values(), *NOTHING_TO_TELL] * 40
    together = default().probabilities(texts)
    for place in (0, 1, 5, 30, 999, 1000, 1399):
        np.testing.assert_array_equal(together[place], default().probabilities([texts[place]])[0])


def test_scores_are_those_of_the_definition() -> None:
    text = "the town in der Stadt"
    buckets = Ngrams(500).transform([text]).buckets
    expected = SMALL.weights[buckets].astype(float).sum(axis=0) * SMALL.step / math.sqrt(len(buckets)) + SMALL.biases
    np.testing.assert_allclose(SMALL.scores([text])[0], expected, rtol=1e-12)


def test_naive_bayes_is_that_of_the_books() -> None:
    counts = LanguageCounts(50)
    counts.add_many(["ab", "abc", "xyz"], ["one", "one", "two"])
    for place, label in enumerate(("one", "two")):
        of = counts.of(label)
        expected = [math.log((int(n) + 0.5) / (int(of.sum()) + 0.5 * 50)) for n in of]
        np.testing.assert_allclose(counts.weights(("one", "two"), 0.5)[:, place], expected, rtol=1e-12)


@pytest.mark.parametrize("weight", [127, -127])
def test_the_largest_sums_are_exact_in_both_kernels(weight: int) -> None:
    table = Table(np.full((1000, 17), weight, np.int8))
    text = "".join(chr(97 + n * n % 26) for n in range(LONGEST))
    arguments = (*units_of([text, "a", "", text]), letters(), roles(), 1000, table)
    for sums, sizes in (loops.summed(*arguments), summed.__wrapped__(*arguments)):  # type: ignore[attr-defined]
        assert sizes[0] > 4 * LONGEST - 10
        np.testing.assert_array_equal(sums, np.repeat(sizes * weight, 17).reshape(4, 17))


def answers(kernels: str) -> str:
    code = (
        "import hashlib, sys; from models.language.classifier import default; "
        "texts = sys.stdin.buffer.read().decode('utf-8', 'surrogatepass').split('|'); "
        "print(hashlib.sha256(default().probabilities(texts).tobytes()).hexdigest(), 'numba' in sys.modules)"
    )
    texts = "|".join([*SENTENCES.values(), *NOTHING_TO_TELL]).encode("utf-8", "surrogatepass")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "STREAMSKETCH_KERNELS": kernels}
    return subprocess.run(
        [sys.executable, "-c", code], input=texts, env=environment, capture_output=True, check=True
    ).stdout.decode()


def test_with_numba_and_without_the_bits_are_the_same() -> None:
    compiled, numpy = answers("compiled").split(), answers("numpy").split()
    assert compiled[0] == numpy[0]
    assert (compiled[1], numpy[1]) == ("True", "False")


def test_below_a_confidence_it_abstains_and_says_how_sure_it_was() -> None:
    texts = ["Tomorrow I will buy some bread", "ok"]
    sure = default().predict(texts)
    careful = default().predict(texts, min_confidence=0.95)
    assert careful.labels == ["en", "und"]
    np.testing.assert_array_equal(careful.confidence, sure.confidence)


def test_it_chooses_from_some_languages_only() -> None:
    detected = default().predict(["Tomorrow I will buy some bread"], languages=["de", "nl"])
    assert detected.labels[0] in {"de", "nl"}
    likely = default().probabilities(["Guten Tag"], ["de", "nl"])[0]
    assert likely.sum() == pytest.approx(1)
    assert np.count_nonzero(likely) == 2
    with pytest.raises(ValueError, match=r"languages must be some of .* got xx"):
        default().predict(["a"], languages=["en", "xx"])
    with pytest.raises(ValueError, match="got none"):
        default().predict(["a"], languages=[])


def test_no_text_has_no_answer() -> None:
    detected = default().predict([])
    assert detected.labels == []
    assert len(detected.confidence) == 0


def test_an_explanation_adds_up_to_the_lead() -> None:
    text = SENTENCES["nl"]
    explained = default().explain(text, most=10_000)
    scores = dict(zip(default().labels, default().scores([text])[0] - default().biases, strict=True))
    assert explained.label == "nl"
    lead = scores["nl"] - scores[explained.runner_up]
    assert sum(evidence.points for evidence in explained.evidence) == pytest.approx(lead)
    points = [abs(evidence.points) for evidence in explained.evidence]
    assert points == sorted(points, reverse=True)
    assert {"_ik_", "_morgenochtend_"} <= {evidence.gram for evidence in explained.evidence}
    assert default().explain("123") == ("und", 0.0, "und", [])


def test_a_language_that_nobody_counted_cannot_be_told() -> None:
    counts = LanguageCounts(50)
    with pytest.raises(ValueError, match="there is none of any"):
        LanguageClassifier.of_counts(counts)
    counts.add_many(["a"], ["en"])
    with pytest.raises(ValueError, match="there is none of de"):
        LanguageClassifier.of_counts(counts, ["de", "en"])


def test_the_file_is_read_as_it_was_written() -> None:
    again = LanguageClassifier.from_bytes(DATA)
    assert again.to_bytes() == DATA
    np.testing.assert_array_equal(again.weights, SMALL.weights)
    np.testing.assert_array_equal(load(DATA)["weights"], SMALL.weights)
    with pytest.raises(ValueError, match="read-only"):
        again.weights[0, 0] = 1


def test_300_damaged_files_are_refused_or_read_identically() -> None:
    random = Random(20)
    refused = 0
    for number in range(300):
        damaged = bytearray(DATA)
        if number % 3:
            damaged[random.randrange(len(DATA))] ^= 1 << random.randrange(8)
        else:
            del damaged[random.randrange(len(DATA)) :]
        try:
            assert LanguageClassifier.from_bytes(bytes(damaged)).to_bytes() == DATA
        except FileError:
            refused += 1
    assert refused >= 290


def test_the_shipped_file_is_refused_with_any_bit_changed_in_its_weights() -> None:
    data, random = SHIPPED.read_bytes(), Random(3)
    for _ in range(10):
        damaged = bytearray(data)
        damaged[random.randrange(10_000, len(data))] ^= 1 << random.randrange(8)
        with pytest.raises(FileError, match="SHA-256"):
            LanguageClassifier.from_bytes(bytes(damaged))


def resealed(weights: Any = None, **changes: Any) -> bytes:
    passport, tensors = opened(DATA, KIND, 1)
    return sealed(KIND, 1, passport | changes, tensors if weights is None else {"weights": weights})


@pytest.mark.parametrize(
    "forge",
    [
        lambda: b"",
        lambda: pickle.dumps([1]),
        lambda: (2**63).to_bytes(8, "little") + DATA[8:],
        lambda: (10**5).to_bytes(8, "little") + b"[" * 10**5,
        lambda: save({"weights": SMALL.weights}),
        lambda: save({"weights": SMALL.weights}, {"passport": "[" * 100_000}),
        lambda: save({"weights": SMALL.weights}, {"passport": "9" * 5000}),
        lambda: save({"weights": SMALL.weights}, {"passport": "{}", "more": "1"}),
        lambda: sealed("other", 1, {}, {}),
        lambda: sealed(KIND, 2, {}, {}),
        lambda: sealed(KIND, True, {}, {}),
        lambda: sealed(KIND, 1, {}, {}),
        lambda: sealed(KIND, 1, SMALL.passport, {"weights": SMALL.weights, "more": SMALL.weights}),
        lambda: resealed(SMALL.weights.astype(np.float32)),
        lambda: resealed(np.full((500, 3), -128, np.int8)),
        lambda: resealed(SMALL.weights[:, :2]),
        lambda: resealed(SMALL.weights[0]),
        lambda: resealed(SMALL.weights[:0]),
        lambda: resealed(SMALL.weights[:400]),
        lambda: resealed(labels=["en", "de", "fr"]),
        lambda: resealed(labels=["de", "de", "fr"]),
        lambda: resealed(labels=["", "de", "fr"]),
        lambda: resealed(labels=["de", "en", "und"]),
        lambda: resealed(labels="def"),
        lambda: resealed(labels=[1, 2, 3]),
        lambda: resealed(labels=None),
        lambda: resealed(step=0),
        lambda: resealed(step="1"),
        lambda: resealed(step=10**400),
        lambda: resealed(biases=[0.0]),
        lambda: resealed(biases=["0", "0", "0"]),
        lambda: resealed(biases=[0.0, 0.0, 10**400]),
        lambda: resealed(buckets=501),
        lambda: resealed(more=1),
        lambda: resealed(provenance=None),
    ],
)
def test_what_is_no_classifier_is_refused_with_one_error(forge: Callable[[], bytes]) -> None:
    with pytest.raises(FileError):
        LanguageClassifier.from_bytes(forge())


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"labels": ("en", "de", "fr")}, "different names in order"),
        ({"labels": ("de", "en", "und")}, "und: leave it out"),
        ({"weights": SMALL.weights.astype(np.int16)}, "weights must be int8"),
        ({"biases": (0.0, 0.0, math.nan)}, "3 finite numbers"),
        ({"step": -1.0}, "step must be above 0"),
    ],
)
def test_parts_that_do_not_agree_are_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(SMALL, **changes)


def test_the_shipped_classifier_is_the_one_that_was_measured() -> None:
    data = SHIPPED.read_bytes()
    assert len(data) <= 5_000_000
    assert hashlib.sha256(data).hexdigest() == SHA_256
    provenance = default().provenance
    assert sum(provenance["texts"].values()) == sum(provenance["sources"].values()) > 100_000
    assert len(provenance["files"]) == 2

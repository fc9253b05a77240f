"""StreamingEM: what nobody labelled teaches languages, in whole counts and to the same bytes."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.language.counts import LanguageCounts
from models.language.ngrams import Ngrams
from models.language.streaming_em import StreamingEM

BUCKETS = 5000
NAMES = ("aa", "bb", "cc", "dd")
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
TEXTS = st.lists(st.sampled_from(["der Hafen", "die Stadt", "the harbour", "the town", "Stadt town", "", "?"]))


class Language:
    """Words without number, each of three syllables: `printed` ones and `spoken` ones share not a single word."""

    def __init__(self, name: str) -> None:
        draw = Random(name)
        words = sorted({"".join(draw.choices(SYLLABLES, k=3)) for _ in range(120)})
        draw.shuffle(words)
        self.printed, self.spoken = words[:50], words[50:]

    def text(self, draw: Random, printed: float) -> str:
        """Eight words, of which so great a share is printed."""
        kinds = [self.printed if draw.random() < printed else self.spoken for _ in range(8)]
        return " ".join(map(draw.choice, kinds))


def texts_of(count: int, printed: float, seed: int) -> tuple[list[str], list[str]]:
    draw = Random(seed)
    labels = draw.choices(NAMES, k=count)
    languages = {name: Language(name) for name in NAMES}
    return [languages[label].text(draw, printed) for label in labels], labels


def begun(**settings: float) -> StreamingEM:
    seed = LanguageCounts(BUCKETS)
    seed.add_many(*texts_of(40, 1.0, 1))
    return StreamingEM(seed, **settings)  # type: ignore[arg-type]


def of_two(**settings: float) -> StreamingEM:
    seed = LanguageCounts(BUCKETS)
    seed.add_many(["wo ist der Bahnhof", "where is the station"], ["de", "en"])
    return StreamingEM(seed, **settings)  # type: ignore[arg-type]


def right(em: StreamingEM, texts: list[str], labels: list[str]) -> float:
    return float(np.mean([a == b for a, b in zip(em.classifier().predict(texts).labels, labels, strict=True)]))


def test_words_that_no_seed_has_are_learnt_from_texts_that_nobody_labelled() -> None:
    em = begun()
    unheard = texts_of(400, 0.0, 2)
    before = right(em, *unheard)
    mixed, _ = texts_of(2000, 0.5, 3)
    for start in range(0, len(mixed), 100):
        em.learn(mixed[start : start + 100])
    assert before < 0.8
    assert right(em, *unheard) > 0.99
    assert set(em.learnt.texts) == set(NAMES)


@settings(deadline=None, max_examples=20)
@given(TEXTS, st.randoms(use_true_random=False))
def test_the_order_of_a_batch_does_not_matter(texts: list[str], draw: Random) -> None:
    one, other = of_two(min_confidence=0.6), of_two(min_confidence=0.6)
    one.learn(texts)
    other.learn(draw.sample(texts, len(texts)))
    assert one.learnt.to_bytes() == other.learnt.to_bytes()
    assert one.classifier().to_bytes() == other.classifier().to_bytes()


def test_the_same_batches_give_the_same_bytes() -> None:
    batches = [texts_of(100, 0.5, seed)[0] for seed in range(3)]
    one, other = begun(), begun()
    for batch in batches:
        one.learn(batch)
        other.learn(batch)
    assert one.classifier().sha256 == other.classifier().sha256


def test_a_batch_is_labelled_by_what_was_known_before_it_and_counted_where_that_is_sure() -> None:
    em = begun()
    seed, texts = em.seed.to_bytes(), texts_of(300, 0.3, 4)[0]
    detected = em.classifier().predict(texts)
    sure = detected.confidence >= 0.8
    assert 0 < sure.sum() < len(texts)
    expected = LanguageCounts(BUCKETS)
    for text, label, told in zip(texts, detected.labels, sure, strict=True):
        if told:
            expected.add_many([text], [label])
    em.learn(texts)
    assert em.learnt.to_bytes() == expected.to_bytes()
    assert em.seed.to_bytes() == seed


def test_what_is_unsure_or_has_no_letter_teaches_nothing() -> None:
    em = of_two(min_confidence=1.0)
    em.learn(["where is the station", "wo ist der Bahnhof"])
    assert em.learnt.texts == {}
    certain = of_two(min_confidence=0.0)
    certain.learn(["", "123", "?!", "\ud800", "the 1"])
    assert sum(certain.learnt.texts.values()) == 1


def test_what_two_workers_learnt_adds_up_in_either_order() -> None:
    joined, other_way, (first, second) = begun(), begun(), (begun(), begun())
    first.learn(texts_of(200, 0.6, 5)[0])
    second.learn(texts_of(200, 0.6, 6)[0])
    for em, parts in (joined, (first, second)), (other_way, (second, first)):
        for part in parts:
            em.learnt.merge(LanguageCounts.from_bytes(part.learnt.to_bytes()))
    assert joined.classifier().to_bytes() == other_way.classifier().to_bytes()
    assert sum(joined.learnt.texts.values()) == sum(sum(em.learnt.texts.values()) for em in (first, second))


@pytest.mark.parametrize("weight", [1, 4])
def test_scores_are_those_of_bayes_with_what_all_languages_share(weight: int) -> None:
    em = begun(weight=weight)
    em.learn(texts_of(300, 0.7, 7)[0])
    counts = np.array([em.seed.of(name) + weight * em.learnt.of(name) for name in NAMES], np.float64)
    counts += 0.03 * counts.sum(axis=0) / len(NAMES) + 0.01
    shares = counts / counts.sum(axis=1, keepdims=True)
    often = np.array([em.learnt.texts[name] + 1 for name in NAMES])
    classifier = em.classifier()
    for text in texts_of(20, 0.5, 8)[0]:
        grams = Ngrams(BUCKETS).transform([text]).buckets
        expected = 0.6 * np.log(shares[:, grams]).sum(axis=1) / np.sqrt(grams.size)
        expected += 0.25 * np.log(often / often.sum())
        scores = classifier.scores([text])[0]
        rounding = classifier.step * np.sqrt(grams.size)  # half a step a gram, twice in a difference
        np.testing.assert_allclose(scores - scores[0], expected - expected[0], atol=rounding)
    assert classifier.provenance["learnt"] == em.learnt.texts


def test_before_anything_is_learnt_no_language_is_likelier() -> None:
    assert len(set(begun().classifier().biases)) == 1


def test_a_language_that_came_more_often_is_likelier_afterwards() -> None:
    em = of_two(min_confidence=0.5)
    em.learn(["wo ist der Bahnhof"] * 9 + ["where is the station"] * 4)
    assert em.learnt.texts == {"de": 9, "en": 4}
    german, english = em.classifier().biases
    assert german - english == pytest.approx(0.25 * np.log(10 / 5))


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="min_confidence must be between 0 and 1"):
        of_two(min_confidence=1.1)
    with pytest.raises(ValueError, match="weight must be a whole number from 1 on"):
        of_two(weight=0)
    with pytest.raises(ValueError, match="a seed must have texts"):
        StreamingEM(LanguageCounts())


@pytest.fixture(scope="module")
def found() -> dict[int, dict[str, float]]:
    """The shares of dev that are told right after so many tweets, by benchmarks/language_without_labels.py."""
    folder = Path(os.environ["STREAMSKETCH_TWEETS"])
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[3]))
        from benchmarks.language_without_labels import begin, measured

        em, texts, sets = begin(*(folder / f"{name}.jsonl.gz" for name in ("train", "udhr", "dev")))
    return dict(measured(em, texts, sets, {1000, 2500}))


@pytest.mark.tweets
def test_tweets_that_nobody_labelled_teach_the_languages_of_tweets(found: dict[int, dict[str, float]]) -> None:
    *_, last = found.values()
    assert last["E3"] >= 0.965
    assert last["E1 core"] >= 0.94


@pytest.mark.tweets
@pytest.mark.parametrize("tweets", [1000, 2500])
def test_few_of_them_are_enough_to_be_ahead_of_public_identifiers(
    found: dict[int, dict[str, float]], tweets: int
) -> None:
    assert found[tweets]["E3"] > 0.938

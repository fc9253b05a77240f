"""Similarity: near-duplicates against every pair compared by hand, none false, none twice, windows kept apart."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.coders import FastPrimitivesCoder
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.test_stream import TestStream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from transforms import similarity as module
from transforms.similarity import NearDuplicates, Similarity, minhash, shingles
from transforms.sketches import DEFAULT, MinHash
from transforms.windowing import ApplyWindow, WindowPolicy

NOON = 1_000_000
WORDS = ["sun", "rain", "snow", "cloud", "river", "lake", "hill", "noon", "street", "東京", "naïve", "café", "мир", "🌦"]
Pairs = dict[tuple[str, str], float]


def near_duplicates(families: int, seed: int) -> list[tuple[str, str]]:
    """Texts in families of three: one, and two with a few letters changed."""
    chance = random.Random(seed)
    texts = []
    for _ in range(families):
        text = " ".join(chance.choice(WORDS) + str(chance.randrange(50)) for _ in range(12))
        texts.append(text)
        for _ in range(2):
            letters = list(text)
            for _ in range(chance.randrange(4)):
                letters[chance.randrange(len(letters))] = chance.choice("abcxyzé東 ")
            texts.append("".join(letters))
    chance.shuffle(texts)
    return [(f"id {number}", text) for number, text in enumerate(texts)]


def brute_force(texts: list[tuple[str, str]], similarity: float) -> Pairs:
    """Every pair of different texts compared, and each text with the first that equals it."""
    first: dict[str, str] = {}
    pairs: Pairs = {}
    for name, text in sorted(texts):
        if first.setdefault(text, name) != name:
            pairs[first[text], name] = 1.0
    of_text = {name: shingles(text) for text, name in first.items()}
    for one, other in combinations(sorted(of_text), 2):
        jaccard = len(of_text[one] & of_text[other]) / len(of_text[one] | of_text[other])
        if jaccard >= similarity:
            pairs[one, other] = jaccard
    return pairs


def test_every_pair_but_one_in_a_hundred_is_found_and_none_is_false(in_process: Any) -> None:
    texts = near_duplicates(families=250, seed=1)
    truth = brute_force(texts, 0.7)
    edge = sum(jaccard < 0.9 for jaccard in truth.values())

    def check(answers: list[tuple[str, str, float]]) -> None:
        found = {(one, other): jaccard for one, other, jaccard in answers}
        assert len(found) == len(answers)  # each pair once
        assert found.items() <= truth.items()  # none that is false, each with its exact similarity
        assert len(found) >= 0.99 * len(truth)
        assert truth.keys() - found.keys() <= {pair for pair, jaccard in truth.items() if jaccard < 0.9}

    assert len(truth) > 250
    assert 100 < edge < len(truth) - 100
    with in_process() as pipeline:
        pairs = pipeline | beam.Create(texts) | beam.Reshuffle() | NearDuplicates(0.7)
        assert_that(pairs, check)


@pytest.mark.parametrize("similarity", [0.5, 0.8])
def test_bands_find_pairs_as_surely_as_they_promise(similarity: float) -> None:
    """Pairs that are just as alike as asked for, the hardest: 2,000 of them, without Beam."""
    bands, rows = NearDuplicates(similarity).bands, NearDuplicates(similarity).rows
    chance = random.Random(8)
    found = trials = 0
    shared = round(120 * similarity)
    for _ in range(20):
        sets = []
        for _ in range(100):
            items = [chance.randbytes(8).hex() for _ in range(120)]
            rest = (120 - shared) // 2
            sets += [items[: shared + rest], items[:shared] + items[shared + rest :]]
        keys = module._signatures(sets, bands * rows, DEFAULT).reshape(len(sets), bands, rows)
        found += int((keys[::2] == keys[1::2]).all(axis=2).any(axis=1).sum())
        trials += 100
    assert found / trials >= 0.99 - 3 * (0.99 * 0.01 / trials) ** 0.5


def test_signatures_are_those_of_minhash() -> None:
    sets = [["a"], ["b", "c", "b"], [f"{number}" for number in range(100)]]
    rows = module._signatures(sets, 24, DEFAULT)
    for items, row in zip(sets, rows, strict=True):
        alone = MinHash(24)
        alone.add_many(items)
        assert b"".join(key[4:] for key in alone.bands(6)) == row.astype("<u8").tobytes()


def test_the_answer_is_the_same_for_any_order_and_bundles(
    in_process: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    texts = near_duplicates(families=40, seed=2)
    answers: list[list[Any]] = []
    for batch in (100_000, 300):
        monkeypatch.setattr(module, "_BATCH", batch)
        random.Random(batch).shuffle(texts)
        with in_process() as pipeline:
            pairs = pipeline | beam.Create(texts) | beam.Reshuffle() | NearDuplicates(0.7)
            _ = pairs | beam.combiners.ToList() | beam.Map(_write, tmp_path / str(batch))
        answers.append(sorted((tmp_path / str(batch)).read_text().splitlines()))
    assert answers[0] == answers[1]
    assert len(answers[0]) > 40


def _write(pairs: list[Any], path: Path) -> None:
    path.write_text("\n".join(map(repr, pairs)))


def test_equal_texts_are_linked_to_the_first_of_them_and_that_one_to_others(in_process: Any) -> None:
    text = "the quick brown fox jumps over the lazy dog"
    texts = [("c", text), ("a", text), ("d", f"{text}!"), ("b", text), ("e", "something else altogether")]
    alike = len(shingles(text)) / len(shingles(f"{text}!"))
    with in_process() as pipeline:
        pairs = pipeline | beam.Create(texts) | NearDuplicates(0.8)
        assert_that(pairs, equal_to([("a", "b", 1.0), ("a", "c", 1.0), ("a", "d", alike)]))


def test_only_equal_texts_are_wholly_alike(in_process: Any) -> None:
    texts = [("a", "one text"), ("b", "one text"), ("c", "one text!")]
    with in_process() as pipeline:
        assert_that(pipeline | beam.Create(texts) | NearDuplicates(1.0), equal_to([("a", "b", 1.0)]))


def test_thousands_of_equal_texts_make_a_pair_each(in_process: Any) -> None:
    with in_process() as pipeline:
        pairs = pipeline | beam.Create([(number, "good morning, world") for number in range(3000)]) | NearDuplicates()
        firsts = pairs | beam.MapTuple(lambda first, _, similarity: (first, similarity))
        assert_that(firsts | beam.combiners.Count.PerElement(), equal_to([((0, 1.0), 2999)]))


def test_a_crowd_of_texts_is_compared_with_its_first_alone() -> None:
    base = "a rather long sentence that a thousand people send each with a number of their own at its very end: "
    texts = [(f"{number:03}", f"{base}{number:03}") for number in range(300)]

    def check(answers: list[tuple[str, str, float]]) -> None:
        assert all(int(first) < 10 for first, _, _ in answers)
        assert max(Counter((first, second) for first, second, _ in answers).values()) == 1
        assert {second for _, second, _ in answers} == {name for name, _ in texts[1:]}
        assert len(answers) <= 10 * 300

    pipeline = TestPipeline(runner="FnApiRunner")
    assert_that(pipeline | beam.Create(texts) | NearDuplicates(0.8, crowd=10), check)
    result = pipeline.run()
    result.wait_until_finish()
    counters = {counter.key.metric.name: counter.committed for counter in result.metrics().query()["counters"]}
    assert counters["crowded"] > 289


def test_an_id_is_no_pair_of_itself(in_process: Any) -> None:
    texts = [("a", "one and the same text"), ("a", "one and the same text"), ("a", "one and the same text!")]
    with in_process() as pipeline:
        assert_that(pipeline | beam.Create(texts) | NearDuplicates(0.5), equal_to([]))


def test_short_and_empty_texts_and_all_scripts(in_process: Any) -> None:
    texts = [
        (1, ""),
        (2, ""),
        (3, "hm"),
        (4, "hm"),
        (5, "🌦🌦"),
        (6, "🌦🌦"),
        (7, "東京は今日も晴れています"),
        (8, "東京は今日も晴れていますよ"),
    ]
    with in_process() as pipeline:
        pairs = pipeline | beam.Create(texts) | NearDuplicates(0.8)
        assert_that(pairs, equal_to([(3, 4, 1.0), (5, 6, 1.0), (7, 8, 8 / 9)]))


def test_windows_are_kept_apart(in_process: Any) -> None:
    texts = [("a", 1), ("b", 9), ("c", 11)]

    def placed(pair: Any, window: Any = beam.DoFn.WindowParam) -> Any:
        return pair, int(window.start)

    with in_process() as pipeline:
        stamped = pipeline | beam.Create(texts) | beam.MapTuple(TimestampedValue)
        named = stamped | beam.WindowInto(FixedWindows(10)) | beam.Map(lambda name: (name, "the same text for all"))
        assert_that(named | NearDuplicates() | beam.Map(placed), equal_to([(("a", "b", 1.0), 0)]))


@pytest.mark.parametrize(
    ("accumulation", "late_pane"), [("discarding", []), ("accumulating", [("a", "b", 1.0), ("a", "c", 1.0)])]
)
def test_a_late_text_meets_those_of_its_pane(accumulation: Any, late_pane: list[Any]) -> None:
    text = "the same text for all"
    arrivals = (
        TestStream(coder=FastPrimitivesCoder())
        .add_elements([TimestampedValue(("a", text), NOON + 1)])
        .add_elements([TimestampedValue(("b", text), NOON + 2), TimestampedValue(("z", text), NOON + 12)])
        .advance_watermark_to(NOON + 25)
        .add_elements([TimestampedValue(("c", text), NOON + 3)])
        .advance_watermark_to(NOON + 200)
        .advance_watermark_to_infinity()
    )
    policy = WindowPolicy("10s", allowed_lateness=60, accumulation=accumulation)
    with TestPipeline(runner=BundleBasedDirectRunner(), options=PipelineOptions(["--streaming"])) as pipeline:
        pairs = pipeline | arrivals | ApplyWindow(policy) | NearDuplicates()
        assert_that(pairs, equal_to([("a", "b", 1.0), *late_pane]))


def test_a_missing_text_is_refused_by_name(in_process: Any) -> None:
    with pytest.raises(Exception, match="a text must be a string, got None"), in_process() as pipeline:
        _ = pipeline | beam.Create([("a", None)]) | NearDuplicates()


def test_the_sketches_of_collections_tell_how_alike_they_are(in_process: Any) -> None:
    pairs = [("mon", user) for user in range(2000)] + [("tue", user) for user in range(1000, 3000)]

    def compare(sketches: dict[str, MinHash]) -> bool:
        estimate = sketches["mon"].similarity(sketches["tue"])
        return bool(estimate.low <= 1 / 3 <= estimate.high) and abs(estimate.value - 1 / 3) <= 0.1

    with in_process() as pipeline:
        sketches = pipeline | beam.Create(pairs) | Similarity.PerKey(error=0.1) | beam.combiners.ToDict()
        assert_that(sketches | beam.Map(compare), equal_to([True]))


@pytest.mark.parametrize("similarity", np.linspace(0.3, 1.0, 8).tolist())
def test_bands_promise_the_confidence(similarity: float) -> None:
    near = NearDuplicates(similarity)
    assert 1 - (1 - similarity**near.rows) ** near.bands >= 0.99


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (partial(minhash, 0), "error must be between 0 and 1, got 0"),
        (partial(NearDuplicates, 1.2), "similarity must be above 0 and at most 1, got 1.2"),
        (partial(NearDuplicates, 0.05), "similarity must be high enough for 20 bands to find a pair, got 0.05"),
        (partial(NearDuplicates, confidence=1.0), "confidence must be between 0 and 1, got 1.0"),
        (partial(NearDuplicates, shingle=0), "shingle and crowd must be at least 1, got 0 and 100"),
    ],
)
def test_what_cannot_be_is_refused_when_the_pipeline_is_built(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()

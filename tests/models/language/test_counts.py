"""LanguageCounts: shards add up to the whole, bit for bit, and what was added can be taken away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.language.counts import LanguageCounts
from models.language.ngrams import Ngrams
from models.language.sealed_file import FileError, opened, sealed

LABELLED = st.lists(st.tuples(st.text(max_size=20), st.sampled_from(["de", "en", "ja", "und"])), max_size=12)


def counted(pairs: list[tuple[str, str]], buckets: int = 500) -> LanguageCounts:
    counts = LanguageCounts(buckets)
    counts.add_many([text for text, _ in pairs], [label for _, label in pairs])
    return counts


@given(LABELLED, LABELLED, LABELLED)
def test_shards_in_any_grouping_are_the_whole(a: list, b: list, c: list) -> None:
    whole = counted(a + b + c).to_bytes()
    left, right = counted(a), counted(c)
    left.merge(counted(b))
    left.merge(counted(c))
    right.merge(counted(a))
    right.merge(counted(b))
    assert left.to_bytes() == right.to_bytes() == whole


@given(LABELLED, LABELLED)
def test_what_is_taken_away_was_never_seen(kept: list, forgotten: list) -> None:
    counts = counted(kept + forgotten)
    counts.subtract(counted(forgotten))
    assert counts.to_bytes() == counted(kept).to_bytes()


def test_counts_are_those_of_the_ngrams() -> None:
    counts = counted([("the cat", "en"), ("der Hut", "de"), ("the hat", "en"), ("?", "und")])
    expected = np.zeros(500, np.int64)
    for text in ("the cat", "the hat"):
        for bucket in Ngrams(500).transform([text]).buckets.tolist():
            expected[bucket] += 1
    np.testing.assert_array_equal(counts.of("en"), expected)
    assert counts.texts == {"de": 1, "en": 2}
    assert counts.labels == ("de", "en")


def test_the_fingerprint_tells_other_texts_and_other_labels_apart() -> None:
    prints = {counted(pairs).fingerprint for pairs in ([("a", "de")], [("b", "de")], [("a", "en")], [("a", "de")] * 2)}
    assert len(prints) == 4
    assert counted([("a", "de"), ("b", "en")]).fingerprint == counted([("b", "en"), ("a", "de")]).fingerprint


@pytest.mark.parametrize(
    "other", [[("something else", "en")], [("the cat", "de")], [("the cat", "en"), ("the cat", "en")], [("a", "en")]]
)
def test_what_was_never_added_is_not_taken_away(other: list[tuple[str, str]]) -> None:
    counts = counted([("the cat", "en")])
    before = counts.to_bytes()
    with pytest.raises(ValueError, match="only what was added can be taken away"):
        counts.subtract(counted(other))
    assert counts.to_bytes() == before


def test_what_cannot_be_counted_is_refused_and_adds_nothing() -> None:
    counts = counted([("the cat", "en")])
    before = counts.to_bytes()
    with pytest.raises(ValueError, match="each text must have a label"):
        counts.add_many(["a", "b"], ["en", ""])
    with pytest.raises(ValueError, match="each text must have a label"):
        counts.add_many(["a", "b"], ["en"])
    with pytest.raises(ValueError, match="as many buckets, got 500 and 7"):
        counts.merge(LanguageCounts(7))
    with pytest.raises(ValueError, match="there must be 1 to"):
        LanguageCounts(0)
    assert counts.to_bytes() == before


def test_a_count_cannot_wrap() -> None:
    counts = counted([("a", "en")])
    for _ in range(61):
        counts.merge(LanguageCounts.from_bytes(counts.to_bytes()))
    before = counts.to_bytes()
    with pytest.raises(OverflowError, match=r"below 2\^62"):
        counts.merge(LanguageCounts.from_bytes(before))
    assert counts.to_bytes() == before


DATA = counted([("the cat", "en"), ("der Hut", "de")]).to_bytes()


def test_bytes_are_read_as_they_were_written() -> None:
    assert LanguageCounts.from_bytes(DATA).to_bytes() == DATA
    assert LanguageCounts.from_bytes(LanguageCounts().to_bytes()).texts == {}


def test_300_damaged_files_are_refused() -> None:
    random = Random(9)
    for number in range(300):
        damaged = bytearray(DATA)
        if number % 3:
            damaged[random.randrange(len(DATA))] ^= 1 << random.randrange(8)
        else:
            del damaged[random.randrange(len(DATA)) :]
        with suppress(FileError):
            assert LanguageCounts.from_bytes(bytes(damaged)).to_bytes() == DATA


@pytest.mark.parametrize(
    "forge",
    [
        lambda _, tensors: tensors["counts"].__setitem__(0, -1),
        lambda _, tensors: tensors["counts"].__setitem__(0, 0),
        lambda _, tensors: tensors["counts"].__setitem__(0, 2**62),
        lambda _, tensors: tensors["buckets"].__setitem__(0, 500),
        lambda _, tensors: tensors["buckets"].__setitem__(0, tensors["buckets"][1]),
        lambda _, tensors: tensors["sizes"].__setitem__(0, -1),
        lambda _, tensors: tensors.update(more=np.zeros(1)),
        lambda passport, _: passport.update(buckets=10**12),
        lambda passport, _: passport.update(buckets="500"),
        lambda passport, _: passport.update(texts={"de": 0, "en": 1}),
        lambda passport, _: passport.update(texts=["de", "en"]),
        lambda passport, _: passport.update(fingerprint=7),
        lambda passport, _: passport.update(more=7),
        lambda passport, _: passport.clear(),
    ],
)
def test_sealed_counts_whose_parts_do_not_agree_are_refused(forge: Callable[[dict, dict], None]) -> None:
    passport, tensors = opened(DATA, "streamsketch.language-counts", 1)
    forge(passport, tensors)
    with pytest.raises(FileError):
        LanguageCounts.from_bytes(sealed("streamsketch.language-counts", 1, passport, tensors))

"""Hashed n-grams: what is counted of a text, and that both ways to do it give the same bits."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.language import loops, ngrams
from models.language.characters import LONGEST, letters, roles, units_of
from models.language.ngrams import Ngrams, told_grams

AWKWARD = [
    "", " ", "@", "@a", "RT @a: x", "RT", "@x", "aRT @b", "RT@b", "http://", "HTTPS://x y", "@xhttp://foo bar",
    "http:/ h",
    "http://a@b c", "xhttps://q", "looool", "\ud800", "a\ud800b", "\udc00@\ud800", "😀😀", "é́́", "\0\0a",
    "a  b   c", " x ",
    "@RT @b", "RT @RT @x http:/ http:// RT  @", "ĨTTP://a", "5 5 5", "a5", "a" * 10, "\u0301RT @b",
    "@a\u0301\u0301b", "x \u0301\u0301\u0301y\u0301\u0301\u0301", "今日は", "ＡＢｃ",
    "\u3000@\u3000h",
]  # fmt: skip
PIECES = [
    "@",
    "RT ",
    "http://",
    "https://",
    " ",
    "a",
    "B",
    "_",
    "7",
    ":",
    "/",
    "é",
    "\u0301",
    "T",
    "\ud83d",
    "😀",
    "は",
    "\0",
    "\n",
    "h",
]


def both(texts: list[str], buckets: int = 64_000) -> list[tuple[np.ndarray, np.ndarray]]:
    arguments = (*units_of(texts), letters(), roles(), buckets)
    return [ngrams.hashed_grams.__wrapped__(*arguments), loops.hashed_grams(*arguments)]  # type: ignore[attr-defined]


def of(text: str) -> list[str]:
    return told_grams(text, 1000)[0]


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=12).map("".join) | st.text(), max_size=6))
def test_numpy_and_the_loop_give_the_same_bits(texts: list[str]) -> None:
    (buckets, bounds), (compiled, compiled_bounds) = both(texts)
    np.testing.assert_array_equal(buckets, compiled)
    np.testing.assert_array_equal(bounds, compiled_bounds)


@pytest.mark.parametrize("buckets", [1, 1000, 2**16, 2**24])
def test_awkward_texts_give_the_same_bits_in_any_company(buckets: int) -> None:
    (together, bounds), (compiled, _) = both(AWKWARD, buckets)
    np.testing.assert_array_equal(together, compiled)
    assert together.min() >= 0
    assert together.max() < buckets
    for place, text in enumerate(AWKWARD):
        alone = Ngrams(buckets).transform([text]).buckets
        np.testing.assert_array_equal(together[bounds[place] : bounds[place + 1]], alone, err_msg=repr(text))


def test_ngrams_are_those_that_a_reader_would_count() -> None:
    written = "_the_cat_"
    windows = [written[i : i + n] for n in (1, 2, 3, 4) for i in range(len(written) - n + 1)]
    expected = sorted([*(window for window in windows if window != "_"), "_the_", "_cat_"])
    assert sorted(of("The  cat!")) == expected


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("RT @someone: hello", "hello"),
        ("hello @someone_7 you", "hello you"),
        ("see HTTPS://t.co/aB?c=@d now", "see now"),
        ("Heeeello", "heello"),
        ("12:30 hello 😀 #there", "hello there"),
        ("ＨＥＬＬＯ", "hello"),
        ("\u0301\u0302 \u0301hello \u0301", "hello"),
    ],
)
def test_what_says_nothing_of_a_language_is_left_out(text: str, same: str) -> None:
    np.testing.assert_array_equal(Ngrams().transform([text]).buckets, Ngrams().transform([same]).buckets)


def test_an_ngram_is_told_with_its_own_bucket() -> None:
    told, buckets = told_grams("RT @x: the cat, the http://t.co dog", 2**20)
    assert len(told) == len(buckets)
    by_name: dict[str, set[int]] = {}
    for gram, bucket in zip(told, buckets.tolist(), strict=True):
        by_name.setdefault(gram, set()).add(bucket)
    assert all(len(places) == 1 for places in by_name.values())
    assert len(set.union(*by_name.values())) == len(by_name)


def test_buckets_are_used_evenly() -> None:
    words = [chr(97 + a) + chr(97 + b) + chr(97 + c) for a in range(26) for b in range(26) for c in range(26)]
    buckets = np.unique(Ngrams(1000).transform(words).buckets, return_counts=True)[1]
    assert len(buckets) == 1000


@pytest.mark.parametrize("piece", ["a", "@", "http://", "😀", "\u0301", "\0", "\ud800", "RT @"])
def test_of_a_text_of_10_megabytes_the_beginning_is_looked_at(piece: str) -> None:
    text = (piece * (10_000_000 // len(piece) + 1))[:10_000_000]
    started = time.process_time()
    np.testing.assert_array_equal(Ngrams().transform([text]).buckets, Ngrams().transform([text[:LONGEST]]).buckets)
    assert time.process_time() - started < 30  # quadratic work over the whole would take hours


@pytest.mark.parametrize("buckets", [0, -1, 2**24 + 1])
def test_a_number_of_buckets_that_cannot_be_is_refused(buckets: int) -> None:
    with pytest.raises(ValueError, match="there must be 1 to 16,777,216 buckets"):
        Ngrams(buckets)

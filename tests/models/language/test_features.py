"""Featurizer: what Java and Spark compute, on any text, in any batch."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

from models.language.features import Featurizer, Variant

VARIANTS: tuple[Variant, ...] = ("slide", "spark1", "spark2")

# Plain letters often enough for a pair to come twice; then anything, lone surrogates and astral characters included.
any_text = st.text(st.one_of(st.sampled_from("ab\0é€\U0001f680\ud83d\ude80"), st.characters(codec=None)), max_size=40)


def units(text: str) -> list[str]:
    """The UTF-16 code units of a text, each as a string of one."""
    return [chr(unit) for unit in np.frombuffer(text.encode("utf-16-le", "surrogatepass"), "<u2")]


def java_bucket(gram: list[str], dimension: int) -> int:
    return sum(31 ** (len(gram) - 1 - place) * ord(unit) for place, unit in enumerate(gram)) % dimension


def spark_bucket(gram: list[str], dimension: int) -> int:
    joined = "".join(gram).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return murmur3(joined.encode("utf-8", "replace")) % dimension


def murmur3(data: bytes) -> int:
    whole = len(data) // 4 * 4
    words = [int.from_bytes(data[place : place + 4], "little") for place in range(0, whole, 4)]
    state = 42
    for word in words + [byte - 256 * (byte > 127) for byte in data[whole:]]:
        state ^= rotated(word * 0xCC9E2D51 % 2**32, 15) * 0x1B873593 % 2**32
        state = (rotated(state, 13) * 5 + 0xE6546B64) % 2**32
    state ^= len(data)
    state = (state ^ state >> 16) * 0x85EBCA6B % 2**32
    state = (state ^ state >> 13) * 0xC2B2AE35 % 2**32
    return (state ^ state >> 16 ^ 2**31) - 2**31


def rotated(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) % 2**32


def expected(text: str, variant: Variant, dimension: int) -> list[tuple[int, float]]:
    sequence, bucket = units(text), spark_bucket if variant == "spark2" else java_bucket
    grams = [sequence[place : place + 2] for place in range(max(len(sequence) - 1, min(len(sequence), 1)))]
    counts = Counter(bucket(gram, dimension) for gram in grams)
    return sorted((index, count / len(grams) if variant == "slide" else count) for index, count in counts.items())


def row(features: csr_matrix, number: int) -> list[tuple[int, float]]:
    part = slice(features.indptr[number], features.indptr[number + 1])
    return list(zip(features.indices[part].tolist(), features.data[part].tolist(), strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
@given(texts=st.lists(any_text, max_size=6), dimension=st.sampled_from([1, 7, 1000, 2**20]))
@example(texts=["", "a", "", "\ud83d", "\ude80", "\ud83d\ude80", "\ude80\ud83d", "\uffff\uffff", "😀"], dimension=1000)
def test_every_text_has_the_features_of_the_definition(variant: Variant, texts: list[str], dimension: int) -> None:
    features = Featurizer(variant, dimension).transform(texts)
    assert features.shape == (len(texts), dimension)
    assert features.dtype == np.float64
    assert [row(features, number) for number in range(len(texts))] == [expected(t, variant, dimension) for t in texts]


def test_the_published_text_has_the_published_features() -> None:
    features = Featurizer().transform(["Ceci n'est pas un tweet"])
    assert features.indices[:3].tolist() == [102, 104, 108]
    assert features.data.tolist() == [1 / 22] * 22


@pytest.mark.parametrize("variant", VARIANTS)
@given(texts=st.lists(any_text, min_size=1, max_size=5))
def test_a_row_is_the_same_bits_in_any_batch(variant: Variant, texts: list[str]) -> None:
    featurizer = Featurizer(variant)
    together = featurizer.transform(texts)
    assert [row(together, number) for number in range(len(texts))] == [
        row(featurizer.transform([text]), 0) for text in texts
    ]


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_text_and_empty_texts_are_rows_of_nothing(variant: Variant) -> None:
    assert Featurizer(variant).transform([]).shape == (0, 1000)
    assert Featurizer(variant).transform(["", ""]).nnz == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_unit_is_one_feature(variant: Variant) -> None:
    assert row(Featurizer(variant).transform(["a"]), 0) == [(170 if variant == "spark2" else 97, 1.0)]


def test_a_text_of_ten_megabytes_is_counted() -> None:
    assert row(Featurizer("spark1").transform(["ab" * 5_000_000]), 0) == [(105, 5_000_000.0), (135, 4_999_999.0)]


def test_parameters_that_cannot_be_are_refused_with_advice() -> None:
    with pytest.raises(ValueError, match="variant must be one of slide, spark1, spark2, clean, got 'spark3'"):
        Featurizer("spark3")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="dimension must be between 1 and 1048576 buckets, got 0"):
        Featurizer(dimension=0)


@pytest.mark.tweets
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_reference_vectors_of_java_and_spark_are_met(variant: Variant) -> None:
    vectors = json.loads(Path(os.environ["STREAMSKETCH_TWEETS"], "bigram-vectors.json").read_text())["vectors"]
    features = Featurizer(variant).transform([vector["text"] for vector in vectors])
    for number, vector in enumerate(vectors):
        reference = vector["spark_mllib_murmur3"] if variant == "spark2" else vector
        values = vector["frequencies"] if variant == "slide" else reference["counts"]
        assert row(features, number) == list(zip(reference["indices"], values, strict=True)), vector["name"]
    assert len(vectors) == 22

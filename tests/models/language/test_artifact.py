"""The model file: read as it was written, or refused; nothing in between."""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from models.language.artifact import LanguageModel, ModelFileError, _canonical, _digest
from models.language.features import Featurizer

CENTRES = Featurizer(dimension=50).transform(["the cat sat", "le chat gris", ""]).toarray()
MODEL = LanguageModel(
    featurizer=Featurizer(dimension=50),
    centres=CENTRES,
    languages=({"en": 5, "fr": 1, "und": 9}, {"fr": 2, "en": 2}, {"und": 3}),
    sizes=(20, 4, 3),
    method="lloyd",
    seed=7,
    iterations=12,
    inertia=0.1 + 0.2,
    fingerprint="ab12",
)
DATA = MODEL.to_bytes()


def resealed(tensors: dict[str, Any] | None = None, **changes: object) -> bytes:
    """The file of a forger, who changes it and writes the right digest."""
    tensors = {"centres": CENTRES} if tensors is None else tensors
    described = {name: value for name, value in MODEL.passport.items() if name != "sha256"} | changes
    seal = {"sha256": _digest(described, tensors["centres"])}
    return save(tensors, {"passport": _canonical(described | seal)})


def with_header(header: bytes, body: bytes = b"") -> bytes:
    return len(header).to_bytes(8, "little") + header + body


def test_a_model_comes_back_from_its_file() -> None:
    again = LanguageModel.from_bytes(DATA)
    assert again.to_bytes() == DATA == LanguageModel.from_bytes(resealed()).to_bytes()
    assert again.passport == MODEL.passport
    assert again.featurizer == MODEL.featurizer
    assert (again.languages, again.sizes, again.inertia) == (MODEL.languages, MODEL.sizes, MODEL.inertia)
    np.testing.assert_array_equal(again.centres, CENTRES)


def test_equal_models_are_equal_files() -> None:
    backwards = tuple(dict(reversed(list(counts.items()))) for counts in MODEL.languages)
    assert replace(MODEL, languages=backwards, centres=np.asfortranarray(CENTRES)).to_bytes() == DATA


def test_a_model_predicts_the_nearest_cluster() -> None:
    clusters = MODEL.predict(["the cat sat", "le chat gris", ""])
    assert (clusters.tolist(), clusters.dtype) == ([0, 1, 2], np.int64)
    assert MODEL.predict([]).shape == (0,)


def test_a_majority_ignores_the_undecided_and_ties_go_by_name() -> None:
    assert [MODEL.majority(cluster) for cluster in range(3)] == ["en", "en", None]


def test_a_language_is_found_in_the_clusters_of_its_majority() -> None:
    assert MODEL.clusters_of("en") == (0, 1)
    with pytest.raises(ValueError, match="majority of a cluster, got 'fr'; this model has en"):
        MODEL.clusters_of("fr")
    with pytest.raises(ValueError, match="this model has none: it saw no label"):
        replace(MODEL, languages=({}, {}, {})).clusters_of("en")


def test_a_passport_is_json_and_says_where_the_model_comes_from() -> None:
    passport = json.loads(json.dumps(MODEL.passport))
    assert passport == MODEL.passport
    told = ("format", "version", "variant", "dimension", "k", "seed", "method", "iterations", "texts", "fingerprint")
    assert [passport[name] for name in told] == ["streamsketch.language", 1, "slide", 50, 3, 7, "lloyd", 12, 27, "ab12"]
    assert len(passport["sha256"]) == 64


def test_centres_cannot_be_changed_behind_the_seal() -> None:
    with pytest.raises(ValueError, match="read-only"):
        MODEL.centres[0, 0] = 1.0


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"centres": CENTRES[:2]}, r"a row for each of 3 sizes .* got \(2, 50\)"),
        ({"centres": CENTRES[:, :9]}, r"a column for each of 50 buckets, got \(3, 9\)"),
        ({"centres": CENTRES * np.nan}, "centres must be finite"),
        ({"languages": ({}, {})}, "3 sizes and 2 tables of languages"),
        ({"languages": ({"en": 21}, {}, {})}, "languages of cluster 0 .* at most its 20 texts"),
        ({"languages": ({"": 1}, {}, {})}, "languages of cluster 0 must be named"),
        ({"languages": ({"en": 0}, {}, {})}, "counted from 1"),
        ({"method": "magic"}, "method must be one of scikit-learn, lloyd, kl-kmeans, got 'magic'"),
        ({"inertia": float("nan")}, "must be at least 0"),
        ({"iterations": -1}, "must be at least 0"),
    ],
)
def test_parts_that_do_not_agree_are_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        replace(MODEL, **changes)


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
            assert LanguageModel.from_bytes(bytes(damaged)).to_bytes() == DATA
        except ModelFileError:
            refused += 1
    assert refused >= 290


def test_any_damaged_bit_of_the_header_is_refused_or_means_the_same() -> None:
    header = 8 + int.from_bytes(DATA[:8], "little")
    for position in range(header * 8):
        damaged = bytearray(DATA)
        damaged[position // 8] ^= 1 << position % 8
        with suppress(ModelFileError):
            assert LanguageModel.from_bytes(bytes(damaged)).to_bytes() == DATA


def npz() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, centres=CENTRES)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("forge", "rule"),
    [
        (lambda: b"", "begin with the length of its header"),
        (lambda: pickle.dumps(CENTRES), "begin with the length of its header"),
        (npz, "begin with the length of its header"),
        (lambda: (2**63).to_bytes(8, "little") + DATA[8:], "at most 16777216 bytes"),
        (lambda: with_header(b"[" * 100_000), "centres and a passport"),
        (lambda: with_header(b'{"__metadata__":{"passport":"' + b"[" * 100_000 + b'"}}'), "centres and a passport"),
        (lambda: save({"centres": CENTRES}), "centres and a passport"),
        (lambda: save({"centres": CENTRES}, {"passport": "[" * 100_000}), "centres and a passport"),
        (lambda: save({"centres": CENTRES}, {"passport": "9" * 5000}), "centres and a passport"),
        (lambda: save({"other": CENTRES}, {"passport": _canonical(MODEL.passport)}), "centres and a passport"),
        (lambda: save({"centres": CENTRES * 2}, {"passport": _canonical(MODEL.passport)}), "SHA-256"),
        (lambda: resealed({"centres": CENTRES, "more": CENTRES}), "nothing else, got .*more"),
        (lambda: resealed(format="other"), "must be of streamsketch.language, version 1, got"),
        (lambda: resealed(version=2), "read it with the release that wrote it"),
        (lambda: resealed({"centres": CENTRES * np.nan}), "finite"),
        (lambda: resealed({"centres": CENTRES.astype(np.float32)}), "say in its passport what it holds"),
        (lambda: resealed({"centres": CENTRES[:2]}), "parts agree"),
        (lambda: resealed({"centres": CENTRES[0]}), "parts agree"),
        (lambda: resealed(k=4), "say in its passport what it holds"),
        (lambda: resealed(texts=28), "say in its passport what it holds"),
        (lambda: resealed(more=1), "say in its passport what it holds"),
        (lambda: resealed(seed=True), "say in its passport what it holds"),
        (lambda: resealed(seed="7"), "say in its passport what it holds"),
        (lambda: resealed(seed=[]), "parts agree"),
        (lambda: resealed(dimension="50"), "parts agree"),
        (lambda: resealed(dimension=2**40), "parts agree"),
        (lambda: resealed(variant=["slide"]), "parts agree"),
        (lambda: resealed(method=None), "parts agree"),
        (lambda: resealed(sizes=[20, 4, 3.5]), "say in its passport what it holds"),
        (lambda: resealed(sizes={"20": 1, "4": 1, "3": 1}), "parts agree"),
        (lambda: resealed(languages=[["en"], [], []]), "parts agree"),
        (lambda: resealed(languages=[{"en": "5"}, {}, {}]), "parts agree"),
        (lambda: resealed(inertia=10**400), "parts agree"),
        (lambda: resealed(fingerprint=[1]), "say in its passport what it holds"),
    ],
)
def test_what_is_no_model_file_is_refused_with_one_error(forge: Callable[[], bytes], rule: str) -> None:
    with pytest.raises(ModelFileError, match=rule):
        LanguageModel.from_bytes(forge())


def test_any_safetensors_reader_can_read_the_file() -> None:
    np.testing.assert_array_equal(load(DATA)["centres"], CENTRES)

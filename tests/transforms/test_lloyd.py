"""Lloyd's loop on Beam: as good as scikit-learn's from the same start, and the same bytes for any sharding."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest

from models.language.clustering import LloydSums, assign, fit_kmeans, initial_centres
from models.language.features import Featurizer
from transforms.lloyd import Centres, FitLloyd, FitScikitLearn, from_bytes, to_bytes

FEATURIZER = Featurizer(dimension=100)
ALPHABETS = ["abcdefgh", "αβγδεζηθ", "абвгдежз", "אבגדהוזח"]


def made_up_texts(count: int, seed: int = 1) -> list[str]:
    chance = random.Random(seed)
    return ["".join(chance.choices(chance.choice(ALPHABETS), k=chance.randint(5, 60))) for _ in range(count)]


def fitted(
    in_process: Any, place: Path, fit: beam.PTransform, blocks: list[list[str]], *flags: str
) -> tuple[int, bool, bytes]:
    def keep(centres: tuple[int, bool, bytes]) -> None:
        place.write_bytes(bytes([centres[0], centres[1]]) + centres[2])

    with in_process(*flags) as pipeline:
        _ = pipeline | beam.Create(blocks).with_output_types(list[str]) | fit | beam.Map(keep)
    data = place.read_bytes()
    return data[0], bool(data[1]), data[2:]


def in_blocks(texts: list[str], size: int) -> list[list[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def test_from_the_same_start_the_inertia_is_scikit_learns(in_process: Any, tmp_path: Path) -> None:
    texts = made_up_texts(400)
    fit = FitLloyd(featurizer=FEATURIZER, k=4, seed=3, steps=30)
    steps, resting, data = fitted(in_process, tmp_path / "c", fit, in_blocks(texts, 50))
    assert resting
    assert 1 < steps < 30
    features = FEATURIZER.transform(texts)
    drawn = FEATURIZER.transform([text for _, text in sorted((_ticket(text, 3), text) for text in texts)])
    theirs = fit_kmeans(drawn, 4, seed=3, iterations=30, centres=initial_centres(drawn, 4, 3))
    ours = from_bytes(data, 4)
    assert assign(features, ours)[1].sum() == pytest.approx(assign(features, theirs)[1].sum(), rel=1e-3)


def _ticket(text: str, seed: int) -> bytes:
    return hashlib.blake2b(text.encode(), key=seed.to_bytes(8, "little", signed=True), digest_size=8).digest()


@pytest.mark.parametrize("kind", [FitLloyd, FitScikitLearn])
def test_order_blocks_and_workers_do_not_show(in_process: Any, tmp_path: Path, kind: type[beam.PTransform]) -> None:
    texts = made_up_texts(200)
    shuffled = random.Random(2).sample(texts, len(texts))

    def run(blocks: list[list[str]], *flags: str) -> Centres:
        fit = kind(featurizer=FEATURIZER, k=4, seed=3, steps=6)
        return fitted(in_process, tmp_path / "c", fit, blocks, *flags)

    first = run(in_blocks(texts, 200))
    assert run(in_blocks(shuffled, 7)) == first
    assert run(in_blocks(shuffled, 31), "--direct_num_workers=2", "--direct_running_mode=multi_threading") == first


def test_centres_at_rest_stay_and_cost_nothing(
    in_process: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    original = LloydSums.add_many

    def counting(self: LloydSums, *arguments: Any) -> None:
        calls.append(1)
        original(self, *arguments)

    monkeypatch.setattr(LloydSums, "add_many", counting)
    texts = ["aaaa", "bbbb"] * 10
    fit = FitLloyd(featurizer=FEATURIZER, k=2, seed=0, steps=12)
    steps, resting, data = fitted(in_process, tmp_path / "c", fit, [texts])
    assert (steps, resting) == (1, True)
    assert len(calls) == 1
    assert sorted(from_bytes(data, 2).max(axis=1)) == [1.0, 1.0]


def test_too_few_different_texts_are_refused(in_process: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="k must be at most the number of distinct rows, got 3 for 1"):
        fitted(in_process, tmp_path / "c", FitLloyd(featurizer=FEATURIZER, k=3, seed=0, steps=2), [["same"] * 9])


def test_centres_come_back_from_their_bytes() -> None:
    centres = np.random.default_rng(0).random((3, 5))
    assert np.array_equal(from_bytes(to_bytes(centres), 3), centres)

"""The classifier's four pipelines, one after the other, on texts whose languages are known."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import orjson
import pytest
from rich.console import Console

from models.language.artifact import LanguageModel
from models.language.classifier import default
from pipelines import collect_tweets, examine_tweets, filter_language, launch, train_language
from pipelines.options import JobOptions, UsageError
from transforms.accounting import Ledger

WORDS = {
    "en": ["the", "rain", "stays", "away", "and", "my", "train", "leaves", "on", "time", "again"],
    "ja": ["今日は", "電車が", "雨の", "コーヒー", "おいしい", "です", "ました", "サッカー"],
    "ar": ["القهوة", "اليوم", "جميل", "مطر", "في", "المدينة", "صباح", "الخير"],
}
DAMAGED = [b"not a tweet", b'{"id": 1, "text": "no time"}', b"\xff"]


def made_up_tweets(count: int, seed: int = 5) -> list[bytes]:
    chance = random.Random(seed)
    rows = []
    for number in range(count):
        lang = chance.choice(list(WORDS))
        text = ("" if lang == "ja" else " ").join(chance.choices(WORDS[lang], k=chance.randint(3, 9)))
        time = f"2026-03-01T12:{chance.randrange(60):02d}:{chance.randrange(60):02d}Z"
        rows.append(orjson.dumps({"id": str(number), "created_at": time, "text": text, "lang": lang}))
    return rows


def run(module: Any, options: JobOptions, *flags: str) -> Ledger:
    ledger = launch.run(module.__name__, module, options, list(flags), Console(quiet=True))
    assert ledger
    assert ledger.missing == 0
    return ledger


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where all four pipelines ran on 300 tweets and three damaged records."""
    place = tmp_path_factory.mktemp("language")
    (place / "in.jsonl").write_bytes(b"\n".join([*made_up_tweets(300), *DAMAGED]))
    tweets, model = f"{place}/tweets/", f"{place}/language.safetensors"
    collected = collect_tweets.Options(
        input=f"{place}/in.jsonl", output=tweets, interval=collect_tweets.WindowPolicy.parse("10m")
    )
    assert run(collect_tweets, collected) == Ledger(read=303, used=300, rejected=3)
    run(examine_tweets, examine_tweets.Options(input=tweets, output=f"{place}/profile.json"))
    run(train_language, train_language.Options(input=tweets, output=model, clusters=3))
    run(filter_language, filter_language.Options(input=tweets, model=model, output=f"{place}/ja.jsonl", language="ja"))
    return place


def test_the_collection_has_a_file_for_each_interval_that_other_programs_read(place: Path) -> None:
    files = sorted((place / "tweets").iterdir())
    assert [file.name[:16] for file in files] == [f"20260301T12{minute}00Z" for minute in ("00", 10, 20, 30, 40, 50)]
    rows = []
    for file in files:
        with file.open("rb") as stream:
            in_file = list(fastavro.reader(stream))
        times = [row["created_at"].strftime("%Y%m%dT%H%M00Z") for row in in_file]  # type: ignore[index,union-attr,call-overload]
        assert all(file.name[:12] == time[:12] for time in times)
        rows += in_file
    assert len({row["id"] for row in rows}) == 300  # type: ignore[index,call-overload]


def test_the_profile_counts_what_is_there(place: Path) -> None:
    profile = orjson.loads((place / "profile.json").read_bytes())
    truth = Counter(orjson.loads(row)["lang"] for row in made_up_tweets(300))
    assert profile["tweets"] == 300
    assert profile["languages"] == dict(truth)


def test_the_model_puts_each_script_into_a_cluster_of_its_own(place: Path) -> None:
    model = LanguageModel.from_bytes((place / "language.safetensors").read_bytes())
    assert sorted(model.majority(cluster) or "" for cluster in range(3)) == ["ar", "en", "ja"]
    assert sum(model.sizes) == 300
    assert all(len(languages) == 1 for languages in model.languages)
    described = orjson.loads((place / "language.clusters.json").read_bytes())
    assert described["model"] == model.passport
    for cluster in described["clusters"]:
        assert cluster["typical"]
        assert set(model.predict(cluster["typical"])) == {cluster["cluster"]}


def test_the_filter_keeps_one_language_and_counts_the_others(place: Path, rows_of: Callable[..., list[Any]]) -> None:
    rows = rows_of(place / "ja.jsonl")
    truth = Counter(orjson.loads(row)["lang"] for row in made_up_tweets(300))
    assert len(rows) == truth["ja"]
    assert {row["lang"] for row in rows} == {"ja"}
    ledger = Ledger(**orjson.loads((place / "ja.ledger.json").read_bytes()))
    assert ledger == Ledger(read=300, used=truth["ja"], filtered=300 - truth["ja"])
    assert (place / "ja.rejects.jsonl").read_bytes() == b""


def test_a_cluster_can_be_named_and_one_that_is_not_there_is_refused(place: Path, tmp_path: Path) -> None:
    model = f"{place}/language.safetensors"
    common = {"input": f"{place}/tweets/", "model": model}
    total = 0
    for cluster in range(3):
        options = filter_language.Options(**common, output=f"{tmp_path}/{cluster}.avro", cluster=cluster)
        total += run(filter_language, options).used
    assert total == 300
    with pytest.raises(UsageError, match="cluster must be from 0 to 2 in this model, got 3"):
        run(filter_language, filter_language.Options(**common, output=f"{tmp_path}/3.jsonl", cluster=3))
    with pytest.raises(UsageError, match="this model has ar, en, ja"):
        run(filter_language, filter_language.Options(**common, output=f"{tmp_path}/x.jsonl", language="xx"))


def test_a_damaged_model_is_refused_before_anything_runs(place: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.safetensors"
    data = bytearray((place / "language.safetensors").read_bytes())
    data[-100] ^= 1
    damaged.write_bytes(data)
    options = filter_language.Options(
        input=f"{place}/tweets/", model=str(damaged), output=f"{tmp_path}/x.jsonl", language="ja"
    )
    with pytest.raises(UsageError, match="model file"):
        run(filter_language, options)


def test_without_a_model_it_is_the_classifier_that_tells(place: Path, tmp_path: Path) -> None:
    tweets = [orjson.loads(row) for row in made_up_tweets(300)]
    told = default().predict([tweet["text"] for tweet in tweets])
    (tmp_path / "own.safetensors").write_bytes(default().to_bytes())
    for model, least in (("", 0.0), ("", 0.99), (f"{tmp_path}/own.safetensors", 0.0)):
        output = tmp_path / f"{least}{bool(model)}.jsonl"
        options = filter_language.Options(
            input=f"{place}/tweets/", output=str(output), language="ja", model=model, min_confidence=least
        )
        kept = {
            tweet["id"]
            for tweet, label, sure in zip(tweets, told.labels, told.confidence.tolist(), strict=True)
            if label == "ja" and sure >= least
        }
        assert run(filter_language, options) == Ledger(read=300, used=len(kept), filtered=300 - len(kept))
        assert {orjson.loads(line)["id"] for line in output.read_bytes().splitlines()} == kept
    assert {tweet["lang"] for tweet in tweets if tweet["id"] in kept} == {"ja"}


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        ({"language": "klingon"}, "languages must be some of .* got klingon"),
        ({"cluster": 1}, "a classifier has no cluster 1: give the --model that train_language wrote"),
        ({"language": "ja", "min_confidence": 2.0}, "min_confidence must be between 0 and 1"),
        ({"language": "ja", "min_confidence": 0.5, "model": "language.safetensors"}, "clusters tell no confidence"),
    ],
)
def test_what_a_model_cannot_tell_is_refused(place: Path, tmp_path: Path, asked: dict[str, Any], rule: str) -> None:
    if "model" in asked:
        asked = {**asked, "model": f"{place}/{asked['model']}"}
    options = filter_language.Options(input=f"{place}/tweets/", output=f"{tmp_path}/x.jsonl", **asked)
    with pytest.raises(UsageError, match=rule):
        run(filter_language, options)


WAYS = {
    "as it is": ([], "0", 1),
    "another hash seed, two workers": (["--direct_num_workers=2", "--direct_running_mode=multi_threading"], "1", 1),
    "other bundles, two processes": (["--direct_num_workers=2", "--direct_running_mode=multi_processing"], "2", 7),
}


def test_hash_seeds_workers_and_bundles_do_not_show(tmp_path: Path) -> None:
    rows = made_up_tweets(280)
    outputs = [_everything(tmp_path / str(at), rows, *way) for at, way in enumerate(WAYS.values())]
    assert len(outputs[0]) > 12
    assert outputs[0] == outputs[1]
    assert outputs[0] == outputs[2]


def _everything(place: Path, rows: list[bytes], flags: list[str], seed: str, files: int) -> dict[str, bytes]:
    """All that the pipelines write, by name, for rows that come in so many files."""
    (place / "in").mkdir(parents=True)
    for file in range(files):
        (place / "in" / f"{file}.jsonl").write_bytes(b"\n".join(rows[file::files]))
    for arguments in (
        "collect_tweets --input in/ --output tweets/ --interval 20m",
        "examine_tweets --input tweets/ --output profile.json",
        "train_language --input tweets/ --output lloyd.safetensors --clusters 3 --iterations 8 --method lloyd",
        "train_language --input tweets/ --output language.safetensors --clusters 3",
        "filter_language --input tweets/ --output ja.jsonl --language ja --model language.safetensors",
    ):
        command = [sys.executable, "-m", "pipelines", *arguments.split(), *flags]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    written = (file for file in place.rglob("*") if file.is_file() and file.parent.name not in {"in", "tweets.ledger"})
    return {str(file.relative_to(place)): file.read_bytes() for file in written}

"""Trending: what rises is told on the wire and from the store alike, and nothing is counted twice."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest
from rich.console import Console

from models.language.classifier import default
from pipelines import launch, trending
from pipelines.options import UsageError
from rollups import Store
from rollups.rising import find_rises
from transforms.accounting import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOAL = timedelta(minutes=25)  # when something happens


def tweets(seed: int) -> list[dict[str, Any]]:
    """Forty minutes in two languages, of which one has a goal."""
    chance = Random(seed)
    rows = []
    for number in range(1600):
        after = timedelta(milliseconds=chance.randrange(40 * 60_000))
        lang = chance.choice(["en", "en", "ja", None])
        tags = [chance.choice(["rain", "coffee", "cats"])]
        if lang == "en" and after > GOAL and chance.random() < 0.3:
            tags.append("Goal")
        text = f"{chance.choice(['hello', 'again', 'my'])} world {' '.join(f'#{tag}' for tag in tags)}"
        moment = (NOON + after).isoformat()
        rows.append({"id": str(number), "created_at": moment, "text": text, "user": f"user_{chance.randrange(90)}"})
        if lang:
            rows[-1]["lang"] = lang
    return sorted(rows, key=lambda row: row["created_at"])


def run(folder: Path, lines: list[bytes], **more: Any) -> Ledger:
    source = folder / "tweets.jsonl"
    source.write_bytes(b"\n".join(lines) + b"\n")
    options = trending.Options(**{"input": str(source), "output": str(folder / "out"), **more})
    ledger = launch.run("trending", trending, options, [], Console(quiet=True))
    assert ledger is not None
    return ledger


def told(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "trends.jsonl").read_text().splitlines()]


def test_a_trend_is_told_on_the_wire_and_from_the_store_with_equal_scores(tmp_path: Path) -> None:
    rows = tweets(1)
    run(tmp_path, [orjson.dumps(row) for row in rows], half_life="15m")
    trends = told(tmp_path)
    assert {(trend["key"], trend["measure"], trend["item"]) for trend in trends} == {("en", "top:hashtag", "goal")}
    first = datetime.fromisoformat(min(trend["window_end"] for trend in trends))
    assert NOON + GOAL < first <= NOON + GOAL + timedelta(minutes=10)
    with Store(str(tmp_path / "out" / "trending.db")) as store:
        stored = find_rises(store, "top:hashtag", by=["lang"], half_life=timedelta(minutes=15))
        # What is asked for later says the same of its part of time.
        later = find_rises(
            store, "top:hashtag", by=["lang"], half_life=timedelta(minutes=15), start=NOON + timedelta(minutes=30)
        )
    by_time = sorted(trends, key=lambda trend: trend["window_end"])
    assert [
        (rise.group["lang"], rise.start, rise.end, rise.item, rise.count, rise.expected, rise.score) for rise in stored
    ] == [
        (
            trend["key"],
            datetime.fromisoformat(trend["window_start"]),
            datetime.fromisoformat(trend["window_end"]),
            trend["item"],
            trend["count"],
            pytest.approx(trend["expected"]),
            pytest.approx(trend["score"]),
        )
        for trend in by_time
    ]
    assert later == [rise for rise in stored if rise.end > NOON + timedelta(minutes=30)]
    # Counted by hand, of the last window.
    start, end = (datetime.fromisoformat(by_time[-1][name]) for name in ("window_start", "window_end"))
    inside = [row for row in rows if start <= datetime.fromisoformat(row["created_at"]) < end]
    goals = sum("#Goal" in row["text"] and row.get("lang") == "en" for row in inside)
    assert by_time[-1]["count"] == goals


def test_repeated_and_broken_tweets_are_counted_as_such_and_nowhere_else(tmp_path: Path) -> None:
    rows = tweets(2)[:600]
    lines = [orjson.dumps(row) for row in rows]
    chance = Random(5)
    repeated = chance.sample(lines, 50)
    for line in repeated:
        lines.insert(chance.randrange(len(lines)), line)
    lines += [b'{"text": "no id or time"}', b"{"]
    ledger = run(tmp_path, lines, language_by="source")
    assert (ledger.read, ledger.used, ledger.rejected, ledger.duplicate) == (652, 600, 2, 50)
    with Store(str(tmp_path / "out" / "trending.db")) as store:
        counts = {row.group["lang"]: row.values for row in store.query(by=["lang"])}
    expected = Counter(row.get("lang", "und") for row in rows)
    assert {lang: values["count"] for lang, values in counts.items()} == expected
    users = {row["user"] for row in rows if row.get("lang") == "ja"}
    assert counts["ja"]["distinct:user"].low <= len(users) <= counts["ja"]["distinct:user"].high
    tags = Counter(
        tag for row in rows if row.get("lang") == "ja" for tag in ("rain", "coffee", "cats") if f"#{tag}" in row["text"]
    )
    assert {tag: count.value for tag, count in counts["ja"]["top:hashtag"]} == tags


def test_the_same_run_again_changes_nothing_and_other_tweets_add(tmp_path: Path) -> None:
    lines = [orjson.dumps(row) for row in tweets(3)[:300]]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    store_path = str(tmp_path / "kept" / "trending.db")

    def kept() -> tuple[int, list[bytes]]:
        with Store(store_path) as store:
            (answer,) = store.query()
            return answer.values["count"], [sketch.to_bytes() for sketch in answer.sketches.values()]

    run(tmp_path / "a", lines, store=store_path)
    once = kept()
    run(tmp_path / "a", lines, store=store_path, output=str(tmp_path / "again"))
    assert kept() == once
    run(tmp_path / "b", lines[:100], store=store_path)
    assert kept()[0] == 400


def test_windows_that_do_not_slide_are_refused() -> None:
    with pytest.raises(UsageError, match="trends need windows that slide, got 10m"):
        trending.Options.parse("trending", "", ["--window", "10m"])
    with pytest.raises(UsageError, match="windows must slide by a part of their size, got 10m/4m"):
        trending.Options.parse("trending", "", ["--window", "10m/4m"])


def test_who_says_the_language_is_an_option(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "lang": "fr", "text": "good morning everyone"},
        {"id": "2", "text": "see you at the station"},
        {"id": "3", "lang": "und", "text": "guten Morgen alle zusammen"},
        {"id": "4", "text": "😀"},
    ]
    lines = [orjson.dumps(row | {"created_at": (NOON + timedelta(seconds=7)).isoformat()}) for row in rows]
    (tmp_path / "own.safetensors").write_bytes(default().to_bytes())
    expected: dict[str, tuple[dict[str, str], list[str]]] = {
        "unasked": ({}, ["de", "en", "fr", "und"]),
        "source": ({"language_by": "source"}, ["fr", "und", "und", "und"]),
        "model": ({"language_by": "model"}, ["de", "en", "en", "und"]),
        "file": ({"model": f"{tmp_path}/own.safetensors"}, ["de", "en", "en", "und"]),
        "both": ({"model": f"{tmp_path}/own.safetensors", "language_by": "both"}, ["de", "en", "fr", "und"]),
    }
    for name, (asked, languages) in expected.items():
        assert run(tmp_path, lines, output=f"{tmp_path}/{name}", **asked) == Ledger(read=4, used=4)
        with Store(f"{tmp_path}/{name}/trending.db") as store:
            answers = store.query(measures=["count"], by=["lang"])
            found = [answer.group["lang"] for answer in answers for _ in range(answer.values["count"])]
        assert sorted(found) == languages


def test_a_model_that_nobody_asks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"the source alone says the language, so --model m is not asked"):
        trending.Options(input="in.jsonl", model="m", language_by="source")

"""What was rejected comes back in its own bytes, and is read again after a fix."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from pipelines import collect_tweets, launch, replay_rejects
from pipelines.connectors.decoding import RAW_KEPT
from pipelines.options import UsageError
from transforms.windowing import WindowPolicy


def run(pipeline: Any, options: Any) -> Any:
    return launch.run(pipeline.__name__.rpartition(".")[2], pipeline, options, [], Console(quiet=True))


def test_rejects_are_written_in_their_own_bytes_and_replayed_after_a_fix(tmp_path: Path) -> None:
    chance = random.Random(2)
    tweets = [
        orjson.dumps({"id": str(number), "created_at": f"2014-07-01T00:{number % 60:02}:00Z", "text": f"word {number}"})
        for number in range(2000)
    ]
    broken = {number: chance.choice([b"\xff\x00", b"{", b'"']) for number in chance.sample(range(2000), 200)}
    source = tmp_path / "tweets.jsonl"
    source.write_bytes(b"\n".join(broken.get(number, b"") + tweet for number, tweet in enumerate(tweets)))
    first = collect_tweets.Options(input=str(source), output=f"{tmp_path}/out/", interval=WindowPolicy("all"))
    ledger = run(collect_tweets, first)
    assert (ledger.read, ledger.used, ledger.rejected) == (2000, 1800, 200)

    again = replay_rejects.Options(input=first.rejects, output=f"{tmp_path}/again.jsonl")
    assert run(replay_rejects, again).used == 200
    replayed = Path(again.output).read_bytes().splitlines()
    assert Counter(replayed) == Counter(start + tweets[number] for number, start in broken.items())

    fixed = tmp_path / "fixed.jsonl"
    fixed.write_bytes(b"\n".join(line[line.index(b'{"id') :] for line in replayed))
    second = collect_tweets.Options(
        input=str(fixed), output=f"{tmp_path}/out/", interval=WindowPolicy("all"), format="jsonl"
    )
    assert run(collect_tweets, second).used == 200


@pytest.mark.parametrize("suffix", [".jsonl", ".avro", ".parquet"])
def test_a_reject_without_its_record_is_rejected_again_and_says_where_it_stands(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "tweets.jsonl"
    source.write_bytes(b"[" * 2**21 + b"\n{\n")
    first = collect_tweets.Options(
        input=str(source), output=f"{tmp_path}/out/", rejects=f"{tmp_path}/bad{suffix}", interval=WindowPolicy("all")
    )
    assert run(collect_tweets, first).rejected == 2
    again = replay_rejects.Options(input=first.rejects, output=f"{tmp_path}/again.jsonl")
    ledger = run(replay_rejects, again)
    assert (ledger.read, ledger.used, ledger.rejected) == (2, 1, 1)
    assert Path(again.output).read_bytes() == b"{\n"
    (reject,) = map(orjson.loads, Path(again.rejects).read_bytes().splitlines())
    assert reject["error"].startswith(f"not whole: see {source} at 0, where a line must be at most")
    assert len(orjson.loads(reject["raw"])["raw"]) == RAW_KEPT


def test_what_is_no_reject_is_rejected_and_live_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_bytes(b'{"raw": "x"}\n[1]\n')
    options = replay_rejects.Options(input=f"{tmp_path}/other.jsonl", output=f"{tmp_path}/again.jsonl")
    assert run(replay_rejects, options).rejected == 2
    with pytest.raises((UsageError, ValueError), match="rejects are files"):
        replay_rejects.Options(input="kafka://host/topic", output=f"{tmp_path}/again.jsonl")

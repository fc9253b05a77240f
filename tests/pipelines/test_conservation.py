"""Where a tenth of what comes is broken in one of twelve ways, each record is used or rejected, and none is missing."""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from rich.console import Console

from pipelines import collect_tweets, launch, rollup
from pipelines.connectors.decoding import RAW_KEPT
from pipelines.ledger import read_ledger
from rollups import Store
from transforms.windowing import WindowPolicy

if TYPE_CHECKING:
    from tests.pipelines.conftest import RunLive

# What may become of a record that it cannot be used.
_KINDS: dict[str, Callable[[bytes], bytes]] = {
    "cut short": lambda line: line[:-9],
    "no JSON": lambda line: b"text " + line,
    "no UTF-8": lambda line: line.replace(b"word", b"\xff\xfe"),
    "a lone surrogate": lambda line: line.replace(b"word", rb"\ud83d"),
    "not a number": lambda line: line.replace(b'"2014', b'NaN,"x":"2014'),
    "a time out of range": lambda line: line.replace(b'"2014', b'99999999999999,"x":"2014'),
    "a time without a zone": lambda line: line.replace(b"Z", b""),
    "no time": lambda line: line.replace(b"created_at", b"created"),
    "no object": lambda line: b"[" + line + b"]",
    "two in one": lambda line: line + line,
    "deep": lambda line: b"[" * 2000 + line,
    "huge": lambda line: line.replace(b"word", b"w" * 2**20),
}


def write_poisoned(path: Path, records: int = 200_000) -> Counter[bytes]:
    """Writes so many records, a tenth of which is poison, of each kind; what a reject keeps of those."""
    chance = random.Random(12)
    kinds = set()
    poison: Counter[bytes] = Counter()
    with path.open("wb") as stream:
        for number in range(records):
            at = f"2014-07-01T{number % 24:02}:{number % 60:02}:00Z"
            line = orjson.dumps({"id": str(number), "created_at": at, "text": "word", "lang": "en"})
            if chance.random() < 0.1:
                # What is huge is rare, or the file would be too.
                kind = chance.choice([*_KINDS][: 11 if chance.random() < 0.99 else 12])
                kinds.add(kind)
                line = _KINDS[kind](line)
                poison[line[:RAW_KEPT] if kind == "huge" else line] += 1
            stream.write(line + b"\n")
    assert len(kinds) == len(_KINDS)
    return poison


def kept_of(rejects: list[dict[str, Any]]) -> Counter[bytes]:
    """What rejects hold of the records."""
    raws = [reject["raw"] for reject in rejects]
    return Counter(base64.b64decode(raw["base64"]) if isinstance(raw, dict) else raw.encode() for raw in raws)


def test_of_records_one_by_one_each_is_used_or_rejected(
    tmp_path: Path, rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    poison = write_poisoned(tmp_path / "in.jsonl")
    options = collect_tweets.Options(
        input=f"{tmp_path}/in.jsonl", output=f"{tmp_path}/out/", interval=WindowPolicy("1d"), format="jsonl"
    )
    ledger = launch.run("collect_tweets", collect_tweets, options, [], Console(quiet=True))
    assert ledger is not None
    assert (ledger.read, ledger.rejected, ledger.used) == (200_000, poison.total(), 200_000 - poison.total())
    assert kept_of(rows_of(*Path(options.rejects).glob("*"))) == poison


def test_of_records_in_batches_each_is_counted_or_rejected(
    tmp_path: Path, rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    poison = write_poisoned(tmp_path / "in.jsonl")
    options = rollup.Options(
        input=f"{tmp_path}/in.jsonl", store=f"{tmp_path}/r.db", event_time="created_at", window=WindowPolicy("1d")
    )
    ledger = launch.run("rollup", rollup, options, [], Console(quiet=True))
    assert ledger is not None
    assert (ledger.read, ledger.rejected) == (200_000, poison.total())
    with Store(options.store) as store:
        assert sum(row.values["count"] for row in store.query()) == 200_000 - poison.total()
    assert kept_of(rows_of(*Path(options.rejects).glob("*"))) == poison


@pytest.mark.prism
def test_live_each_is_counted_or_rejected(
    tmp_path: Path, run_live: RunLive, rows_of: Callable[..., list[dict[str, Any]]]
) -> None:
    poison = write_poisoned(tmp_path / "in.jsonl")
    flags = ["--input", f"replay:{tmp_path}/in.jsonl?speed=1000000&bound=1d&time=created_at"]
    flags += ["--event-time", "created_at", "--store", f"{tmp_path}/r.db", "--window", "1d, lateness 1d"]
    with run_live("rollup", *flags) as run:
        run.wait_for_the_end()
    (place,) = (tmp_path / "r.db.ledger").glob("*Z")
    ledger, _ = read_ledger(f"{place}/")
    assert (ledger.read, ledger.rejected, ledger.missing) == (200_000, poison.total(), 0)
    with Store(f"{tmp_path}/r.db") as store:
        assert sum(row.values["count"] for row in store.query()) == ledger.used == 200_000 - poison.total()
    assert kept_of(rows_of(*(tmp_path / "r.db.rejects").glob("[!.]*"))) == poison

"""A disk that is full ends a run with its reason and nothing half done; with room again, the same command completes."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
from pathlib import Path

import orjson

from pipelines.ledger import read_ledger
from rollups import Store

_ROWS = 30_000


def run(*arguments: object, room: int | None = None) -> subprocess.CompletedProcess[str]:
    """Runs a pipeline; no file may become larger than `room`, in bytes: that is how a disk without room answers."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))  # type: ignore[arg-type]

    command = [sys.executable, "-P", "-m", "pipelines", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=limit if room else None, timeout=300
    )


def write_rows(path: Path) -> None:
    chance = random.Random(7)
    rows = (
        {"id": str(n), "created_at": f"2014-07-01T{n % 24:02}:00:00Z", "text": f"{chance.getrandbits(400):x}"}
        for n in range(_ROWS)
    )
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))


def test_files_are_whole_or_not_there(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl")
    flags = ["collect_tweets", "--input", f"{tmp_path}/in.jsonl", "--output", f"{tmp_path}/out/", "--interval", "1d"]
    full = run(*flags, room=2**20)
    assert full.returncode == 1
    assert "File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "in.jsonl"]
    again = run(*flags)
    assert again.returncode == 0, again.stderr
    (ledger,) = tmp_path.glob("out.ledger/*.json")
    assert read_ledger(str(ledger))[0].used == _ROWS
    assert [path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")] == []


def test_a_store_keeps_what_it_had(tmp_path: Path) -> None:
    write_rows(tmp_path / "in.jsonl")
    flags = ["rollup", "--input", f"{tmp_path}/in.jsonl", "--store", tmp_path / "r.db", "--event-time", "created_at"]
    flags += ["--window", "1h", "--measure", "distinct:id", "--measure", "top:text=50"]
    full = run(*flags, room=2**17)
    assert full.returncode == 1
    assert "r.db" in full.stderr
    assert "Traceback" not in full.stderr
    again = run(*flags)
    assert again.returncode == 0, again.stderr
    with Store(str(tmp_path / "r.db")) as store:
        assert sum(row.values["count"] for row in store.query()) == _ROWS
        assert not store.query().damaged

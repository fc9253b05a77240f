"""Small files that want to become large, deep or endless are rejected, in bounded memory, and others are read on."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import orjson

from tests.pipelines.connectors.bombs import bombs

_MEMORY = 512  # MiB
_PATIENCE = 400  # seconds for all of them, which take some fifty: one that is endless never ends


def test_bombs_are_rejected_in_bounded_memory(tmp_path: Path) -> None:
    names = []
    for name, content in bombs():
        names.append(name)
        (tmp_path / name).write_bytes(content)
    assert len(names) >= 30
    program = Path(__file__).with_name("bombs.py")
    ran = subprocess.run([sys.executable, "-P", program, tmp_path], capture_output=True, check=False, timeout=_PATIENCE)
    assert ran.returncode == 0, ran.stderr[-2000:]
    told: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for line in ran.stdout.splitlines():
        row = orjson.loads(line)
        name = row.pop("name")
        for what, number in row.items():
            told[name][what].append(number)
    assert told.keys() == set(names)
    for name, of in told.items():
        assert len(of["rejected"]) + len(of["refused"]) == 2, name
        assert all(number >= 1 for number in of["rejected"]), name
        assert of["read"] == of["rejected"], name
        assert of["peak"][0] < _MEMORY, name

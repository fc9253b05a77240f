"""A process that does jobs for one system, when it is asked to: JSON lines on its standard input and output.

    python -m benchmarks.jobs.worker ours events.parquet 10000000

It begins with its versions and ways. Asked [number of a way, folder] it answers with wall and CPU seconds, or an error.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.jobs.cpu import cpu_seconds


def main() -> None:
    """Serves until its input ends."""
    name, path, events = sys.argv[1:]
    # Whatever a system prints goes to the log, and not between the answers.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    module = importlib.import_module(f"benchmarks.jobs.{name}")
    system = module.System(Path(path), int(events))
    ways = [dataclasses.asdict(dataclasses.replace(way, ask=None)) for way in module.WAYS]
    print(json.dumps({"versions": system.versions(), "ways": ways}), file=replies)
    for line in sys.stdin:
        number, folder = json.loads(line)
        print(json.dumps(_timed(system, module.WAYS[number], Path(folder))), file=replies)


def _timed(system: Any, way: Any, folder: Path) -> dict[str, Any]:
    """What a way costs; one that does a share of the events is scaled, but for what it costs without an event."""
    try:
        idle = _spent(system.idle, way, folder) if way.share > 1 else {"wall": 0.0, "cpu": 0.0}
        spent = _spent(system.answer, way, folder)
        if hasattr(system, "export"):
            system.export(way, folder)
    except Exception as problem:  # noqa: BLE001 - one job that fails must not end the others
        traceback.print_exc()
        return {"error": f"{type(problem).__name__}: {problem}"}
    return {name: idle[name] + way.share * (spent[name] - idle[name]) for name in spent}


def _spent(act: Callable[[Any, Path], None], way: Any, folder: Path) -> dict[str, float]:
    cpu, wall = cpu_seconds(os.getpid()), time.perf_counter()
    act(way, folder)
    return {"wall": time.perf_counter() - wall, "cpu": cpu_seconds(os.getpid()) - cpu}


if __name__ == "__main__":
    main()

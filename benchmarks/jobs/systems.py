"""The systems by name, each in a process of its own that is asked to do one job after the other."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.jobs.cpu import cpu_seconds
from benchmarks.jobs.jobs import Way


@dataclass(frozen=True)
class System:
    """What a system is called, the module that does its jobs, and what must be installed for it."""

    title: str
    module: str
    needs: str | None = None  # a module
    program: str | None = None
    install: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def installed(self) -> bool:
        """Whether all that it needs is there."""
        return (self.needs is None or importlib.util.find_spec(self.needs) is not None) and (
            self.program is None or shutil.which(self.program) is not None
        )


SYSTEMS = {
    "ours": System("streamsketch", "ours"),  # with compiled kernels, where numba is
    "numpy": System("streamsketch, numpy", "ours", environment={"STREAMSKETCH_KERNELS": "numpy"}),
    "beam": System("Beam, one by one", "with_beam", "datasketches", install="pip install datasketches"),
    "spark": System(
        "Spark", "with_spark", "pyspark", "java", "pip install pyspark==4.3.0, and Java 17 or newer on the path"
    ),
    "duckdb": System("DuckDB", "with_duckdb", "duckdb", install="pip install duckdb"),
}


class Running:
    """A system that waits for jobs. What it prints is in the file `log`."""

    def __init__(self, system: System, path: Path, events: int, log: Path) -> None:
        begin = time.perf_counter()
        self._system = system
        self._log = log
        with log.open("w") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - a module of this package
                [sys.executable, "-m", "benchmarks.jobs.worker", system.module, str(path), str(events)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                bufsize=1,
                env={**os.environ, **system.environment},
            )
        hello = self._reply()
        self.versions: str = hello["versions"]
        self.ways = [Way(**way) for way in hello["ways"]]
        self.start = {"wall": time.perf_counter() - begin, "cpu": cpu_seconds(self._process.pid)}

    def ways_of(self, job: str) -> list[Way]:
        """How it does a job."""
        return [way for way in self.ways if way.job == job]

    def do(self, way: Way, folder: Path) -> dict[str, Any]:
        """Wall and CPU seconds of a way, whose answers are in the folder then; or an error."""
        print(json.dumps([self.ways.index(way), str(folder)]), file=self._process.stdin)
        reply: dict[str, Any] = self._reply()
        return reply

    def stop(self) -> None:
        """Lets it end."""
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def _reply(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"{self._system.title} has ended; it said: {self._log.read_text()[-2000:]}")
        return json.loads(line)

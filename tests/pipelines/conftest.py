"""Pipelines that run live, on Prism, in processes of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import apache_beam
import pytest

_PACKAGE = f"github.com/apache/beam/sdks/v2/go/cmd/prism@v{apache_beam.__version__}"
_PATIENCE = 180.0  # seconds, for what takes a few where nothing else is going on


@pytest.fixture(scope="session")
def prism(pytestconfig: pytest.Config) -> str:
    """The runner's program: where STREAMSKETCH_PRISM says, or built once by Go."""
    given = os.environ.get("STREAMSKETCH_PRISM")
    if given:
        return given
    assert pytestconfig.cache is not None
    place = pytestconfig.cache.mkdir("prism") / f"v{apache_beam.__version__}"
    if not (place / "prism").exists():
        go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:/usr/local/go/bin")
        if not go:
            pytest.skip("Prism is not there, and without Go it cannot be built")
        subprocess.run([go, "install", _PACKAGE], env=os.environ | {"GOBIN": str(place)}, check=True, timeout=900)
    return str(place / "prism")


@dataclass
class Run:
    """A pipeline that runs, in a session of its own, as in a terminal of its own."""

    process: subprocess.Popen[bytes]
    folder: Path

    def press_ctrl_c(self) -> None:
        """What a terminal does: all processes of the session hear it, the runner's as well."""
        os.killpg(self.process.pid, signal.SIGINT)

    def said(self) -> str:
        return (self.folder / "said.txt").read_text()

    def wait_for(self, happens: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + _PATIENCE
        while not happens():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < end, f"{what}: not in {_PATIENCE} s; {self.said()}"
            time.sleep(0.1)

    def wait_for_the_end(self) -> None:
        assert self.process.wait(_PATIENCE) == 0, self.said()


RunLive: TypeAlias = Callable[..., AbstractContextManager[Run]]


@pytest.fixture
def run_live(tmp_path: Path, prism: str) -> RunLive:
    """Runs a pipeline by its name, with flags: what it says is in said.txt of the test's folder."""

    @contextmanager
    def run(name: str, *flags: str) -> Iterator[Run]:
        command = [sys.executable, "-P", "-m", "pipelines", name, *flags]
        command += ["--runner", "PrismRunner", "--prism_location", prism, "--prism_log_level", "error"]
        with (tmp_path / "said.txt").open("wb") as said:
            process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        try:
            yield Run(process, tmp_path)
        finally:  # and what it started, which is of its session
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    return run

"""A job: build, run, report, and a ledger that must balance."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions
from rich.console import Console

from pipelines import launch
from pipelines.connectors import read, write
from pipelines.launch.job import Interruptible, _works_here
from pipelines.ledger import write_ledger
from pipelines.options import JobOptions, UsageError
from transforms.accounting import CountWritten
from transforms.parsing import parse_line


def job(losing: bool = False, report: Any = None) -> Any:
    """Copies lines; a losing one forgets those with an o."""

    def build(pipeline: beam.Pipeline, options: JobOptions) -> None:
        lines = pipeline | "Read" >> read(options.input, parse_line)
        kept = lines.records | "Lose" >> beam.Filter(lambda line: not losing or "o" not in line)
        files = kept | "Write" >> write(options.output)
        write_ledger(options, lines, used=files | "Count" >> CountWritten())

    return SimpleNamespace(build=build, **({"report": report} if report else {}))


@pytest.fixture
def options(tmp_path: Path) -> JobOptions:
    (tmp_path / "in.txt").write_text("one\ntwo\nthree\n")
    return JobOptions(input=f"{tmp_path}/in.txt", output=f"{tmp_path}/out.txt")


def test_a_job_runs_reports_and_returns_its_ledger(options: JobOptions, capsys: pytest.CaptureFixture[str]) -> None:
    def report(options: JobOptions, console: Console) -> None:
        console.print(Path(options.output).read_text())

    ledger = launch.run("copy", job(report=report), options, [], Console())
    assert str(ledger) == "3 read = 3 used"
    assert capsys.readouterr().out == "one\nthree\ntwo\n\n"


def test_records_that_go_missing_are_an_error(options: JobOptions) -> None:
    with pytest.raises(launch.RunError, match="does not balance: 3 read, but 1 used: 2 MISSING"):
        launch.run("copy", job(losing=True), options, [], Console())


def test_what_cannot_be_built_is_a_usage_error(options: JobOptions) -> None:
    Path(options.output).touch()
    with pytest.raises(UsageError, match="exists already"):
        launch.run("copy", job(), options, [], Console())


def test_what_fails_names_its_step(tmp_path: Path, options: JobOptions) -> None:
    (tmp_path / "blocked").touch()
    broken = JobOptions(input=options.input, output=f"{tmp_path}/blocked/out/", rejects="stderr:", ledger="stderr:")
    with pytest.raises(launch.RunError, match=r"step Write/Write failed: .*[Nn]ot a directory"):
        launch.run("copy", job(), broken, [], Console())


def test_a_runner_may_be_named_and_is_in_this_process_otherwise(options: JobOptions) -> None:
    @dataclass
    class Seen:
        runner: str = ""

    seen = Seen()
    inner = job()

    def build(pipeline: beam.Pipeline, options: JobOptions) -> None:
        seen.runner = type(pipeline.runner).__name__
        inner.build(pipeline, options)

    launch.run("copy", SimpleNamespace(build=build), options, [], Console())
    assert seen.runner == "FnApiRunner"


def test_a_live_run_may_take_years(options: JobOptions) -> None:
    allowed: list[int] = []

    def build(pipeline: beam.Pipeline, _: JobOptions) -> None:
        allowed.append(pipeline.options.view_as(PortableOptions).job_server_timeout)
        raise ValueError("that is all")

    live = dataclasses.replace(options, input="generate://", ledger="stderr:")
    with pytest.raises(UsageError, match="that is all"):
        launch.run("look", SimpleNamespace(build=build), live, ["--prism_location", "unused"], Console())
    assert timedelta(seconds=allowed[0]) > timedelta(days=365)


def test_the_first_ctrl_c_drains_where_something_drains_and_the_second_interrupts() -> None:
    asked: list[str] = []
    with Interruptible(lambda: asked.append("drain")) as person:
        signal.raise_signal(signal.SIGINT)
        assert asked == ["drain"]
        assert not person.interrupted
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert person.interrupted
    with Interruptible() as person, pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert asked == ["drain"]


def test_what_a_run_starts_does_not_hear_ctrl_c() -> None:
    asked: list[str] = []
    ask = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    with Interruptible(lambda: asked.append("drain")) as person:
        with person.unheard():
            signal.raise_signal(signal.SIGINT)
            told = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, check=True).stdout
        assert (told, asked) == ("True\n", [])
        signal.raise_signal(signal.SIGINT)
    assert asked == ["drain"]


@pytest.mark.parametrize(
    ("flags", "here"),
    [
        ("--runner=PrismRunner", True),
        ("--runner=PrismRunner --environment_type=DOCKER", False),
        ("--runner=FlinkRunner", False),
        ("--runner=FlinkRunner --environment_type=LOOPBACK", True),
    ],
)
def test_only_workers_of_this_process_hear_that_they_should_drain(flags: str, here: bool) -> None:
    assert _works_here(PipelineOptions(flags.split())) is here

"""Runs one pipeline to its end: build, run, show its results, and check that no record went missing."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Sequence
from types import ModuleType
from typing import Any, Protocol, Self

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from rich.console import Console

from pipelines.launch.progress import Progress
from pipelines.ledger import read_ledger, show_windows
from pipelines.options import JobOptions, UsageError
from transforms.accounting import Ledger

# Beam's DirectRunner is one of three runners, and may be a download; this is the one in this process, everywhere.
DEFAULT_RUNNER = "FnApiRunner"

_STEP = re.compile(r"(?P<reason>.*) \[while running '(?P<step>.*)'\]", re.DOTALL)


class RunError(Exception):
    """A run that failed, in the words of the step that failed."""


def run_command(name: str, module: ModuleType, arguments: Sequence[str]) -> None:
    """Runs a pipeline module with the arguments of a command line; raises as `run` does."""
    options, flags = module.Options.parse(f"python -m pipelines {name}", module.__doc__ or "", arguments)
    console = Console()
    if hasattr(module, "run"):  # it is made of several jobs
        module.run(options, flags, console)
    else:
        run(name, module, options, flags, console)


class Job(Protocol):
    """A pipeline module: its options, and how its graph is built. `report(options, console)` is optional."""

    Options: type[Any]

    def build(self, pipeline: beam.Pipeline, options: Any) -> None:
        """Adds the steps to a pipeline; ValueError where the options cannot be met."""


def run(name: str, job: Job | ModuleType, options: JobOptions, flags: list[str], console: Console) -> Ledger | None:
    """Runs a job, shows its report and its ledger, and returns the ledger where it was written to a file.

    Raises UsageError where the graph cannot be built, RunError where the run fails or records are missing, and
    KeyboardInterrupt, after a line that says what was done, when a person ends it.
    """
    talk = Console(stderr=True)
    pipeline_options = PipelineOptions(flags)
    runner = pipeline_options.view_as(StandardOptions).runner or DEFAULT_RUNNER
    pipeline = beam.Pipeline(runner=runner, options=pipeline_options)
    try:
        job.build(pipeline, options)
    except ValueError as error:
        raise UsageError(str(error)) from error
    with Interruptible() as person, Progress(talk, name) as progress:
        try:
            pipeline.run().wait_until_finish()
        except BaseException as error:
            if not person.interrupted:
                raise RunError(_reason(error)) from error
            talk.print(
                f"interrupted. {progress.summary()}. What is in its place is complete.", highlight=False, soft_wrap=True
            )
            raise KeyboardInterrupt from error
    report = getattr(job, "report", None)
    if report and options.output != "-":
        report(options, console)
    return _settled(name, options, talk)


class Interruptible:
    """Notices Ctrl-C, which Beam's in-process runner would wrap into an error like any other."""

    def __init__(self) -> None:
        self.interrupted = False

    def __enter__(self) -> Self:
        self._in_main_thread = threading.current_thread() is threading.main_thread()  # the only one that gets signals
        if self._in_main_thread:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._before)

    def _interrupt(self, *_: object) -> None:
        self.interrupted = True
        raise KeyboardInterrupt


def _settled(name: str, options: JobOptions, talk: Console) -> Ledger | None:
    if options.ledger == "stderr:":  # it is on the console already
        return None
    ledger, windows = read_ledger(options.ledger)
    talk.print(f"{name}: {ledger}", highlight=False, soft_wrap=True)
    show_windows(name, windows, options.ledger, talk)
    if ledger.rejected:
        talk.print(f"{name}: rejects, each with its reason, are in {options.rejects}", highlight=False, soft_wrap=True)
    for account in (ledger, *windows):
        if account.missing:
            raise RunError(f"the ledger does not balance: {account}; please report this with {options.ledger}")
    return ledger


def _reason(error: BaseException) -> str:
    """What a step said when it failed, and which step it was."""
    text = str(error) or type(error).__name__
    match = _STEP.fullmatch(text)
    return f"step {match['step']} failed: {match['reason']}" if match else f"{type(error).__name__}: {text}"

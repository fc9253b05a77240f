"""Runs one pipeline to its end: build, run, show its results, and check that no record went missing."""

from __future__ import annotations

import functools
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from types import ModuleType
from typing import Any, Protocol, Self

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import worker_handlers
from rich.console import Console

from pipelines.connectors import draining, has_end
from pipelines.connectors.feeds import Unreachable
from pipelines.connectors.run_state import RunState, keeping
from pipelines.launch import dataflow, prism
from pipelines.launch.command import RunError
from pipelines.launch.describe import describe, proto_of
from pipelines.launch.progress import Progress
from pipelines.ledger import read_ledger, show_windows
from pipelines.options import JobOptions, UsageError
from transforms.accounting import Ledger
from transforms.windows import parse_duration

# Beam's DirectRunner is one of three runners, and may be a download; this is the one in this process, everywhere.
DEFAULT_RUNNER = "FnApiRunner"

# What --runner may say for short.
_SHORT = {"direct": DEFAULT_RUNNER, "prism": prism.RUNNER, "flink": "FlinkRunner", "dataflow": dataflow.RUNNER}

# Seconds. Beam says that its time-out for answers of a runner does not end jobs, and ends each that is longer by it.
_LONGEST = 10 * 365 * 24 * 3600

_STEP = re.compile(r"(?P<reason>.*) \[while running '(?P<step>.*)'\]", re.DOTALL)


class Job(Protocol):
    """A pipeline module: its options, and how its graph is built.

    `report(options, console)`, after the run, is optional, and so is `view(options)`: what --live shows meanwhile.
    """

    Options: type[Any]

    def build(self, pipeline: beam.Pipeline, options: Any) -> None:
        """Adds the steps to a pipeline; ValueError where the options cannot be met."""


def run(name: str, job: Job | ModuleType, options: JobOptions, flags: list[str], console: Console) -> Ledger | None:
    """Runs a job, shows its report and its ledger, and returns the ledger where it was written to a file.

    A run over input without an end drains when a person ends it or its time is over, where its workers are in this
    process: sources end, every window answers, and the ledger is complete. It runs on Prism unless a runner is named.
    A job on Dataflow is submitted and not waited for, and a graph that is only to be described is not run at all.

    Raises UsageError where the graph cannot be built, RunError where the run fails or records are missing, and
    KeyboardInterrupt, after a line that says what was done, when a person ends what does not drain, or ends it twice.
    """
    talk = Console(stderr=True)
    pipeline_options = PipelineOptions(flags)
    asked = pipeline_options.view_as(StandardOptions)
    asked.runner = _SHORT.get(asked.runner, asked.runner) or (
        DEFAULT_RUNNER if has_end(options.input) else prism.RUNNER
    )
    if asked.runner == dataflow.RUNNER:
        dataflow.prepare(name, options, pipeline_options)
        pipeline = _built(job, options, pipeline_options)
        if options.describe:
            describe(name, dataflow.translated(pipeline), pipeline_options, console)
        else:
            dataflow.submit(pipeline, talk)
        return None
    if options.describe:
        describe(name, proto_of(_built(job, options, pipeline_options)), pipeline_options, console)
        return None
    if asked.runner == DEFAULT_RUNNER:
        keep_state_uncached()
    if asked.runner == prism.RUNNER:
        prism.require_prism(pipeline_options, talk)
    if not has_end(options.input):
        pipeline_options.view_as(PortableOptions).job_server_timeout = _LONGEST
    with keeping(_state(options, pipeline_options)) as state:
        _run(name, job, options, pipeline_options, state, talk)
    report = getattr(job, "report", None)
    if report and options.output != "-":
        report(options, console)
    return _settled(name, options, state.ledgers[:-1] if state else [], talk)


def _state(options: JobOptions, pipeline_options: PipelineOptions) -> RunState | None:
    """The state that a run is to keep; UsageError where it cannot."""
    if not options.state:
        return None
    if not _works_here(pipeline_options):
        raise UsageError(f"--state is for runs on Prism, which keeps none, got {options.state}: leave it out")
    try:
        return RunState(options.state, options.policy, options.input, options.ledger)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _run(
    name: str,
    job: Job | ModuleType,
    options: JobOptions,
    pipeline_options: PipelineOptions,
    state: RunState | None,
    talk: Console,
) -> None:
    """Builds the graph and runs it to its end."""
    pipeline = _built(job, options, pipeline_options, state)
    live = not has_end(options.input)
    view = functools.partial(job.view, options) if getattr(options, "live", False) else None  # type: ignore[union-attr]
    drain = _Drain(name, talk) if live and _works_here(pipeline_options) else None
    with Interruptible(drain) as person, Progress(talk, name, view) as progress, _ends_after(options.for_, drain):
        try:
            with person.unheard() if drain else nullcontext():  # a runner that it starts must outlive Ctrl-C
                running = pipeline.run()
            running.wait_until_finish()
        except BaseException as error:
            if not person.interrupted:
                raise RunError(_reason(error)) from error
            talk.print(
                f"interrupted. {progress.summary()}. What is in its place is complete.", highlight=False, soft_wrap=True
            )
            raise KeyboardInterrupt from error


def _built(
    job: Job | ModuleType, options: JobOptions, pipeline_options: PipelineOptions, state: RunState | None = None
) -> beam.Pipeline:
    """The graph; UsageError where it cannot be built, and RunError where that needs a system that is away."""
    try:
        pipeline = beam.Pipeline(options=pipeline_options)
        job.build(pipeline, options)
        if state:
            state.follow()
    except Unreachable as error:
        raise RunError(str(error)) from error
    except ValueError as error:
        raise UsageError(str(error)) from error
    return pipeline


def _works_here(options: PipelineOptions) -> bool:
    """Whether the workers are threads of this process, who hear what it is asked."""
    place = options.view_as(PortableOptions).environment_type
    return place == "LOOPBACK" or (not place and options.view_as(StandardOptions).runner == "PrismRunner")


def keep_state_uncached() -> None:
    """The in-process runner caches no state, which is in this process already.

    To weigh a value for its cache, Beam walks the globals of all modules: that takes longer than most steps with state.
    """
    worker_handlers.STATE_CACHE_SIZE_MB = 0


@contextmanager
def _ends_after(duration: str, drain: Callable[[], None] | None) -> Iterator[None]:
    """Drains after a while, where it is asked for."""
    if not duration:
        yield
        return
    if drain is None:
        raise UsageError(
            f"--for ends live input that is read in this process, got {duration}: leave it out, and end the job itself"
        )
    timer = threading.Timer(parse_duration(duration), drain)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


class _Drain:
    """Asks sources to end, once, and says so."""

    def __init__(self, name: str, talk: Console) -> None:
        self._name, self._talk = name, talk
        draining.forget()

    def __call__(self) -> None:
        if draining.is_asked():
            return
        draining.ask()
        say = f"{self._name}: reading ends and every window answers; Ctrl-C again loses those that are open"
        self._talk.print(say, highlight=False, soft_wrap=True)


class Interruptible:
    """Notices Ctrl-C, which Beam's in-process runner would wrap into an error like any other.

    With `first`, that is called at the first one, and only the second interrupts.
    """

    def __init__(self, first: Callable[[], None] | None = None) -> None:
        self.interrupted = False
        self._first = first

    def __enter__(self) -> Self:
        self._in_main_thread = threading.current_thread() is threading.main_thread()  # the only one that gets signals
        if self._in_main_thread:
            self._before = signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, *_: object) -> None:
        if self._in_main_thread:
            signal.signal(signal.SIGINT, self._before)

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Ctrl-C does nothing to this process, nor to those that it starts, for as long as they live."""
        if not self._in_main_thread:
            yield
            return
        handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, handler)

    def _interrupt(self, *_: object) -> None:
        if self._first:
            first, self._first = self._first, None
            first()
            return
        self.interrupted = True
        raise KeyboardInterrupt


def _settled(name: str, options: JobOptions, before: list[str], talk: Console) -> Ledger | None:
    """Shows the ledger, with the windows of runs `before`; RunError where one misses records."""
    if options.ledger == "stderr:":  # it is on the console already
        return None
    ledger, windows = read_ledger(options.ledger, *before)
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

"""Runs what a command line names: a pipeline, or what is no pipeline and starts without Beam."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType

from rich.console import Console


class RunError(Exception):
    """A run that failed, in the words of the step that failed."""


def run_command(name: str, module: ModuleType, arguments: Sequence[str]) -> None:
    """Runs a pipeline module with the arguments of a command line; raises as `run` does."""
    options, flags = module.Options.parse(f"python -m pipelines {name}", module.__doc__ or "", arguments)
    console = Console()
    if hasattr(module, "run"):  # it is made of several jobs, or of none
        module.run(options, flags, console)
    else:
        from pipelines.launch.job import run  # noqa: PLC0415  takes Beam, and so a second

        run(name, module, options, flags, console)

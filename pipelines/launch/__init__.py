"""Running a pipeline where it should run, and telling a person how it goes."""

from typing import TYPE_CHECKING, Any

from pipelines.launch.command import RunError, run_command

if TYPE_CHECKING:
    from pipelines.launch.job import run

__all__ = ["RunError", "run", "run_command"]


def __getattr__(name: str) -> Any:
    """`run`, when it is asked for: it takes Beam, which a command that runs no pipeline need not wait for."""
    if name == "run":
        from pipelines.launch.job import run  # noqa: PLC0415

        return run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Running a pipeline where it should run, and telling a person how it goes."""

from pipelines.launch.job import RunError, run, run_command

__all__ = ["RunError", "run", "run_command"]

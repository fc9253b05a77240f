"""The command line: `python -m pipelines` lists the pipelines, `python -m pipelines NAME --help` teaches one."""

from __future__ import annotations

import ast
import difflib
import importlib
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from pipelines import launch
from pipelines.options import UsageError

PIPELINES = (
    "trending",
    "word_count",
    "rollup",
    "query",
    "report",
    "plan",
    "template",
    "compact",
    "pubsub_emulator",
    "detect_language",
    "evaluate_language",
    "train_classifier",
    "classify_tweets",
    "replay_rejects",
    "collect_tweets",
    "examine_tweets",
    "train_language",
    "filter_language",
)

USAGE = 2  # the exit codes of a shell: what was asked for cannot be,
FAILED = 1  # the run failed,
INTERRUPTED = 130  # a person ended it


def main(arguments: Sequence[str]) -> int:
    """Runs what the arguments say; returns the exit code."""
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(_listing())  # noqa: T201  this is what was asked for
        return 0
    name, *rest = arguments
    if name not in PIPELINES:
        near = difflib.get_close_matches(name, PIPELINES, n=1)
        return _complain(f"there is no pipeline {name!r}; {f'did you mean {near[0]}?' if near else _listing()}", USAGE)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger().addFilter(_is_news)
    logging.getLogger("apache_beam.io.filesystems").addFilter(_is_news)
    logging.getLogger("apache_beam.utils.subprocess_server").setLevel(logging.ERROR)  # says when a runner starts
    explain = bool(os.environ.get("STREAMSKETCH_TRACEBACK"))
    if not explain:
        logging.getLogger("apache_beam.runners.common").setLevel(logging.CRITICAL)  # says again what is reported below
    try:
        launch.run_command(name, importlib.import_module(f"pipelines.{name}"), rest)
    except UsageError as error:
        return _complain(f"{name}: {error}\n(python -m pipelines {name} --help tells more)", USAGE)
    except launch.RunError as error:
        if explain:
            traceback.print_exc()
        return _complain(f"{name}: {error}\n(STREAMSKETCH_TRACEBACK=1 shows where)", FAILED)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _listing() -> str:
    width = max(map(len, PIPELINES))
    lines = [f"  {name:{width}}  {_sentence(name)}" for name in PIPELINES]
    return "\n".join(["usage: python -m pipelines NAME [--help] [--flag …]", "", *lines])


def _sentence(name: str) -> str:
    """The first line of a pipeline's docstring, without importing it."""
    source = Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]


# What Beam warns of at every start where libraries for Google's services and for GPUs are absent: nobody misses them.
_NO_NEWS = ("apitools not found", "Failed to import GCSFileSystem", "Resource module is not available")


def _is_news(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(_NO_NEWS)


def _complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Makes a store of rollups smaller: windows that are older than an age go, answers about longer spans stay.

    python -m pipelines compact tweets.db --keep 7d,1h:90d

keeps windows for 7 days, spans that are shorter than an hour for 90 days, and longer ones for ever. Ages count from the
end of the latest window. A range that begins and ends with what is kept answers as before; another is refused, and
told the nearest bounds. Spans are 2, 4, 8, … windows long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console

from pipelines.options import Options as BaseOptions
from pipelines.options import UsageError, option
from rollups import Store
from rollups.query import rfc3339
from transforms.windows import parse_duration


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """Which store, and for how long what is kept."""

    store: str = option("the file of the store, or postgresql://user@host/name", bare=True)
    keep: str = option("the age of windows, and that of spans shorter than a length, as 7d,1h:90d,1d:365d")


def run(options: Options, flags: list[str], console: Console) -> None:
    """Deletes what is too old, and says how much that was."""
    if flags:
        raise UsageError(f"compact runs no pipeline, so it takes no flags of Beam, got {' '.join(flags)}")
    try:
        windows, spans = parse_ages(options.keep)
        with Store(options.store) as store:
            dropped = store.keep(windows, spans)
    except (ValueError, FileNotFoundError) as error:
        raise UsageError(str(error)) from error
    console.print(
        f"{dropped.leaves:,} rows of windows and {dropped.nodes:,} of longer spans have gone from {options.store}",
        highlight=False,
        soft_wrap=True,
    )
    if dropped.held:
        console.print(
            f"windows from {rfc3339(dropped.held)} on are kept all the same: one is not over yet, or cannot be read",
            highlight=False,
            soft_wrap=True,
        )


def parse_ages(text: str) -> tuple[timedelta, Mapping[timedelta, timedelta]]:
    """What `Store.keep` takes: the age of windows, and that of spans that are shorter than a length.

    >>> parse_ages("7d,1h:90d")
    (datetime.timedelta(days=7), {datetime.timedelta(seconds=3600): datetime.timedelta(days=90)})
    """
    windows, *others = (part.strip() for part in text.split(","))
    spans = {}
    for other in others:
        length, colon, age = other.partition(":")
        if not colon:
            raise ValueError(f"an age of spans must name their length, as 1h:90d, got {other!r}")
        spans[timedelta(seconds=parse_duration(length))] = timedelta(seconds=parse_duration(age))
    return timedelta(seconds=parse_duration(windows)), spans

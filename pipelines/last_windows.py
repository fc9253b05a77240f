"""The last windows of a store in a table, which --live shows while they close."""

from __future__ import annotations

from datetime import timedelta

from rich.table import Table

from pipelines.results import in_one_line, table
from rollups import Store

_SHOWN = 8


def last_windows(uri: str) -> Table:
    """Counts and measures of all keys together, the last window first; of open windows, what is known by now."""
    with Store(uri) as store:
        bounds = store.bounds()
        if bounds is None:
            return table("No window was told yet", "from (UTC)", rows=[])
        begin = max(bounds[0], bounds[1] - _SHOWN)
        size = timedelta(microseconds=store.window)
        answers = store.query(start=store.moment(begin), end=store.moment(bounds[1]), step=size, open=True)
    rows = [
        (f"{answer.start:%H:%M:%S}", *map(in_one_line, answer.values.values()))
        for answer in reversed(answers.rows)
        if answer.values["count"]
    ]
    return table("", "from (UTC)", *answers.rows[0].values, rows=rows)

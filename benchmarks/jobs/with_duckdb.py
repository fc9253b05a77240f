"""DuckDB: SQL over the file, in its process, with two threads.

The error of its approx_count_distinct is not for the user to choose: it is twice that of the others. Its approx_top_k
tells no counts, so it does not answer J4. It merges no sketches, so that sliding windows see each event twelve times.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.jobs.jobs import Way

_VIEWS = """
CREATE VIEW tumbling AS SELECT epoch_us(time) // 5000000 * 5000000 AS start, * FROM events;
CREATE VIEW sliding AS SELECT (epoch_us(time) // 5000000 - pane) * 5000000 AS start, * FROM events, range(12) AS _(pane)
"""
_APPROX = "approx_count_distinct"
_EXACT = "count(DISTINCT)"

WAYS = [
    Way("J1", "GROUP BY", "SELECT word, count(*) AS count FROM events GROUP BY word"),
    Way(
        "J2a",
        _APPROX,
        "SELECT start, key, approx_count_distinct(user) AS users FROM tumbling GROUP BY start, key",
        "rms",
        0.0325,
    ),
    Way("J2a", _EXACT, "SELECT start, key, count(DISTINCT user) AS users FROM tumbling GROUP BY start, key"),
    Way(
        "J2b",
        _APPROX,
        "SELECT start, many AS key, approx_count_distinct(user) AS users FROM tumbling GROUP BY start, many",
        "rms",
        0.0325,
    ),
    Way("J2b", _EXACT, "SELECT start, many AS key, count(DISTINCT user) AS users FROM tumbling GROUP BY start, many"),
    Way(
        "J2h",
        _APPROX,
        "SELECT start, uneven AS key, approx_count_distinct(user) AS users FROM tumbling GROUP BY start, uneven",
        "rms",
        0.0325,
    ),
    Way(
        "J2h",
        _EXACT,
        "SELECT start, uneven AS key, count(DISTINCT user) AS users FROM tumbling GROUP BY start, uneven",
    ),
    Way(
        "J2s",
        _APPROX,
        "SELECT start, key, approx_count_distinct(user) AS users FROM sliding GROUP BY start, key",
        "rms",
        0.0325,
    ),
    Way("J2s", _EXACT, "SELECT start, key, count(DISTINCT user) AS users FROM sliding GROUP BY start, key"),
    Way(
        "J3",
        "approx_quantile",
        "SELECT start, q[1] AS p50, q[2] AS p99 "
        "FROM (SELECT start, approx_quantile(latency, [0.5, 0.99]) AS q FROM tumbling GROUP BY start)",
        "rank",
        0.0133,
    ),
    Way(
        "J3",
        "quantile_cont",
        "SELECT start, q[1] AS p50, q[2] AS p99 "
        "FROM (SELECT start, quantile_cont(latency, [0.5, 0.99]) AS q FROM tumbling GROUP BY start)",
        "rank",
    ),
    Way(
        "J5",
        "approx_count_distinct, approx_quantile, approx_top_k",
        "SELECT start, key, count, users, q[1] AS p50, q[2] AS p99, words FROM (SELECT start, key, "
        "count(*) AS count, approx_count_distinct(user) AS users, approx_quantile(latency, [0.5, 0.99]) AS q, "
        "approx_top_k(word, 20) AS words FROM tumbling GROUP BY start, key)",
        "rank",
        0.0133,
    ),
    Way("J4", "ORDER BY, LIMIT", "SELECT word, count(*) AS count FROM events GROUP BY word ORDER BY 2 DESC LIMIT 20"),
]


class System:
    """Does the jobs on a file of events."""

    def __init__(self, path: Path, events: int) -> None:
        del events  # all of the file
        self._connection = duckdb.connect(config={"threads": 2})
        self._connection.read_parquet(str(path)).create_view("events")
        self._connection.execute(_VIEWS)

    def versions(self) -> str:
        """What it runs on."""
        return f"DuckDB {duckdb.__version__}, 2 threads"

    def answer(self, way: Way, folder: Path) -> None:
        """Writes the answers of a way into a folder."""
        folder.mkdir(parents=True)
        self._connection.sql(way.ask).write_parquet(str(folder / "answers.parquet"))

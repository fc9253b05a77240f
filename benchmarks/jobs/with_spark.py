"""Spark: SQL over the file, in a JVM of its own with two cores.

Most like ours are hll_sketch_agg and kll_sketch_agg_double: DataSketches' sketches, whose bytes merge; with as many
registers approx_count_distinct is Spark's own. A window that slides is asked for as one does, with window(), and as one
who knows sketches might: a sketch for each pane of 5 s, and their union for each window. Shuffles have two partitions
rather than 200, which is quicker here.
"""

from __future__ import annotations

from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from benchmarks.jobs.jobs import Way

_SETTINGS = {
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.memory": "4g",
    "spark.log.level": "ERROR",
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.shuffle.partitions": "2",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
}
_VIEWS = (
    "CREATE TEMPORARY VIEW tumbling AS SELECT unix_micros(window(time, '5 seconds').start) AS start, * FROM events",
    "CREATE TEMPORARY VIEW sliding AS "
    "SELECT unix_micros(window(time, '60 seconds', '5 seconds').start) AS start, * FROM events",
    "CREATE TEMPORARY VIEW panes AS "
    "SELECT start AS pane, key, hll_sketch_agg(user, 12) AS sketch FROM tumbling GROUP BY start, key",
)
_DATASKETCHES = "hll_sketch_agg"
_OWN = "approx_count_distinct"
_REGISTERS = 0.0163  # the standard error of 4,096; Spark takes as many for an error of 0.0173

WAYS = [
    Way("J1", "GROUP BY", "SELECT word, count(*) AS count FROM events GROUP BY word"),
    Way(
        "J2a",
        _DATASKETCHES,
        "SELECT start, key, hll_sketch_estimate(hll_sketch_agg(user, 12)) AS users FROM tumbling GROUP BY start, key",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2a",
        _OWN,
        "SELECT start, key, approx_count_distinct(user, 0.0173) AS users FROM tumbling GROUP BY start, key",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2b",
        _DATASKETCHES,
        "SELECT start, many AS key, hll_sketch_estimate(hll_sketch_agg(user, 12)) AS users "
        "FROM tumbling GROUP BY start, many",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2b",
        _OWN,
        "SELECT start, many AS key, approx_count_distinct(user, 0.0173) AS users FROM tumbling GROUP BY start, many",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2h",
        _DATASKETCHES,
        "SELECT start, uneven AS key, hll_sketch_estimate(hll_sketch_agg(user, 12)) AS users "
        "FROM tumbling GROUP BY start, uneven",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2h",
        _OWN,
        "SELECT start, uneven AS key, approx_count_distinct(user, 0.0173) AS users "
        "FROM tumbling GROUP BY start, uneven",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2s",
        _DATASKETCHES,
        "SELECT start, key, hll_sketch_estimate(hll_sketch_agg(user, 12)) AS users FROM sliding GROUP BY start, key",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2s",
        _OWN,
        "SELECT start, key, approx_count_distinct(user, 0.0173) AS users FROM sliding GROUP BY start, key",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J2s",
        "hll_union_agg of panes",
        "SELECT start, key, hll_sketch_estimate(hll_union_agg(sketch)) AS users FROM panes "
        "LATERAL VIEW explode(sequence(pane - 55000000, pane, 5000000)) AS start GROUP BY start, key",
        "rms",
        _REGISTERS,
    ),
    Way(
        "J3",
        "kll_sketch_agg_double",
        "SELECT start, q[0] AS p50, q[1] AS p99 FROM (SELECT start, "
        "kll_sketch_get_quantile_double(kll_sketch_agg_double(latency, 200), array(0.5D, 0.99D)) AS q "
        "FROM tumbling GROUP BY start)",
        "rank",
        0.0133,
    ),
    Way(
        "J3",
        "percentile_approx, accuracy 75",
        "SELECT start, q[0] AS p50, q[1] AS p99 FROM (SELECT start, "
        "percentile_approx(latency, array(0.5, 0.99), 75) AS q FROM tumbling GROUP BY start)",
        "rank",
        1 / 75,
    ),
    Way(
        "J3",
        "percentile_approx, accuracy 10,000",  # which it has unless told otherwise
        "SELECT start, q[0] AS p50, q[1] AS p99 FROM (SELECT start, "
        "percentile_approx(latency, array(0.5, 0.99)) AS q FROM tumbling GROUP BY start)",
        "rank",
        1 / 10_000,
    ),
    Way(
        "J4",
        "approx_top_k",
        "SELECT top.item AS word, top.count FROM (SELECT explode(approx_top_k(word, 20, 1536)) AS top FROM events)",
        "share",
        1 / 1536,
    ),
    Way(
        "J4",
        "ORDER BY, LIMIT",
        "SELECT word, count(*) AS count FROM events GROUP BY word ORDER BY count DESC LIMIT 20",
    ),
    Way(
        "J5",
        "hll_sketch_agg, kll_sketch_agg_double, approx_top_k",
        "SELECT start, key, count, users, q[0] AS p50, q[1] AS p99, top.item AS words FROM (SELECT start, key, "
        "count(*) AS count, hll_sketch_estimate(hll_sketch_agg(user, 12)) AS users, "
        "kll_sketch_get_quantile_double(kll_sketch_agg_double(latency, 200), array(0.5D, 0.99D)) AS q, "
        "approx_top_k(word, 20, 400) AS top FROM tumbling GROUP BY start, key)",
        "rank",
        0.0133,
    ),
    Way(
        "J5",
        "approx_count_distinct, percentile_approx, approx_top_k",
        "SELECT start, key, count, users, q[0] AS p50, q[1] AS p99, top.item AS words FROM (SELECT start, key, "
        "count(*) AS count, approx_count_distinct(user, 0.0173) AS users, "
        "percentile_approx(latency, array(0.5, 0.99), 75) AS q, "
        "approx_top_k(word, 20, 400) AS top FROM tumbling GROUP BY start, key)",
        "rank",
        0.0133,
    ),
]


class System:
    """Does the jobs on a file of events."""

    def __init__(self, path: Path, events: int) -> None:
        del events  # all of the file
        builder = SparkSession.builder.master("local[2]").appName("jobs")
        for name, value in _SETTINGS.items():
            builder = builder.config(name, value)
        self._session = builder.getOrCreate()
        self._session.read.parquet(str(path)).createOrReplaceTempView("events")
        for view in _VIEWS:
            self._session.sql(view)

    def versions(self) -> str:
        """What it runs on."""
        java = self._session.sql("SELECT reflect('java.lang.System', 'getProperty', 'java.version')").first()[0]
        return f"Spark {pyspark.__version__} local[2], Java {java}"

    def answer(self, way: Way, folder: Path) -> None:
        """Writes the answers of a way into a folder."""
        self._session.sql(way.ask).write.parquet(str(folder))

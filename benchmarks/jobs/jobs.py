"""The work, said once: questions to one file of events, and what every system must answer.

    J1   how often each word came, over the whole file
    J2a  how many different users, for each of 10 keys and each window of 5 s
    J2b  the same for 10,000 keys: 1.2 million answers, of some eight events each where there are 10 million
    J2h  the same for 10,000 keys of which one holds half of the events
    J2s  the same for 10 keys and windows of 60 s, a new one every 5 s: each event lies in twelve of them
    J3   the median and the 99th percentile of the latency, for each window of 5 s
    J4   the 20 most frequent words of the whole file, and how often each came
    J5   all in one pass, for each of 10 keys and each window of 5 s: how many events and different users, the median
         and the 99th percentile of the latency, the 20 most frequent words

Every system reads the same Parquet file, as it comes, and writes its answers to Parquet. Both belong to the time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Question: TypeAlias = Literal["count", "distinct", "quantiles", "top", "rollup"]

TOP = 20
QUANTILES = (0.5, 0.99)
COLUMNS: dict[Question, list[str]] = {  # of answers; `start` is the window's, in microseconds since 1970
    "count": ["word", "count"],
    "distinct": ["start", "key", "users"],
    "quantiles": ["start", "p50", "p99"],
    "top": ["word", "count"],
    "rollup": ["start", "key", "count", "users", "p50", "p99", "words"],
}


@dataclass(frozen=True)
class Job:
    """A question, about windows as a WindowPolicy reads them, for each value of a column `key` if there is one."""

    question: Question
    column: str
    window: str = "all"
    key: str | None = None


JOBS = {
    "J1": Job("count", "word"),
    "J2a": Job("distinct", "user", "5s", "key"),
    "J2b": Job("distinct", "user", "5s", "many"),
    "J2h": Job("distinct", "user", "5s", "uneven"),
    "J2s": Job("distinct", "user", "60s/5s", "key"),
    "J3": Job("quantiles", "latency", "5s"),
    "J4": Job("top", "word"),
    "J5": Job("rollup", "latency", "5s", "key"),
}

# What an answer may be off by: nothing; a relative standard error, over all groups; a part of the value; a part of all
# ranks; a part of all events.
Off: TypeAlias = Literal["exact", "rms", "value", "rank", "share"]


@dataclass(frozen=True)
class Way:
    """How a system does a job, and how far off it may be: no time is believed of answers that are further off.

    `ask` is what the system needs to know: a query, a transform. Slow ways do the first 1 / `share` of the events.
    """

    job: str
    name: str
    ask: Any
    off: Off = "exact"
    error: float = 0.0
    share: int = 1

"""What is true: answers are compared with exact ones before their time is believed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.jobs.jobs import QUANTILES, TOP, Job, Way

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

_PERIOD = 5_000_000  # microseconds from one window to the next
_PANES = {"5s": 1, "60s/5s": 12}  # of a window
_OUTLIER = 6.0  # standard errors
_LIMITS = {"exact": 1.0, "rms": 1.2, "value": 1.0, "rank": 2.0, "share": 1.0}  # of the error that a way states


class WrongAnswersError(ValueError):
    """Groups are missing, or answers are further off than they may be."""


class Truth:
    """The exact answers to a job about the first `events` rows of a file."""

    def __init__(self, job: Job, path: Path, events: int) -> None:
        self._question = job.question
        self._events = events
        columns = {"time", job.column, *([job.key] if job.key else [])}
        columns |= {"user", "word"} if job.question == "rollup" else set()
        table = pq.read_table(path, columns=sorted(columns)).slice(0, events)
        match job.question:
            case "count" | "top":
                self._counts = _counts(table["word"])
            case "distinct":
                panes = _int64(table["time"]) // _PERIOD
                keys, users = _int64(table[job.key]), _int64(table[job.column])
                self._groups, self._users = _distinct(panes, keys, users, _PANES[job.window])
            case "quantiles":
                self._starts, self._latencies = _sorted_by_pane(_int64(table["time"]), table[job.column].to_numpy())
            case "rollup":
                self._rollup = _by_group(table)

    def error_of(self, way: Way, answers: Path) -> float:
        """How far off the answers in a file or folder are, in the terms of the way.

        Raises WrongAnswersError unless there is one answer for each group, and none is further off than it may be.
        """
        table = pq.read_table(answers)
        match self._question:
            case "count":
                error = self._off_counts(table)
            case "top":
                error = self._off_top(table)
            case "distinct":
                error = self._off_distinct(table, way)
            case "quantiles":
                error = self._off_quantiles(table, way)
            case "rollup":
                error = self._off_rollup(table, way)
        if not error <= _LIMITS[way.off] * way.error:
            raise WrongAnswersError(f"off by {error:.3%} ({way.off}), allowed are {_LIMITS[way.off] * way.error:.3%}")
        return error

    def _off_counts(self, answers: pa.Table) -> float:
        told = dict(zip(answers["word"].to_pylist(), answers["count"].to_pylist(), strict=True))
        _require(answers.num_rows == len(told) and told.keys() == self._counts.keys(), "the words are not those told")
        return float(max(abs(count - self._counts[word]) for word, count in told.items()))

    def _off_top(self, answers: pa.Table) -> float:
        """As a share of all events: the largest error of a count, or of taking a word for a more frequent one."""
        told = dict(zip(answers["word"].to_pylist(), answers["count"].to_pylist(), strict=True))
        _require(answers.num_rows == len(told) == TOP, f"there must be {TOP} words, got {answers.num_rows}")
        least = sorted(self._counts.values())[-TOP]
        wrong = [max(abs(count - self._counts[word]), least - self._counts[word]) for word, count in told.items()]
        return float(max(wrong)) / self._events

    def _off_distinct(self, answers: pa.Table, way: Way) -> float:
        """Root mean square of the relative errors."""
        groups = _group(_int64(answers["start"]) // _PERIOD, _int64(answers["key"]))
        order = np.argsort(groups)
        _require(np.array_equal(groups[order], self._groups), "windows and keys are not those of the events")
        off: Floats = answers["users"].to_numpy()[order] - self._users
        # Where there are few, two that fall into one register are a large part: those may be wrong by two.
        worst = float((np.abs(off) - _OUTLIER * way.error * self._users).max())
        _require(worst <= 2, f"an answer is off by {worst:.1f} more than {_OUTLIER:g} standard errors")
        return float(np.sqrt(np.mean((off / self._users) ** 2)))

    def _off_quantiles(self, answers: pa.Table, way: Way) -> float:
        """The largest error, of the value or of the rank."""
        order = np.argsort(_int64(answers["start"]))
        _require(np.array_equal(_int64(answers["start"])[order], self._starts), "windows are not those of the events")
        off = _off_rank if way.off == "rank" else _off_value
        return max(
            off(values, told, q)
            for q, column in zip(QUANTILES, ("p50", "p99"), strict=True)
            for values, told in zip(self._latencies, answers[column].to_numpy()[order].tolist(), strict=True)
        )

    def _off_rollup(self, answers: pa.Table, way: Way) -> float:
        """The largest error of a quantile, where counts are exact, and users and words as near as sketches can be."""
        off = _off_rank if way.off == "rank" else _off_value
        told = answers.to_pylist()
        groups = {(row["start"], row["key"]) for row in told}
        _require(len(told) == len(groups) and groups == self._rollup.keys(), "windows and keys are not those told")
        worst = 0.0
        for row in told:
            count, users, latencies, words = self._rollup[row["start"], row["key"]]
            _require(row["count"] == count, f"{count} events were counted as {row['count']}")
            _require(abs(row["users"] / users - 1) <= _OUTLIER * 0.0325, f"{users} users were told as {row['users']}")
            most = min(TOP, len(words))
            least = sorted(words.values())[-most] - count / 400
            rare = [word for word in row["words"] if words[word] < least]
            _require(len(set(row["words"])) == most and not rare, f"words are told as frequent that are not: {rare}")
            for q, name in zip(QUANTILES, ("p50", "p99"), strict=True):
                worst = max(worst, off(latencies, row[name], q))
        return worst


_Group: TypeAlias = tuple[int, int, Floats, Counter[str]]  # events, users, sorted latencies, words


def _by_group(table: pa.Table) -> dict[tuple[int, int], _Group]:
    """What is true of each window, by its start, and key."""
    panes = _int64(table["time"]) // _PERIOD
    groups = _group(panes, _int64(table["key"]))
    order = np.argsort(groups, kind="stable")
    users, latencies = (table[name].to_numpy()[order] for name in ("user", "latency"))
    words = table["word"].combine_chunks().take(pa.array(order))
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    true = {}
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        pane, key = divmod(int(groups[order[start]]), 2**20)
        counts = words.slice(start, end - start).value_counts()
        true[pane * _PERIOD, key] = (
            int(end - start),
            len(np.unique(users[start:end])),
            np.sort(latencies[start:end]),
            Counter(dict(zip(*(counts.field(name).to_pylist() for name in ("values", "counts")), strict=True))),
        )
    return true


def _counts(words: pa.ChunkedArray) -> dict[Any, int]:
    encoded = words.combine_chunks().dictionary_encode()
    counts = np.bincount(encoded.indices.to_numpy())
    return dict(zip(encoded.dictionary.to_pylist(), counts.tolist(), strict=True))


def _distinct(panes: Ints, keys: Ints, users: Ints, length: int) -> tuple[Ints, Ints]:
    """Groups in order, and how many users each has, where a window is so many panes long.

    A user counts in all windows that hold a pane where the user is seen, less those that hold the one before as well.
    """
    first, width = int(panes.min()), int(np.ptp(panes)) + 1
    seen = np.sort((keys * (int(users.max()) + 1) + users) * width + panes - first)
    who, pane = np.divmod(seen[np.diff(seen, prepend=-1) != 0], width)
    again = np.diff(who, prepend=-1) == 0
    since = np.where(again, np.maximum(pane, np.roll(pane, 1) + length), pane)
    key, cells = who // (int(users.max()) + 1), width + length
    rises = np.bincount(key * cells + since, minlength=(int(keys.max()) + 1) * cells)
    falls = np.bincount(key * cells + pane + length, minlength=(int(keys.max()) + 1) * cells)
    users_of = np.cumsum((rises - falls).reshape(-1, cells), axis=1)  # by key and window
    key, window = np.nonzero(users_of)
    groups = _group(first + window - length + 1, key)
    order = np.argsort(groups)
    return groups[order], users_of[key, window][order]


def _sorted_by_pane(times: Ints, values: Floats) -> tuple[Ints, list[Floats]]:
    panes = times // _PERIOD
    order = np.lexsort((values, panes))
    starts, firsts = np.unique(panes[order], return_index=True)
    return starts * _PERIOD, np.split(values[order], firsts[1:])


def _off_rank(values: Floats, told: float, q: float) -> float:
    """As a part of all ranks; to lie between two neighbours of the rank is not off."""
    low, high = np.searchsorted(values, told, "left") - 1, np.searchsorted(values, told, "right") + 1
    return float(max(0.0, low / len(values) - q, q - high / len(values)))


def _off_value(values: Floats, told: float, q: float) -> float:
    """Relative to the value of the rank, or to the nearer of the two that it lies between."""
    rank = q * (len(values) - 1)
    near = values[[int(np.floor(rank)), int(np.ceil(rank))]]
    return float((np.abs(told - near) / near).min())


def _group(panes: Ints, keys: Ints) -> Ints:
    return panes * 2**20 + keys


def _int64(column: pa.ChunkedArray) -> Ints:
    values: Ints = pc.cast(column, pa.int64()).to_numpy()
    return values


def _require(holds: bool, complaint: str) -> None:
    if not holds:
        raise WrongAnswersError(complaint)

"""A thousand ranges of time and choices of keys, of what rollup has kept: they answer as the events themselves do."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import re
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from pipelines import launch, rollup
from rollups import Store
from rollups.query import Answer
from transforms.sketches import Estimate

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
PAGES = 5
MEASURES = (
    "sum:bytes", "mean:ms", "min:ms", "max:ms", "distinct:user@0.05", f"top:page={PAGES}",
    "quantiles:ms=0.1,0.5,0.99", "loghist:ms=0.1,0.5,0.99",
)  # fmt: skip
KINDS = {"count", "sum:bytes", "mean:ms", "min:ms", "max:ms", "distinct:user", "top:page", "quantiles:ms", "loghist:ms"}
BIT_STABLE = {"sum:bytes": "bytes", "mean:ms": "ms", "distinct:user": "user", "loghist:ms": "ms"}
LOG = pa.schema(
    {"at": pa.timestamp("us", tz="UTC"), "user": pa.string(), "page": pa.list_(pa.string()), "bytes": pa.int64(),
     "ms": pa.float64()}
)  # fmt: skip


def generated(events: int, windows: int, seed: int) -> pa.Table:
    """Events whose users, pages and keys are skewed: some are everywhere, most are rare."""
    chance = np.random.default_rng(seed)
    columns = [
        int(NOON.timestamp()) * SECOND + chance.integers(0, windows * 10 * SECOND, events),
        chance.zipf(1.2, events).clip(max=10**9).astype(str),
        [[f"/{page}", "/"] if page % 7 else [] for page in chance.zipf(1.3, events).clip(max=2000).tolist()],
        chance.integers(-(2**20), 2**40, events),
        chance.lognormal(3, 1.5, events) - 2,
    ]
    arrays = [pa.array(column, kind) for column, kind in zip(columns, LOG.types, strict=True)]
    keys = {"lang": chance.choice(["en", "ja"], events, p=[0.8, 0.2]), "device": chance.choice(["1", "2"], events)}
    return pa.Table.from_arrays(arrays, schema=LOG).append_column("lang", [keys["lang"]]).append_column(
        "device", [keys["device"]]
    )  # fmt: skip


def tweets() -> pa.Table:
    """Tweets, with their words as pages and their lengths as numbers."""
    with gzip.open(Path(os.environ["STREAMSKETCH_TWEETS"], "stream-2014-07.jsonl.gz"), "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = [row["text"] for row in rows]
    columns = {
        "at": [datetime.fromisoformat(row["created_at"]) for row in rows],
        "user": [row["id"] for row in rows],
        "page": [re.findall(r"\w+", text) for text in texts],
        "bytes": [len(text.encode()) for text in texts],
        "ms": [float(len(text)) for text in texts],
        "lang": [row["lang"] for row in rows],
        "device": ["reply" if text.startswith("@") else "tweet" for text in texts],
    }
    return pa.table(columns, LOG.append(pa.field("lang", pa.string())).append(pa.field("device", pa.string())))


class Events:
    """The events themselves, to answer from by looking at each."""

    def __init__(self, table: pa.Table, window: timedelta) -> None:
        self.table, self.window = table.sort_by("at"), window
        self.places = self.table["at"].cast(pa.int64()).to_numpy() // (window // timedelta(microseconds=1))

    def inside(self, start: datetime, end: datetime, keys: Mapping[str, str]) -> pa.Table:
        first, stop = np.searchsorted(self.places, [(moment - EPOCH) // self.window for moment in (start, end)])
        rows = self.table.slice(first, stop - first)
        for name, value in keys.items():
            rows = rows.filter(pc.equal(rows[name], value))
        return rows


class Rate:
    """How often what is told with some confidence holds; what is told as certain must."""

    def __init__(self) -> None:
        self.told = self.right = 0

    def note(self, estimate: Estimate, true: float) -> None:
        holds = estimate.low <= true <= estimate.high
        assert holds or estimate.confidence < 1.0, f"{true} must be within {estimate!r}"
        self.told += estimate.confidence < 1.0
        self.right += holds and estimate.confidence < 1.0


class Check:
    """Asserts that answers are what events say, and counts how often estimates are right."""

    def __init__(self, store: Store) -> None:
        self.measures = store.measures
        self.rates = {name: Rate() for name in KINDS}

    def __call__(self, row: Answer, rows: pa.Table) -> None:
        for name, value in row.values.items():
            sketch, rate = row.sketches[name], self.rates[name]
            ms = np.sort(rows["ms"].to_numpy())
            if column := BIT_STABLE.get(name):
                one = self.measures[name].empty.copy()
                one.add_many(rows[column])
                assert sketch == one, f"{name} must be, bit for bit, one sketch of all events"
            match name:
                case "count":
                    assert value == len(rows)
                case "sum:bytes":
                    assert value == (pc.sum(rows["bytes"]).as_py() or 0)
                case "mean:ms":
                    assert value == pytest.approx(ms.mean(), rel=1e-12) if ms.size else math.isnan(value)
                case "min:ms" | "max:ms":
                    assert value == ((ms[0] if name == "min:ms" else ms[-1]) if ms.size else None)
                    assert sketch.count == ms.size
                    assert ms.size < 2 or sketch.variance == pytest.approx(ms.var(ddof=1), rel=1e-9, abs=1e-9)
                case "distinct:user":
                    rate.note(value, len(pc.unique(rows["user"])))
                case "top:page":
                    counts = Counter(pc.list_flatten(rows["page"].combine_chunks()).to_pylist())
                    for page, estimate in value:
                        rate.note(estimate, counts[page])
                        assert estimate.high - estimate.low <= counts.total() / (20 * PAGES + 1)
                    least = value[-1][1].high if len(value) == PAGES else sketch.uncertainty  # what is not held
                    assert {page for page, count in counts.items() if count > least} <= {page for page, _ in value}
                case "quantiles:ms" | "loghist:ms":
                    assert list(value) == ([0.1, 0.5, 0.99] if ms.size else [])
                    for q, estimate in value.items():
                        rate.note(estimate, float(np.quantile(ms, q, method="inverted_cdf")))


def check_any_range(table: pa.Table, window: timedelta, folder: Path, *, confident: int) -> None:
    """Rolls events up, and asserts every window and 1,000 ranges, `confident` estimates of each kind among them."""
    pq.write_table(table, folder / "events.parquet")
    options = rollup.Options(
        input=str(folder / "events.parquet"), event_time="at", by="lang,device", measure=MEASURES,
        window=rollup.WindowPolicy(f"{window.seconds}s"), store=str(folder / "store.db"),
    )  # fmt: skip
    ledger = launch.run("rollup", rollup, options, [], Console(quiet=True))
    assert ledger is not None
    assert (ledger.read, ledger.used) == (len(table), len(table))
    events, chance = Events(table, window), random.Random(1)
    with Store(str(folder / "store.db")) as store:
        check, (first, end) = Check(store), store.bounds() or (0, 0)
        assert store.measures.keys() == KINDS
        told = 0
        for row in store.query(by=("lang", "device"), step=window):
            rows = events.inside(row.start, row.end, row.group)
            check(row, rows)
            told += len(rows)
        assert told == len(table)
        for _ in range(1000):
            begin, stop = sorted(chance.sample(range(first, end + 1), 2))
            start, until = EPOCH + begin * window, EPOCH + stop * window
            measures = chance.sample(sorted(KINDS), 2)
            by = chance.sample(["lang", "device"], chance.randrange(3))
            (example,) = table.slice(chance.randrange(len(table)), 1).select(["lang", "device"]).to_pylist()
            where = {name: example[name] for name in chance.sample(["lang", "device"], chance.randrange(3))}
            answers = store.query(measures=measures, start=start, end=until, by=by, where=where)
            assert answers.reads <= 2 * store.key_count() * max(2 * (stop - begin).bit_length() - 2, 1)
            told = 0
            for row in answers:
                assert (row.start, row.end) == (start, until)
                rows = events.inside(start, until, {**where, **row.group})
                check(row, rows)
                told += len(rows)
            assert told == len(events.inside(start, until, where))  # each group is there
    for name, confidence in (("distinct:user", 0.95), ("quantiles:ms", 0.99)):
        rate = check.rates[name]
        assert rate.told >= confident
        assert rate.right >= confidence * rate.told, f"{name} is right {rate.right} times of {rate.told}"


def test_a_thousand_ranges_of_a_generated_log(tmp_path: Path) -> None:
    check_any_range(generated(20_000, windows=200, seed=1), timedelta(seconds=10), tmp_path, confident=100)


@pytest.mark.rollups
def test_a_thousand_ranges_of_a_million_events(tmp_path: Path) -> None:
    check_any_range(generated(1_000_000, windows=2_000, seed=2), timedelta(seconds=10), tmp_path, confident=300)


@pytest.mark.tweets
def test_a_thousand_ranges_of_real_tweets(tmp_path: Path) -> None:
    check_any_range(tweets(), timedelta(hours=1), tmp_path, confident=100)

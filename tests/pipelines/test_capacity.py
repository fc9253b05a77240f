"""Capacity: the arithmetic against a count by hand, and partial sketches against what bundles make."""

from __future__ import annotations

import io
import re

import pyarrow as pa
import pytest
from rich.console import Console

from pipelines import plan
from pipelines.capacity import BUNDLE, PROCESS_BYTES, UNITING, Load, capacity, cost, parse_rate
from pipelines.options import UsageError
from rollups.planning import partial_bytes
from transforms.sketches import Count, HyperLogLog, Kll, sketch_column

LOAD = Load(rate=1_000_000, keys=1000, window=10, lateness=5, checkpoint=30, busy=0.5)


def test_cores_do_all_that_there_is_to_do() -> None:
    needed = capacity(LOAD, cpu=2.0, measures=[lambda _: 100.0, lambda _: 50.0])
    partials = 1000 * needed.cores / BUNDLE
    work = 2.0 + partials * UNITING * 2
    assert needed.cores - 1 < work / 0.5 <= needed.cores
    assert needed.state_bytes == pytest.approx(partials * 15 * 150)
    assert needed.checkpoint_bytes == pytest.approx(needed.state_bytes / 30)
    assert needed.memory_bytes == pytest.approx(needed.cores * PROCESS_BYTES + partials * 150 + needed.state_bytes)


def test_what_is_united_is_never_more_than_what_came() -> None:
    many = Load(rate=1_000_000, keys=10**9, window=10)
    needed = capacity(many, cpu=2.0, measures=[lambda values: 100.0 * values])
    assert many.partials(needed.cores) == 1_000_000
    assert needed.cores == -(-(2.0 + UNITING * 1e6) // 0.6)
    assert needed.state_bytes == pytest.approx(1_000_000 * 10 * 100)


def test_twice_the_rate_takes_twice_the_cores_and_idle_cores_cost() -> None:
    def cores(**changed: float) -> int:
        return capacity(Load(**{"rate": 10e6, "keys": 10, "window": 10, **changed}), 3.0, []).cores  # type: ignore[arg-type]

    assert cores() == 50
    assert cores(rate=20e6) == 100
    assert cores(busy=0.3) == 100
    assert cores(busy=1.0) == 30


def test_an_hour_costs_what_its_cores_and_its_memory_cost() -> None:
    needed = capacity(LOAD, 2.0, [])
    assert cost(needed, 0.05, 0.0) == pytest.approx(needed.cores * 0.05)
    assert cost(needed, 0.0, 0.01) == pytest.approx(needed.memory_bytes / 1e9 * 0.01)


@pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"keys": 0}, {"busy": 0.0}, {"busy": 1.1}, {"window": 0.0}])
def test_a_load_that_cannot_be_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"more than 0"):
        Load(**{"rate": 1.0, "keys": 1, "window": 1.0, **wrong})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "rate"), [("7", 7), ("20k", 20_000), ("2.5M", 2_500_000), ("86400/d", 1), ("8.64G/d", 1e5), ("3M/s", 3e6)]
)
def test_rates_are_read(text: str, rate: float) -> None:
    assert parse_rate(text) == pytest.approx(rate)


@pytest.mark.parametrize("text", ["", "many", "2.5MM", "-1", "0", "1/h", "inf", "k", "1e400"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a rate is a number of events a second"):
        parse_rate(text)


@pytest.mark.parametrize("empty", [Count(), HyperLogLog(14), Kll(200)])
def test_a_partial_is_as_large_as_one_that_is_made(empty: Count | HyperLogLog | Kll) -> None:
    keys, each = 300, 7
    values = pa.array([float(n) for n in range(keys * each)])
    column = sketch_column(empty, values, [n % keys for n in range(keys * each)], keys)
    assert partial_bytes(empty, each) == pytest.approx(len(column.to_bytes()) / keys, rel=0.15, abs=0.5)


def told(**changed: object) -> str:
    console = Console(record=True, width=200, file=io.StringIO())
    plan.run(plan.Options(**{"measure": ("distinct:user@0.05",), "keep": "1d", **changed}), [], console)  # type: ignore[arg-type]
    return console.export_text()


def test_the_command_tells_cores_memory_checkpoints_and_a_price() -> None:
    text = told(rate="2.5M", keys=1000, received="pubsub", core_price=0.1)
    assert "25,000 values of each key in each window" in text
    cores = int(re.findall(r"million: (\d+) cores", text)[0])
    assert 22 <= cores <= 30  # 5.1 s of receiving and decoding, .5 of measuring, at 60 %
    assert f"An hour costs {cores * 0.1:.2f}" in text
    assert "checkpoints a second, every 60s" in text


def test_it_says_what_was_never_measured() -> None:
    assert "(without sum:number, of which no time was measured)" in told(rate="1k", measure=("sum:number",))


def test_without_a_rate_nothing_is_told_of_cores() -> None:
    assert "cores" not in told()


def test_a_window_that_one_core_cannot_unite_asks_for_shards() -> None:
    assert "MeasureBatches(shards=" in told(rate="20M", keys=100_000, record="arrow")


def test_a_wrong_rate_is_a_mistake_of_use() -> None:
    with pytest.raises(UsageError, match="a rate is a number"):
        told(rate="lots")

"""Tells what a store of rollups will take, before there is one: which sketches, bytes a day, reads for a query.

    python -m pipelines plan --error 0.01 --keys 10000 --window 10s --keep 90d --values 20
    python -m pipelines plan --rate 2.5M --keys 10000 --received pubsub --checkpoint 60s

With --rate it tells, too, what the pipeline takes while it runs: cores, memory and checkpoints, and with prices the
cost of an hour. Then --values follows from it. docs/capacity.md tells how that is reckoned.

Measures are named as for rollup (--measure distinct:user@0.02); without one there is one of each kind. --error is for
those that name none. What is told is the most it can be: as if each key had so many values in each window, all of them
different. Bytes are those of the sketch of a window and key, and of all that the store holds of a day. CPU is for a
million events: to measure them, as the benchmarks of docs/performance.md once took; to write their windows, as here and
now.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Literal, cast

from rich.console import Console

from pipelines.capacity import DECODING, RECEIVING, Load, capacity, cost, parse_rate
from pipelines.options import Options as BaseOptions
from pipelines.options import UsageError, option
from pipelines.results import table
from rollups import StoredMeasure
from rollups.planning import Plan, partial_bytes, plan
from transforms.sketches import Question, Sketch
from transforms.windows import parse_duration

_ONE_OF_EACH = (
    "sum:number", "max:number", "distinct:item", "top:item=20", "quantiles:number=0.5,0.99",
    "loghist:number=0.5,0.99",
)  # fmt: skip
_WITH_ERROR = ("distinct:", "top:", "quantiles:", "loghist:")


@dataclass(frozen=True, kw_only=True)
class Options(BaseOptions):
    """What is to be kept, of how much, and for how long."""

    error: float = option("the error of measures that name none", default=0.01)
    keys: int = option("how many different keys there are", default=1)
    values: int = option("how many values a key has in a window", default=100)
    window: str = option("the size of windows", default="10s")
    keep: str = option("how long they are kept", default="90d")
    rate: str = option("how many events come a second, as 2.5M, or a day, as 2G/d", default="")
    record: Literal["json", "arrow"] = option(
        "what events come as: JSON of 200 bytes, or Arrow batches", default="json"
    )
    received: Literal["none", "pubsub"] = option(
        "what hands them over, where that takes time of its own", default="none"
    )
    lateness: str = option("how long windows wait for what is late", default="10s")
    checkpoint: str = option("how long it is from one checkpoint to the next", default="60s")
    busy: float = option("how much of a core's time may be used", default=0.6)
    core_price: float = option("what a core costs an hour", default=0.0)
    gigabyte_price: float = option("what a gigabyte of memory costs an hour", default=0.0)
    measure: tuple[str, ...] = option("what to measure; given once for each (default: one of each kind)", default=())


def run(options: Options, flags: list[str], console: Console) -> None:
    """Shows a row for each measure, and what they take together."""
    if flags:
        raise UsageError(f"plan runs no pipeline, so it takes no flags of Beam, got {' '.join(flags)}")
    try:
        load = _load(options) if options.rate else None
        if load:
            options = dataclasses.replace(options, values=load.values)
        planned = plan(
            _measures(options),
            keys=options.keys,
            window=timedelta(seconds=parse_duration(options.window)),
            keep=timedelta(seconds=parse_duration(options.keep)),
            values=options.values,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    _show(planned, options, console)
    if load:
        _show_capacity(planned, load, options, console)


def _load(options: Options) -> Load:
    return Load(
        rate=parse_rate(options.rate),
        keys=options.keys,
        window=parse_duration(options.window),
        lateness=parse_duration(options.lateness),
        checkpoint=parse_duration(options.checkpoint),
        busy=options.busy,
    )


def _show_capacity(planned: Plan, load: Load, options: Options, console: Console) -> None:
    measured = {name: each.cpu for name, each in planned.measures.items() if each.cpu}
    writing = sum(each.writing for each in planned.measures.values()) * 1e6 / load.values
    cpu = RECEIVING[options.received] + DECODING[options.record] + sum(measured.values()) + writing
    needed = capacity(load, cpu, [partial(partial_bytes, each.sketch) for each in planned.measures.values()])
    without = ", ".join(sorted(set(planned.measures) - set(measured)))
    lines = [
        f"{load.rate:,.0f} events/s take {cpu:.2f} CPU s a million"
        + (f" (without {without}, of which no time was measured)" if without else "")
        + f": {needed.cores:,} cores, busy for {load.busy:.0%} of the time, and {size(needed.memory_bytes)} of memory.",
        f"Open windows hold {size(needed.state_bytes)} in partial sketches: {size(needed.checkpoint_bytes)} of "
        f"checkpoints a second, every {options.checkpoint}.",
    ]
    if needed.uniting_cores > 1:
        lines.append(
            f"Of the cores {needed.uniting_cores:.1f} unite what bundles know of a window. A shard of a window is "
            f"united by one core: MeasureBatches(shards={math.ceil(needed.uniting_cores)}) or more."
        )
    if options.core_price or options.gigabyte_price:
        price = cost(needed, options.core_price, options.gigabyte_price)
        lines.append(f"An hour costs {price:,.2f}, a month {price * 730:,.0f}, by the prices that were given.")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def _measures(options: Options) -> dict[str, StoredMeasure]:
    from transforms.measures import parse_measures  # noqa: PLC0415  takes Beam, and so a second

    texts = [
        f"{text}@{options.error:g}" if text.startswith(_WITH_ERROR) and "@" not in text else text
        for text in options.measure or _ONE_OF_EACH
    ]
    return {
        name: StoredMeasure(measure.combine_fn.make(), cast("Question", measure.combine_fn.answer))
        for name, measure in parse_measures(["count", *(text for text in texts if text != "count")]).items()
    }


def _show(planned: Plan, options: Options, console: Console) -> None:
    rows = [
        (
            name,
            _described(measure.sketch),
            f"{measure.leaf_bytes:,}",
            size(measure.bytes_a_day),
            f"{measure.cpu:.2f} s ({measure.source})" if measure.cpu else measure.source,
            f"{measure.writing * 1e6 / options.values:,.1f} s",
        )
        for name, measure in planned.measures.items()
    ]
    columns = ("measure", "kept as", "bytes", "a day", "CPU to measure", "to write")
    title = f"{options.keys:,} keys, windows of {options.window}, {options.values:,} values of each key in each window"
    console.print(table(title, *columns, rows=rows))
    console.print(
        f"The store grows by {size(planned.bytes_a_day)} a day, to {size(planned.bytes_in_all)} in {options.keep}: "
        f"{planned.windows:,} windows of each key, and the tree above them.\n"
        f"A query about any range of them reads at most {planned.reads} sketches of each measure and key that it asks "
        f"for, and merges them.",
        highlight=False,
        soft_wrap=True,
    )


def _described(sketch: Sketch) -> str:
    """A sketch by its kind and size."""
    chosen = [f"{value:,}" for name, value in sketch.parameters.items() if name not in {"hash", "seed"}]
    return " ".join([type(sketch).__name__, *chosen])


def size(number: float) -> str:
    """Bytes for a person.

    >>> size(999), size(123_456), size(98_765_432_100)
    ('999 B', '123 kB', '98.8 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.3g} {unit}"
        number /= 1000
    return f"{number:,.3g} TB" if number < 1000 else f"{number:,.0f} TB"

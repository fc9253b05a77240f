"""How many cores, how much memory and how much checkpoint traffic a stream takes, from what was measured.

    partials    = each second: one a key, bundle and core, as far as there are events
    cores       = (rate x CPU seconds an event + partials x CPU seconds to unite one) / how busy cores may be
    state       = partials x (window + lateness) x bytes of their sketches
    checkpoints = state / interval
    memory      = cores x a process of its own + the partials of a bundle + state

docs/capacity.md tells where the figures are from, and two cases. Of state it is the most, as if all values of a key
were different, and every core had every key; of cores the least, since the runner's own share is not in it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

# CPU seconds for a million messages of 200 bytes of JSON to become Arrow batches: python -m benchmarks.capacity.
DECODING = {"arrow": 0.0, "json": 2.1}
# CPU seconds to receive a million messages, before that: the same, of a worker's part in Dataflow's own reading.
RECEIVING = {"none": 0.0, "pubsub": 3.0}
PROCESS_BYTES = 400e6  # of a worker without state, Beam, numpy and Arrow loaded: the same
UNITING = 0.55e-6  # CPU seconds to send, receive and unite what one key has of one measure: the same
BUNDLE = 1.0  # seconds that runners keep a bundle open

_SUFFIXES = {"k": 1e3, "M": 1e6, "G": 1e9}


@dataclass(frozen=True, kw_only=True)
class Load:
    """What comes, and what is kept of it. Times are seconds."""

    rate: float  # events a second
    keys: int
    window: float
    lateness: float = 0.0
    checkpoint: float = 60.0  # from one to the next
    busy: float = 0.6  # of a core's time that may be used; the rest is for catching up

    def __post_init__(self) -> None:
        if not (self.rate > 0 and self.keys > 0 and self.window > 0 and self.checkpoint > 0):
            raise ValueError("rate, keys, window and checkpoint must be more than 0")
        if not 0 < self.busy <= 1:
            raise ValueError(f"cores can be busy for more than 0 and at most 1 of the time, got {self.busy:g}")

    @property
    def values(self) -> int:
        """How many events a key has in a window."""
        return max(1, round(self.rate * self.window / self.keys))

    def cores(self, cpu: float, measures: int) -> int:
        """How many cores events take that need so many CPU seconds a million, and as many measures of each key."""
        uniting = UNITING * measures
        most = self.rate * (cpu / 1e6 + uniting) / self.busy  # each event is a partial of its own
        left = self.busy - self.keys / BUNDLE * uniting  # of a core, when it has united what it told of every key
        return math.ceil(min(most, self.rate * cpu / 1e6 / left) if left > 0 else most)

    def partials(self, cores: int) -> float:
        """How many keys of bundles come a second, of all cores."""
        return min(self.rate, self.keys * cores / BUNDLE)


@dataclass(frozen=True)
class Capacity:
    """What a load takes."""

    cores: int
    uniting_cores: float  # of them, for what the windows that are open at once unite
    state_bytes: float
    checkpoint_bytes: float  # a second
    memory_bytes: float


def capacity(load: Load, cpu: float, measures: Sequence[Callable[[int], float]]) -> Capacity:
    """What a load takes of `cpu` seconds a million events; measures tell the bytes of a partial of so many values."""
    cores = load.cores(cpu, len(measures))
    partials = load.partials(cores)
    size = sum(measure(max(1, round(load.rate / partials))) for measure in measures)
    state = partials * (load.window + load.lateness) * size
    memory = cores * PROCESS_BYTES + partials * BUNDLE * size + state
    return Capacity(cores, partials * UNITING * len(measures) / load.busy, state, state / load.checkpoint, memory)


def cost(needed: Capacity, core: float, gigabyte: float) -> float:
    """What an hour costs, by the prices of a core and of a gigabyte of memory for an hour."""
    return needed.cores * core + needed.memory_bytes / 1e9 * gigabyte


def parse_rate(text: str) -> float:
    """Events a second: 20k, 2.5M, or 2G/d for a day.

    >>> parse_rate("2.5M"), round(parse_rate("2G/d"))
    (2500000.0, 23148)
    """
    number, _, day = text.partition("/")
    try:
        factor = _SUFFIXES.get(number[-1:])
        rate = float(number[:-1]) * factor if factor else float(number)
    except ValueError:
        rate = 0.0
    if not (rate > 0 and math.isfinite(rate) and day in {"", "d", "s"}):
        raise ValueError(f"a rate is a number of events a second, such as 2.5M, or a day, such as 2G/d, got {text!r}")
    return rate / 86_400 if day == "d" else rate
